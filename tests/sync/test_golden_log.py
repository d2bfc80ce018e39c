"""A log written once by format 0 is judged the same by every later version; and docs/formats.md says what the code does."""

import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from crypto.errors import KeyNeeded
from crypto.identities import unpack_secret_keys
from store import events
from store.commits import Commit, ObjectRef, commit_hash, parse, team_id
from store.fields import Stored
from store.names import slot_name
from sync.drafts import open_sealed_field
from sync.keychain import Keychain
from sync.validity import LogPoint, MemoryInRam, Verdict, judge
from tests.golden.make_events_log import plain_rest
from tests.golden.make_kits_log import plain_kits
from tests.golden.make_log import plain_roster

_FOLDER = Path(__file__).parent.parent / "golden" / "log"
GOLDEN, KITS, REST = (
    json.loads((_FOLDER / name).read_text()) for name in ("log.json", "kits.json", "events.json")
)
CHAPTER = (Path(__file__).parent.parent.parent / "docs" / "formats.md").read_text()
SLOTS = [slot.encode() for slot in GOLDEN["slots"]]


def folded(slots: list[bytes] = SLOTS) -> list[Verdict]:
    """The golden log, or another, judged from nothing."""
    verdicts, point, memory = [], LogPoint(), MemoryInRam()
    for seq, data in enumerate(slots):
        verdicts.append(judge(point, memory, seq, data))
        point = verdicts[-1].point
    return verdicts


def test_the_golden_log_folds_as_it_did() -> None:
    """The same slots are void, the head is the same hash, and members, devices, epochs and invites are the same."""
    verdicts = folded()
    point = verdicts[-1].point

    assert GOLDEN["void"] == [seq for seq, verdict in enumerate(verdicts) if verdict.commit is None]
    assert point.prev is not None
    assert point.roster is not None
    assert GOLDEN["head"] == point.prev.hex()
    assert GOLDEN["roster"] == plain_roster(point.roster)


def test_the_golden_log_of_kits_folds_as_it_did() -> None:
    """A recovery, a rekey and junk that was asked about: the same kits count, the same devices stand, the same requests wait."""
    verdicts = folded([slot.encode() for slot in KITS["slots"]])
    point = verdicts[-1].point
    roster = point.roster

    assert KITS["void"] == [seq for seq, verdict in enumerate(verdicts) if verdict.commit is None]
    assert roster is not None
    assert point.prev is not None
    assert (KITS["head"], KITS["roster"]) == (point.prev.hex(), plain_roster(roster))
    assert KITS["kits"] == plain_kits(roster)
    kit, former = (
        Keychain([unpack_secret_keys(bytes.fromhex(KITS[name]))])
        for name in ("kit_seeds", "former_kit_seeds")
    )
    assert KITS["team_keys"] == [kit.at(roster, roster.team_space, n).key.hex() for n in (1, 2, 3)]
    assert KITS["team_keys"][1] == former.at(roster, roster.team_space, 2).key.hex()
    with pytest.raises(KeyNeeded):
        former.at(roster, roster.team_space, 3)


def test_the_golden_log_of_everything_else_folds_as_it_did() -> None:
    """The same objects are given up by the same devices, the fence stands where it stood, the same ends count and none waits."""
    verdicts = folded([slot.encode() for slot in REST["slots"]])
    point = verdicts[-1].point
    roster = point.roster

    assert REST["void"] == [seq for seq, verdict in enumerate(verdicts) if verdict.commit is None]
    assert roster is not None
    assert point.prev is not None
    assert (REST["head"], REST["roster"]) == (point.prev.hex(), plain_roster(roster))
    assert REST["rest"] == plain_rest(roster)
    assert 3 == len(roster.given_up)
    ben, cat = (
        Keychain([unpack_secret_keys(bytes.fromhex(REST["device_seeds"][name]))]) for name in ("ben", "cat")
    )
    last = len(REST["team_keys"])
    assert REST["team_keys"] == [ben.at(roster, roster.team_space, n).key.hex() for n in range(1, last + 1)]
    with pytest.raises(KeyNeeded):
        cat.at(roster, roster.team_space, last)


def test_every_event_of_the_format_stands_in_a_golden_log() -> None:
    """Each type of docs/formats.md, and no other, is said by a valid commit that was written once and is never written again."""
    logs = ([slot.encode() for slot in each["slots"]] for each in (GOLDEN, KITS, REST))
    commits = [verdict.commit for log in logs for verdict in folded(log) if verdict.commit is not None]
    table = CHAPTER.partition("| event | fields | says |")[2].partition("## Segments")[0]

    assert {event.type for commit in commits for event in commit.events} == set(
        re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    )


def test_the_golden_keys_open_as_they_did() -> None:
    """Each member's device reaches exactly the epochs it should: the removed one not the last."""
    roster = folded()[-1].point.roster
    assert roster is not None

    for name in ("ana", "ben"):
        chain = Keychain([unpack_secret_keys(bytes.fromhex(GOLDEN["device_seeds"][name]))])
        keys = [chain.at(roster, roster.team_space, number).key.hex() for number in (1, 2, 3, 4)]
        assert GOLDEN["team_keys"] == keys
    removed = Keychain([unpack_secret_keys(bytes.fromhex(GOLDEN["device_seeds"]["cat"]))])
    assert GOLDEN["team_keys"][2] == removed.at(roster, roster.team_space, 3).key.hex()
    with pytest.raises(KeyNeeded):
        removed.at(roster, roster.team_space, 4)


def test_the_recovery_key_opens_what_the_device_opens() -> None:
    """The kit alone reads every epoch: each is wrapped to the member's recovery key too."""
    roster = folded()[-1].point.roster
    assert roster is not None
    kit = Keychain([unpack_secret_keys(bytes.fromhex(GOLDEN["member_seeds"]["ben"]))])

    assert GOLDEN["team_keys"][3] == kit.newest(roster, roster.team_space).key.hex()


def test_labels_stand_only_under_the_seal() -> None:
    """The founder's sealed field opens to the names; no slot's clear bytes spell one."""
    verdict = folded()[0]
    assert verdict.commit is not None
    assert verdict.point.roster is not None
    chain = Keychain([unpack_secret_keys(bytes.fromhex(GOLDEN["device_seeds"]["ana"]))])
    key = chain.newest(verdict.point.roster, verdict.point.roster.team_space)
    opened = open_sealed_field(verdict.commit, key, "slot 0")

    assert ("the team", ["ana"]) == (opened.team, list(opened.members.values()))
    assert not any(b"the team" in slot for slot in SLOTS)


def _example(name: str) -> Any:
    """A ```json NAME block of the chapter."""
    match = re.search(rf"```json {name}\n(.*?)```", CHAPTER, re.DOTALL)
    assert match is not None, f"docs/formats.md has no example {name}"
    return json.loads(match.group(1))


def test_the_chapters_worked_example_is_the_golden_genesis() -> None:
    """The commit, its hash and the team id printed in docs/formats.md are those of the golden log's slot 0."""
    commit = parse(SLOTS[0], slot_name(0))
    shown = _example("genesis")

    assert json.loads(SLOTS[0]) == shown["commit"]
    assert commit_hash(SLOTS[0]).hex() == shown["commit_sha256"]
    assert isinstance(commit.events[0], events.Genesis)
    assert team_id(commit.events[0]).hex() == shown["team_id"] == commit.team


def _fields(model: type[Stored]) -> list[str]:
    return list(model.model_fields)


def test_every_clear_field_is_listed_and_no_other() -> None:
    """What the bucket's operator can read is exactly what the chapter's tables say, field by field."""
    listed = {
        row[0]: [name.strip() for name in row[1].split(",") if name.strip()]
        for row in re.findall(r"^\| `(\w+)` \|([^|]*)\|", CHAPTER, re.MULTILINE)
    }
    models: dict[str, type[Stored]] = {"commit": Commit, "object": ObjectRef}
    for event in get_args(get_args(events.Event)[0]):
        models[get_args(event.model_fields["type"].annotation)[0]] = event
    for part in (events.Keys, events.DeviceClaim, events.Wrap, events.Grant, events.ObjectName):
        models[part.__name__] = part

    assert {name: _fields(model) for name, model in models.items()} == {
        name: listed.get(name) for name in models
    }


@pytest.mark.parametrize("extra", ["name", "email", "project", "title", "node", "session", "conversation"])
def test_no_event_takes_a_field_it_does_not_have(extra: str) -> None:
    """A commit that carries a telling field beside the listed ones is void, wherever the field stands."""
    fields = json.loads(SLOTS[0])
    for place in (fields, fields["events"][0], fields["events"][1], fields["leaves"][0]):
        place[extra] = "x"
        data = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
        verdict = judge(LogPoint(), MemoryInRam(), 0, data)
        del place[extra]

        assert verdict.commit is None

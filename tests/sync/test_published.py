"""Published stats in the log: the newest word of a device about a day, and nobody else's."""

from contextlib import closing, suppress
from pathlib import Path

import pytest

from crypto.errors import TapesError
from store import events
from store.directory import DirectoryStore
from store.names import PREFIX_OF_KIND, object_name
from store.stats import Level, StatsDay, StatsUse, encode_stats, seal_stats
from sync import published as module
from sync.client import Client
from sync.drafts import Content, draft
from sync.gc import collect
from sync.keyless import verify_keyless
from sync.published import publish, published
from sync.team import private_epoch
from sync.uploads import upload
from sync.verify import verify
from tests.actors import Person, client, founded, joined
from tests.faults.worlds import CuttingStore, PowerCut, hurried


def day(name: str, turns: int = 1, model: str = "m") -> StatsDay:
    """A day of one use."""
    use = StatsUse(
        model=model,
        project=None,
        turns=turns,
        input_uncached=0,
        cache_read=0,
        cache_write=0,
        output=turns,
        cost_usd_micro=turns,
        unpriced_turns=0,
        tool_calls=0,
        tool_errors=0,
    )
    return StatsDay(day=name, sessions=1, uses=[use])


def tell(who: Client, *days: StatsDay, level: Level = "totals", growth_wait_ms: int = 0) -> int:
    """Publish exactly these days."""
    return publish(who, level, {each.day: each for each in days}, growth_wait_ms=growth_wait_ms)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A bucket in a folder."""
    return DirectoryStore(tmp_path / "bucket")


@pytest.fixture
def two(store: DirectoryStore, tmp_path: Path) -> tuple[Client, Client]:
    """Ana, who publishes, and Ben."""
    ana = founded(store, tmp_path / "ana")
    return ana, joined(ana, store, tmp_path / "ben")


def seen_by(reader: Client) -> tuple[dict[str, int], list[str], list[str]]:
    """Turns by day of everybody, the levels, and what could not be read."""
    reader.log.catch_up()
    told = published(reader)
    turns = {name: each.uses[0].turns for (_, name), each in told.days.items()}
    return turns, list(told.levels.values()), told.unread


def test_a_later_word_replaces_the_day_and_only_it(two: tuple[Client, Client]) -> None:
    """Two days, then one of them again: the other stays; the same again: nothing is written."""
    ana, ben = two
    assert 2 == tell(ana, day("2026-02-14"), day("2026-02-15"))
    assert 1 == tell(ana, day("2026-02-14", 5), day("2026-02-15"))
    head = ana.log.next_seq
    assert 0 == tell(ana, day("2026-02-14", 5), day("2026-02-15"))

    assert head == ana.log.next_seq
    assert ({"2026-02-15": 1, "2026-02-14": 5}, ["totals"], []) == seen_by(ben)


def test_off_takes_everything_back(two: tuple[Client, Client]) -> None:
    """Turning it off withdraws every day told before, and says that this device publishes no more."""
    ana, ben = two
    tell(ana, day("2026-02-14"), day("2026-02-15"))
    tell(ana, day("2026-02-14"), level="off")

    assert ({}, ["off"], []) == seen_by(ben)
    assert 0 == tell(ana, level="off")


def test_growth_waits_and_what_shrank_does_not(two: tuple[Client, Client]) -> None:
    """Within the wait a busier day is not told again; one that was shared away is, at once."""
    ana, ben = two
    tell(ana, day("2026-02-14", 5), growth_wait_ms=10_000_000)

    assert 0 == tell(ana, day("2026-02-14", 9), day("2026-02-15"), growth_wait_ms=10_000_000)
    assert 1 == tell(ana, day("2026-02-14", 2), growth_wait_ms=10_000_000)
    assert ({"2026-02-14": 2}, ["totals"], []) == seen_by(ben)


def test_a_level_alone_is_told_once(two: tuple[Client, Client]) -> None:
    """Who has nothing private still says that it publishes; saying so again costs nothing."""
    ana, ben = two
    tell(ana)
    head = ana.log.next_seq
    tell(ana)

    assert (head, ({}, ["totals"], [])) == (ana.log.next_seq, seen_by(ben))


def test_a_long_history_goes_in_several_objects(
    two: tuple[Client, Client], monkeypatch: pytest.MonkeyPatch, store: DirectoryStore
) -> None:
    """Each object stays far under its limit; all days arrive."""
    monkeypatch.setattr(module, "uses_per_object_max", 3)
    ana, ben = two
    tell(ana, *[day(f"2026-02-{number:02d}") for number in range(1, 9)])

    assert 3 == len(list(store.list(PREFIX_OF_KIND["stats"])))
    assert 8 == len(seen_by(ben)[0])


def forged(author: Client, plain: bytes) -> None:
    """A commit by somebody who seals whatever bytes they like as stats."""
    roster = author.roster
    key = author.keychain.newest(roster, roster.team_space)
    ref = upload(author, "stats", author.log.next_seq - 1, seal_stats(key, plain))
    content = Content([events.StatsPublished(type="stats_published")], [ref])
    author.commit(lambda context: draft(context, roster.team, key, content))


@pytest.mark.parametrize("lie", ["another's device", "junk", "a far day"])
def test_a_liar_is_left_out_and_named(two: tuple[Client, Client], lie: str) -> None:
    """Ben speaks for Ana's device, seals junk, or tells of a day to come: her numbers stay, he is named, verify goes on."""
    ana, ben = two
    tell(ana, day("2026-02-14", 3))
    ben.log.catch_up()
    forged(
        ben,
        {
            "another's device": encode_stats(ana.identity.device_id, "totals", [day("2026-02-14", 900)]),
            "junk": b"{}",
            "a far day": encode_stats(ben.identity.device_id, "totals", [day("9999-01-01", 900)]),
        }[lie],
    )
    turns, levels, unread = seen_by(ana)
    report = verify(ana)

    assert ({"2026-02-14": 3}, ["totals"]) == (turns, levels)
    assert [True] == [ben.identity.device_id.hex()[:16] in each for each in unread]
    assert ([], 1) == (report.findings, len(report.notices))


def test_a_lost_object_stops_nobody(two: tuple[Client, Client], store: DirectoryStore) -> None:
    """The bucket loses an object: the others still count, its loss is said, and verify finds it."""
    ana, ben = two
    tell(ana, day("2026-02-14"))
    [info] = store.list(PREFIX_OF_KIND["stats"])
    tell(ana, day("2026-02-14"), day("2026-02-15", 7))
    store.delete(info.name)
    turns, _, unread = seen_by(ben)

    assert ({"2026-02-15": 7}, 1) == (turns, len(unread))
    assert [info.name] == [finding.object for finding in verify(ben).findings]


def test_without_a_key_names_sizes_and_rights_are_checked(
    two: tuple[Client, Client], store: DirectoryStore
) -> None:
    """A keyless reader counts the object, finds it when it is changed, and reads nothing."""
    ana, _ = two
    tell(ana, day("2026-02-14", model="claude-secret-model"))
    [info] = store.list(PREFIX_OF_KIND["stats"])

    assert verify_keyless(store).ok
    assert b"claude" not in store.get(info.name)
    store.delete(info.name)
    assert [info.name] == [finding.object for finding in verify_keyless(store).findings]


def test_what_no_commit_names_is_collected(two: tuple[Client, Client], store: DirectoryStore) -> None:
    """An upload whose commit never came goes with gc; what is named stays."""
    ana, _ = two
    key = ana.keychain.newest(ana.roster, ana.roster.team_space)
    left = upload(ana, "stats", 0, seal_stats(key, encode_stats(ana.identity.device_id, "off", [])))
    tell(ana, day("2026-02-14"))
    tell(ana, day("2026-02-14", 2))
    old = ana.committer.now_ms() + 30 * 86_400_000
    ana.committer._clock_ms = lambda: old
    collect(ana)
    names = [info.name for info in store.list(PREFIX_OF_KIND["stats"])]

    assert object_name("stats", left.base, left.sha256) not in names
    assert 2 == len(names)


def test_the_log_refuses_what_publishes_otherwise(two: tuple[Client, Client]) -> None:
    """Without its object, with a manifest for one, or to a private space: void, for everybody alike."""
    ana, ben = two
    roster = ana.roster
    key = ana.keychain.newest(roster, roster.team_space)
    ref = upload(ana, "stats", 0, seal_stats(key, encode_stats(ana.identity.device_id, "off", [])))
    event = events.StatsPublished(type="stats_published")
    ben.log.catch_up()
    ben.commit(lambda context: private_epoch(context, ben.keychain))
    private = ben.roster.private_space_of(ben.identity.member_id)
    assert private is not None
    hidden = ben.keychain.newest(ben.roster, private.id)
    fence = events.GcFence(type="gc_fence", base=1)

    def refused(who: Client, drafter: object) -> str:
        with pytest.raises(TapesError, match="void") as error:
            who.commit(drafter)  # type: ignore[arg-type]
        return error.value.message

    def by(key_: object, content: Content) -> object:
        return lambda context: draft(context, roster.team, key_, content)  # type: ignore[arg-type]

    assert "one object" in refused(ana, by(key, Content([event])))
    assert "one object" in refused(ana, by(key, Content([event, event], [ref])))
    assert "one object" in refused(ana, by(key, Content([fence], [ref])))
    assert "names its manifest" in refused(
        ana, by(key, Content([event], [ref, ref.model_copy(update={"kind": "pack", "sha256": "0" * 64})]))
    )
    assert "somebody else" in refused(ben, by(hidden, Content([event], [ref])))


@pytest.mark.parametrize("prefix", ["stats/", "log/"])
@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_kill_at_a_write_is_mended_by_the_next_run(
    two: tuple[Client, Client], store: DirectoryStore, tmp_path: Path, prefix: str, *, after: bool
) -> None:
    """Before or after the object or its slot: the next run tells what was not told, and every day stands once."""
    ana, ben = two
    who = Person(ana.identity.device, ana.identity)
    ana.close()
    gate = CuttingStore(store, 0, after, prefix)
    with closing(hurried(client(who, gate, tmp_path / "ana"))) as struck, suppress(PowerCut):
        tell(struck, day("2026-02-14", 3))
    with closing(client(who, store, tmp_path / "ana")) as again:
        again.committer.resume()
        tell(again, day("2026-02-14", 3))
        slots = again.log.next_seq

    assert 1 == gate.requests
    assert ({"2026-02-14": 3}, ["totals"], []) == seen_by(ben)
    assert slots == ben.log.next_seq
    assert [] == verify(ben).findings

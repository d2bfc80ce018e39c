"""A member who wants to obstruct: valid commits meant to stop the others, or to keep their work out of the team."""

from dataclasses import replace
from secrets import token_bytes

import pytest

from query.source import open_source
from query.texts import Texts
from query.transcript import load
from store.commits import name_of, parse
from store.manifest_schema import Row
from store.manifests import LeafOpening
from store.names import slot_name
from store.nodes import Node
from store.texts import searchable_text
from sync.cloud import CloudProvider
from sync.outbox import SpaceKind
from sync.pull import known_k_tag
from sync.verify import verify
from tests.actors import joined
from tests.attacks.honest import Team
from tests.attacks.hostile import Openings, lying_push, withheld
from tests.faults.worlds import hurried
from tests.laptops import Laptop, conversation, turn

FIRST = conversation("first", 3)  # what Ana has pushed, and everybody taken in
EVES = [*FIRST, turn("eve goes on", FIRST[-1])]


def cats(team: Team) -> Laptop:
    """A newcomer, who reads everything for the first time."""
    made = hurried(joined(team.ana.client, team.store, team.root / "cat", "cat"))
    return Laptop(made, team.root / "cat")


def all_go_on(team: Team) -> set[str]:
    """Ana and Ben each push into the conversation that Eve obstructs, and a new one; each takes in what the other pushed."""
    said: set[str] = set()
    for name, laptop in (("ana", team.ana), ("ben", team.ben)):
        mark = f"{name} {token_bytes(4).hex()}"
        nodes = [*FIRST, turn(mark, FIRST[-1]), *conversation(f"new of {mark}", 2)]
        laptop.provider.put(nodes)
        assert laptop.provider.sync().pushed_nodes >= 3
        said.update(node.hash for node in nodes)
    team.ana.provider.sync()
    for laptop in (team.ana, team.ben):
        assert said <= set(laptop.pulled())
    return said


def honest(openings: list[LeafOpening]) -> list[LeafOpening]:
    return openings


def that_does_not_open(openings: list[LeafOpening]) -> list[LeafOpening]:
    return [replace(leaf, r=token_bytes(32)) for leaf in openings]


def out_of_the_chain(openings: list[LeafOpening]) -> list[LeafOpening]:
    return [replace(leaf, prev_c=token_bytes(32)) for leaf in openings]


def test_a_manifest_that_was_never_uploaded_stops_nobody(team: Team) -> None:
    """Eve commits to a manifest and never uploads it; everybody is told its name, exit 6, and everybody's pushes go on."""
    name, _ = withheld(team.store, lying_push(team.eve, EVES))
    team.ben.provider.put(conversation("ben has something to push", 1))
    start = len(team.store.history)
    report = team.ben.provider.sync()

    # Asked for twice, however often the push looked at the log.
    assert [("get", name)] * 2 == [asked for asked in team.store.history[start:] if asked[1] == name]
    assert [(name, 6)] == [(broken.obj, broken.exit_code) for broken in report.broken]
    said = all_go_on(team)
    cat = cats(team)
    assert [name] == [broken.obj for broken in cat.provider.sync().broken]
    assert said <= set(cat.pulled())
    for laptop in (team.ana, team.ben, cat):
        assert [name] == [finding.object for finding in verify(laptop.client).findings]


@pytest.mark.parametrize("lie", [honest, that_does_not_open, out_of_the_chain])
def test_a_manifest_uploaded_late_splits_nobody(team: Team, lie: Openings) -> None:
    """Eve uploads hers after others have pushed on without it, sound or lying: who had pushed, who waited and newcomers agree."""
    name, data = withheld(team.store, lying_push(team.eve, EVES, openings=lie))
    said = all_go_on(team)
    team.store.plant(name, data)
    for laptop in (team.ana, team.ben):
        assert not laptop.provider.sync().broken
    said |= all_go_on(team)
    cat = cats(team)
    cat.provider.sync()

    assert team.ben.pulled() == cat.pulled()
    assert said <= set(cat.pulled())
    assert (EVES[-1].hash in cat.pulled()) == (lie is honest)
    refused = [
        [each.ref.sha256 for each in one.client.replica.manifests("refused")] for one in (team.ben, cat)
    ]
    assert refused == [[] if lie is honest else [name.rsplit("/", 1)[-1]]] * 2
    for laptop in (team.ana, team.ben, cat):
        assert verify(laptop.client).ok


def test_a_manifest_taken_away_again_splits_nobody(team: Team) -> None:
    """Eve takes her lying manifest away again once Ana has read it: who refused it and who never saw it push on alike."""
    seq = lying_push(team.eve, EVES, openings=that_does_not_open)
    team.ana.provider.sync()
    withheld(team.store, seq)
    said = all_go_on(team)
    cat = cats(team)
    cat.provider.sync()

    assert said <= set(cat.pulled())
    assert team.ana.client.replica.manifests("refused")
    assert team.ben.client.replica.manifests("pending")


def test_two_conversations_under_one_tag_key_split_nobody(
    team: Team, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eve gives a conversation of her own the tag key of Ana's: whoever pushes into both at once is taken in by all."""
    k_tag = known_k_tag(team.eve.client, team.eve.client.roster.team_space, bytes.fromhex(FIRST[0].hash))
    assert k_tag is not None
    own = conversation("eve's own", 2)
    monkeypatch.setattr("sync.batches.known_k_tag", lambda *_: k_tag)
    lying_push(team.eve, own)
    monkeypatch.undo()
    both = [*FIRST, turn("ana in hers", FIRST[-1]), *own, turn("ana in eve's", own[-1])]
    for laptop in (team.ana, team.ben):
        laptop.provider.sync()
        laptop.provider.put(both)
        laptop.provider.sync()
    said = all_go_on(team) | {node.hash for node in both}
    cat = cats(team)

    assert not cat.provider.sync().notices
    assert said <= set(cat.pulled())
    assert not cat.client.replica.manifests("refused")
    assert verify(cat.client).ok


def test_a_hash_named_first_over_other_bytes_keeps_nothing_back(team: Team) -> None:
    """Eve commits rows for Ana's nodes over other bytes before Ana pushes; Ana's client pushes all the same, Ben reads hers."""
    hers = conversation("not ana's words", 3)
    lying_push(team.eve, hers, stored=lambda _hash, data: data.replace(b"not ana's", b"eve's own"))
    team.ana.provider.sync()
    team.ana.provider.put(hers)

    assert [3, 0] == [team.ana.provider.sync().pushed_nodes for _ in range(2)]
    team.ben.provider.sync(full=True)
    pushed = {node for who, node, _ in team.ben.rows() if who == team.ana.client.identity.member_id}
    assert {node.hash for node in hers} <= pushed
    reads(team.ben, hers)


def test_a_hash_named_first_over_nothing_hides_nothing(team: Team) -> None:
    """As before, but Eve's pack is gone, or was never there: Ben is shown Ana's bytes, and finds her words."""
    hers = conversation("not eve's to hide", 3)
    seq = lying_push(team.eve, hers)
    for ref in parse(team.store.get(slot_name(seq)), "eve's").objects:
        if ref.kind == "pack":
            team.store.plant(name_of(ref), None)
    team.ana.provider.put(hers)
    assert 3 == team.ana.provider.sync().pushed_nodes
    team.ben.provider.sync()
    reads(team.ben, hers)


def reads(laptop: Laptop, nodes: list[Node]) -> None:
    """The laptop shows these nodes, and has their words for the search."""
    with open_source(laptop.local, laptop.client) as source:
        assert [node.bucket for node in nodes] == [node.bucket for node in load(source, nodes[-1].hash)]
        texts = dict(Texts(source).of_bucket([bytes.fromhex(node.hash) for node in nodes]))
    assert all(texts[bytes.fromhex(node.hash)] == searchable_text(node) for node in nodes)


def test_ancestors_named_first_over_other_bytes_are_brought_along(team: Team) -> None:
    """Eve names private turns of Ana's in the team's space; once Ana opens the project, under cloud, Ben reads the true ones."""
    settings: dict[str | None, SpaceKind] = {"opened": "private"}
    turns = conversation("ana's own words", 3, "opened")
    ana = CloudProvider(team.ana.client, lambda project: settings.get(project, "team"), lambda _: "full")
    ana.put(turns[:2])
    lying_push(team.eve, turns[:2], stored=lambda _hash, data: data.replace(b"own words", b"shame"))
    settings["opened"] = "team"
    ana.put(turns[2:])

    ben = CloudProvider(team.ben.client, lambda _: "team", lambda _: "full")
    assert list(reversed(turns)) == ben.ancestry(turns[-1].hash)


def test_nobody_signs_bytes_of_anothers_that_no_hash_proves(team: Team) -> None:
    """Ana goes on, under cloud, from a turn of Eve's that is not its hash: what Ana commits holds her own turn alone."""
    lie = conversation("eve lies", 1)
    lying_push(
        team.eve, lie, stored=lambda _hash, data: data.replace(b"eve lies", b"ana lies"), rows=unverified
    )
    ana = CloudProvider(team.ana.client, lambda _: "team", lambda _: "full")
    goes_on = turn("goes on", lie[0])
    ana.put([goes_on])

    space = team.ana.client.roster.team_space
    own = team.ana.client.replica.synced(space, [bytes.fromhex(node.hash) for node in (*lie, goes_on)])
    assert {bytes.fromhex(goes_on.hash)} == own.keys()


def unverified(honest: list[Row]) -> list[Row]:
    return [row._replace(facts=row.facts._replace(hash_version=None)) for row in honest]


@pytest.mark.parametrize("claim", ["no lie", "of Ana's"])
def test_whose_turns_are_gone_on_from_does_not_say_who_reads_what_follows(team: Team, claim: str) -> None:
    """Ana goes on, in a private project under cloud, from a turn of Eve's, whatever project and conversation Eve gives it."""
    ana = CloudProvider(
        team.ana.client, lambda project: "private" if project == "hidden" else "team", lambda _: "full"
    )
    hers = conversation("ana to the team", 1, "open")
    ana.put(hers)
    eves = conversation("eve begins", 2, "open")
    lying_push(team.eve, eves, conversation=hers[0].hash if claim == "of Ana's" else None)
    secret = turn("for ana alone", eves[-1], project="hidden")
    ana.put([secret])
    ana.put([turn("and on", secret, project="hidden")])

    replica, roster = team.ana.client.replica, team.ana.client.roster
    private = roster.private_space_of(team.ana.client.identity.member_id)
    assert private is not None
    for said in (secret, turn("and on", secret, project="hidden")):
        digest = bytes.fromhex(said.hash)
        assert None is replica.content_there(roster.team_space, digest)
        assert replica.content_there(private.id, digest)

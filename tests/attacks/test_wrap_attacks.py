"""A member who hands out junk for keys: who is given it says who did it, asks, and is given it soundly with no human step."""

from collections.abc import Callable
from pathlib import Path
from secrets import token_bytes

import pytest

from crypto.epochs import wrap_bytes, wrap_key
from crypto.errors import SealBroken
from crypto.sealing import SealKey
from store import events
from store.fields import to_base64
from store.names import slot_name
from sync.client import Client
from sync.devices import revoke_device
from sync.drafts import Content, draft, new_epoch
from sync.keychain import Keychain
from sync.membership import create_team
from sync.recovery import recover
from sync.rights import leave
from sync.roster import Wanted
from sync.verify import verify
from tests.actors import client, joined, person
from tests.attacks.honest import Team
from tests.attacks.hostile import hostile_epoch
from tests.fakes.strict_store import StrictStore
from tests.faults.worlds import hurried
from tests.laptops import Laptop, conversation
from tests.sync.test_devices import linked
from tests.sync.test_rekey import founded_by, new_machine


def junk_wrap(_team: Team, _recipient: bytes) -> bytes:
    return b"\x01" + token_bytes(wrap_bytes - 1)


def wrap_of_another_key(team: Team, recipient: bytes) -> bytes:
    roster = team.eve.client.roster
    epoch = len(roster.spaces[roster.team_space].epochs) + 1
    return wrap_key(SealKey(roster.team, roster.team_space, epoch, token_bytes(32)), recipient)


@pytest.mark.parametrize("wrap", [junk_wrap, wrap_of_another_key])
def test_a_wrap_that_does_not_open_is_reported_with_its_author(
    team: Team, wrap: Callable[[Team, bytes], bytes]
) -> None:
    """Eve's epoch holds junk for Ben, or another key; Ben names her and asks, and Ana's next write gives him the key unasked."""
    victims = [team.ben.client.identity.device.public.x25519]
    hostile_epoch(team.eve.client, {to: wrap(team, to) for to in victims})
    said = conversation("behind ben's back", 2)
    team.ana.provider.put(said)
    team.ana.provider.sync()
    report = team.ben.provider.sync()

    author = team.eve.client.identity.device_id.hex()[:16]
    assert all(author in notice for notice in report.notices)
    assert any("asked for it again" in notice for notice in report.notices)
    assert not report.broken
    assert not {node.hash for node in said} & set(team.ben.pulled())
    team.ben.provider.put(conversation("ben cannot seal this", 1))
    length = team.ben.client.log.next_seq
    with pytest.raises(SealBroken, match=author):  # rather than push what would skip what he could not read
        team.ben.provider.sync()
    assert length == team.ben.client.log.next_seq  # asked once

    team.ana.provider.sync()
    assert 1 == team.ben.provider.sync().pushed_nodes
    assert {node.hash for node in said} <= set(team.ben.pulled())
    team.all_well()


def test_who_has_a_private_space_asks_there(team: Team) -> None:
    """Ana, with turns of both kinds to push, is given junk: her request is sealed where she can seal, and Ben answers."""
    victim = team.ana.client.identity.device.public.x25519
    hostile_epoch(team.eve.client, {victim: junk_wrap(team, victim)})
    team.ana.provider.sync()
    private = team.ana.client.roster.private_space_of(team.ana.client.identity.member_id)
    commit = team.ana.client.commit_at(team.ana.client.log.next_seq - 1)
    assert private is not None
    assert (private.id.hex(), ["rewrap_wanted"]) == (commit.space, [event.type for event in commit.events])

    team.ben.provider.sync()
    assert [] == team.ana.provider.sync().notices
    team.all_well()


def test_whoever_answers_with_junk_is_not_asked_again(team: Team) -> None:
    """Eve answers Ben's request for what she broke with junk once more; he asks again, and it is Ana's answer that counts."""
    victim = team.ben.client.identity.device.public.x25519
    hostile_epoch(team.eve.client, {victim: junk_wrap(team, victim)})
    team.ben.provider.sync()
    for _ in range(2):  # the second time she is not asked
        junk_answer(team, victim)
    team.ben.provider.sync()
    assert [True] == [w.open_to(team.ana.client.identity.member_id) for w in wants(team)]
    assert [False] == [w.open_to(team.eve.client.identity.member_id) for w in wants(team)]
    junk_answer(team, victim)
    assert [True] == [w.pending for w in wants(team)]

    team.ana.provider.sync()
    assert [] == team.ben.provider.sync().notices
    team.all_well()


def wants(team: Team) -> list[Wanted]:
    team.ana.client.log.catch_up()
    return list(team.ana.client.roster.wanted.values())


def junk_answer(team: Team, victim: bytes) -> None:
    """Eve wraps the newest team epoch for Ben, as junk."""
    team.eve.client.log.catch_up()
    roster = team.eve.client.roster
    key = team.eve.client.keychain.newest(roster, roster.team_space)
    wraps = [events.Wrap(to=victim.hex(), wrap=to_base64(junk_wrap(team, victim)))]
    given = events.Grant(space=key.space.hex(), epoch=key.epoch, wraps=wraps)
    told = Content([events.Rewrap(type="rewrap", grants=[given])])
    team.eve.client.commit(lambda context: draft(context, roster.team, key, told))


def test_asking_without_end_is_void(team: Team) -> None:
    """Eve, who has the key, asks for it: once; again only when somebody answered, and each member answers her once."""
    asked = ask(team, team.eve)
    assert "asks again" in void_or_empty(team, asked)
    for laptop in (team.ana, team.ben):
        laptop.provider.sync()
        laptop.provider.sync()
        ask(team, team.eve)
    length = team.eve.client.log.next_seq
    for laptop in (team.ana, team.ben, team.ana):
        laptop.provider.sync()

    assert length == team.ana.client.log.next_seq
    team.all_well()


def ask(team: Team, by: Laptop) -> bytes:
    """A request for a key that opens well; the bytes of a second one for the slot after it."""
    team.context(by)
    roster = by.client.roster
    key = by.client.keychain.newest(roster, roster.team_space)
    told = Content([events.RewrapWanted(type="rewrap_wanted", space=key.space.hex(), epoch=key.epoch)])
    by.client.commit(lambda context: draft(context, roster.team, key, told))
    return draft(team.context(by), roster.team, key, told)


def void_or_empty(team: Team, data: bytes) -> str:
    """Why a slot with these bytes is void."""
    seq = team.eve.client.log.next_seq
    team.store.plant(slot_name(seq), data)
    return team.void_reasons(seq)[0] or ""


def test_a_chain_that_leads_nowhere_delays_newcomers_only(team: Team) -> None:
    """Eve's epoch chains to junk: who holds the older keys reads on; a newcomer says who did it, asks, and reads it all."""
    hostile_epoch(team.eve.client, {}, chain=token_bytes(150))
    team.goes_on()
    cat = Laptop(hurried(joined(team.ana.client, team.store, team.root / "cat", "cat")), team.root / "cat")
    report = cat.provider.sync()

    author = team.eve.client.identity.device_id.hex()[:16]
    assert any(author in notice for notice in report.notices)
    assert not report.broken
    team.ana.provider.sync()
    cat.provider.sync()
    team.ben.provider.sync()
    assert cat.pulled() == team.ben.pulled()
    assert verify(cat.client).ok


@pytest.mark.parametrize("private", [True, False], ids=["with_private_space", "without"])
def test_junk_for_the_kit_does_not_keep_its_owner_out(tmp_path: Path, *, private: bool) -> None:
    """Eve's epoch holds junk for the kit of Ana, whose devices are lost: she recovers and asks; Ben's write lets her read."""
    store, ana, homes = StrictStore(), person("ana"), iter(tmp_path / str(n) for n in range(9))
    lost = founded_by(ana, store, next(homes)) if private else None
    first = lost.client if lost is not None else client(ana, store, next(homes))
    if lost is None:
        create_team(first, "the team")
    ben = Laptop(hurried(joined(first, store, next(homes), "ben")), next(homes))
    eve = hurried(joined(first, store, next(homes), "eve"))
    hostile_epoch(eve, {ana.member.public.x25519: b"\x01" + token_bytes(wrap_bytes - 1)})
    ben.provider.put(conversation("of ben", 2))
    ben.provider.sync()

    made = new_machine(ana.member, store, next(homes))
    recover(made, ana.member, "second life")
    again = Laptop(hurried(reopened(made)), next(homes), {"secret"})
    assert again.provider.sync().notices
    ben.provider.sync()
    again.provider.put(conversation("of ana again", 2))
    report = again.provider.sync()

    assert (2, [], []) == (report.pushed_nodes, report.notices, report.broken)
    assert (10 if private else 0) + 4 == len(again.pulled())
    assert verify(again.client).ok


def reopened(made: Client) -> Client:
    """The next process of that home: it has the device's keys and no kit."""
    made.keychain = Keychain([made.identity.device])
    return made


def test_a_thief_of_a_device_does_not_brick_the_private_space(tmp_path: Path) -> None:
    """Ana's stolen device renews her private key with junk for her other one; revoked, it has not stopped her."""
    store, ana = StrictStore(), person("ana")
    laptop = founded_by(ana, store, tmp_path / "ana")
    stolen = linked(laptop.client, ana, store, tmp_path / "stolen")
    roster = stolen.roster
    private = roster.private_space_of(ana.identity.member_id)
    assert private is not None
    readers = roster.recipients(private)
    epoch, key = new_epoch(roster.team, private.id, stolen.keychain.newest(roster, private.id), readers)
    main = ana.identity.device.public.x25519.hex()
    junk = to_base64(b"\x01" + token_bytes(wrap_bytes - 1))
    wraps = [w.model_copy(update={"wrap": junk}) if w.to == main else w for w in epoch.wraps]
    told = Content([epoch.model_copy(update={"wraps": wraps})])
    stolen.commit(lambda context: draft(context, roster.team, key, told))
    laptop.local.add(conversation("private again", 2, project="secret"))
    with pytest.raises(SealBroken, match=stolen.identity.device_id.hex()[:16]):
        laptop.provider.sync()
    revoke_device(laptop.client, stolen.identity.device_id, None)

    assert 2 == laptop.provider.sync().pushed_nodes
    assert 12 == len(laptop.pulled())


def test_who_was_given_junk_does_not_push_in_circles_when_somebody_leaves(team: Team) -> None:
    """Ana cannot enact Ben's wish to go, as her key is junk: her sync of private turns says so and ends."""
    victim = team.ana.client.identity.device.public.x25519
    hostile_epoch(team.eve.client, {victim: junk_wrap(team, victim)})
    leave(team.ben.client)
    team.ana.provider.put(conversation("for ana alone", 2, "secret"))
    stored = len(list(team.store.list("")))
    with pytest.raises(SealBroken):
        team.ana.provider.sync()

    assert stored == len(list(team.store.list("")))
    team.eve.provider.sync()  # her next write starts the epoch without Ben, and with a key for Ana
    assert 2 == team.ana.provider.sync().pushed_nodes

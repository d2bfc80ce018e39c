"""A hostile member, with valid keys and a client of their own making: what they try, and what everybody else gets."""

from collections.abc import Callable
from dataclasses import replace
from secrets import token_bytes

import pytest

from crypto.errors import KeyNeeded, VerificationFailed
from crypto.sealing import SealKey, read_header
from store import events
from store.blobs import PutOutcome
from store.commits import encode, parse
from store.limits import commit_bytes_max
from store.manifests import open_manifest
from store.names import object_name, slot_name
from store.nodes import Node
from sync.drafts import Content, DraftContext, draft
from sync.keychain import Keychain
from sync.membership import Bucket, invite, join
from sync.rights import commit_ends, leave, remove_member
from sync.team import InviteTerms
from sync.verify import verify
from tests.actors import client, person
from tests.attacks.honest import ANAS_PRIVATE, Team
from tests.attacks.hostile import another_frame, lying_push, manifest_of, named_by
from tests.faults.worlds import CuttingStore, hurried
from tests.laptops import Laptop, conversation

# ── slots ───────────────────────────────────────────────────────────────────────────────────────────────────────────────


def idle(team: Team, context: DraftContext) -> bytes:
    roster = team.eve.client.roster
    key = team.eve.client.keychain.newest(roster, roster.team_space)
    return draft(context, roster.team, key, Content([events.Rewrap(type="rewrap", grants=[])]))


def oversized(team: Team) -> bytes:
    return idle(team, team.context(team.eve)) + b" " * commit_bytes_max


def mischained(team: Team) -> bytes:
    context = team.context(team.eve)
    return idle(team, replace(context, point=replace(context.point, prev=token_bytes(32))))


def repeated_id(team: Team) -> bytes:
    joining = parse(team.store.get(slot_name(4)), "slot 4")
    assert joining.device == team.eve.client.identity.device_id.hex()
    return idle(team, replace(team.context(team.eve), commit_id=bytes.fromhex(joining.id)))


def into_anas_private_space(team: Team) -> bytes:
    context = team.context(team.eve)
    private = context.roster.private_space_of(team.ana.client.identity.member_id)
    assert private is not None
    forged = SealKey(context.roster.team, private.id, len(private.epochs), token_bytes(32))
    return draft(context, context.roster.team, forged, Content([events.Rewrap(type="rewrap", grants=[])]))


def signed_as_ana(team: Team) -> bytes:
    """Her own signature under Ana's device id."""
    fields = parse(idle(team, team.context(team.eve)), "eve's").model_dump()
    del fields["sig"]
    fields["device"] = team.ana.client.identity.device_id.hex()
    return encode(fields, team.eve.client.identity.device.sign_seed)


@pytest.mark.parametrize(
    ("slot", "reason"),
    [
        (oversized, "exceed"),
        (mischained, "last valid commit"),
        (repeated_id, "repeats"),
        (into_anas_private_space, "private space"),
        (signed_as_ana, "signature"),
    ],
)
def test_a_void_slot_costs_one_number(team: Team, slot: Callable[[Team], bytes], reason: str) -> None:
    """Eve fills a slot with a commit that breaks a rule; all skip it for the same reason, and the team goes on."""
    data = slot(team)
    seq = team.eve.client.log.next_seq
    team.store.plant(slot_name(seq), data)
    team.all_well()

    first, second = team.void_reasons(seq)
    assert first is not None
    assert reason in first
    assert first == second
    assert slot_name(seq) in {notice.object for notice in verify(team.ben.client).notices}


# ── pushes that lie ─────────────────────────────────────────────────────────────────────────────────────────────────────

LIE = conversation("eve lies", 3)


def rows_of_another_author(team: Team) -> int:
    return lying_push(team.eve, LIE, author=team.ana.client)


def leaf_that_does_not_open(team: Team) -> int:
    return lying_push(team.eve, LIE, openings=lambda o: [replace(leaf, r=token_bytes(32)) for leaf in o])


def leaf_out_of_the_chain(team: Team) -> int:
    """Eve skips Ben's leaf of the same conversation, as if he had never written."""
    return lying_push(team.eve, LIE, openings=lambda o: [replace(leaf, prev_c=token_bytes(32)) for leaf in o])


@pytest.mark.parametrize("lie", [rows_of_another_author, leaf_that_does_not_open, leaf_out_of_the_chain])
def test_a_manifest_that_lies_is_left_out_by_everybody(team: Team, lie: Callable[[Team], int]) -> None:
    """Eve's commit is valid, her manifest is not what it says; all leave it out alike, with a notice naming her device."""
    lie(team)
    author = team.eve.client.identity.device_id.hex()[:16]
    for laptop in (team.ana, team.ben):
        report = laptop.provider.sync()
        assert [True] == [author in notice for notice in report.notices]
        assert not report.broken
        assert not {node.hash for node in LIE} & set(laptop.pulled())

    team.all_well()
    # The nodes themselves are not burnt: who really has them can push them.
    team.ben.provider.put(LIE)
    assert len(LIE) == team.ben.provider.sync().pushed_nodes


@pytest.mark.parametrize("false_base", [False, True])
def test_naming_somebodys_objects_first_hides_nothing(
    team: Team, monkeypatch: pytest.MonkeyPatch, *, false_base: bool
) -> None:
    """Eve sees the uploads before their commit and names them first, by a true or a false base: the commit still counts."""
    put = team.store.put_if_absent
    tried: list[str] = []

    def overtaken(name: str, data: bytes) -> PutOutcome:
        if name.startswith("log/") and not tried:
            tried.append(name)
            objects = [
                ref.model_copy(update={"base": ref.base - 1}) if false_base else ref
                for ref in parse(data, "Ana's").objects
            ]
            put(slot_name(team.context(team.eve).seq), named_by(team.eve, team.context(team.eve), objects))
        return put(name, data)

    monkeypatch.setattr(team.store, "put_if_absent", overtaken)
    said = conversation("ana was overtaken", 3)
    team.ana.provider.put(said)
    team.ana.provider.sync()
    monkeypatch.undo()
    team.ben.provider.sync(full=True)

    assert tried
    assert {node.hash for node in said} <= set(team.ben.pulled())
    team.goes_on()


def test_a_hostile_row_for_bytes_that_are_not_there_is_a_finding_for_everybody(team: Team) -> None:
    """Eve's rows name a frame that her pack does not have; verify names her manifest on every side, and the team goes on."""
    seq = lying_push(team.eve, LIE, rows=another_frame)
    manifest = manifest_of(team.store, seq)
    team.goes_on()

    for laptop in (team.ana, team.ben):
        assert [manifest] == [finding.object for finding in verify(laptop.client).findings]


def test_a_node_that_is_not_its_hash_is_a_finding_for_everybody(team: Team) -> None:
    """Eve stores other words under a node's hash and calls it verified; verify re-hashes, and names her manifest."""
    seq = lying_push(team.eve, LIE, stored=lambda _hash, data: data.replace(b"eve lies", b"ana lies"))
    manifest = manifest_of(team.store, seq)
    team.goes_on()

    for laptop in (team.ana, team.ben):
        assert [manifest] == [finding.object for finding in verify(laptop.client).findings]


def test_exchanged_nodes_are_a_finding_for_everybody(team: Team) -> None:
    """Eve stores each of two nodes under the other's hash; verify names the pack that says one and holds the other."""
    other = {LIE[0].hash: LIE[2], LIE[1].hash: LIE[1], LIE[2].hash: LIE[0]}
    seq = lying_push(team.eve, LIE, stored=lambda node_hash, _data: bytes_of(team, other[node_hash]))
    commit = parse(team.store.get(slot_name(seq)), "eve's")
    pack = next(object_name("pack", ref.base, ref.sha256) for ref in commit.objects if ref.kind == "pack")
    team.goes_on()

    for laptop in (team.ana, team.ben):
        assert any(pack in finding.object for finding in verify(laptop.client).findings)


def test_a_pack_that_does_not_open_is_its_authors_doing(team: Team) -> None:
    """Eve commits to junk as a pack: a full sync names her device instead of accusing the bucket, and fetches the rest."""
    lying_push(team.eve, LIE, pack=lambda honest: honest[:-1] + b"?")
    report = team.ben.provider.sync(full=True)

    author = team.eve.client.identity.device_id.hex()[:16]
    assert [True] == [author in notice for notice in report.notices]
    assert not report.broken
    assert report.fetched_frames > 0
    team.goes_on()


def bytes_of(team: Team, node: Node) -> bytes:
    data = team.eve.local.get_bytes(node.hash)
    assert data is not None
    return data


# ── time, races, other people's rooms ───────────────────────────────────────────────────────────────────────────────────


def test_a_clock_in_2100_ends_nobodys_invite(team: Team) -> None:
    """Eve dates her commits 2100 and sends the end of Ana's invite: her dates move nothing, and the end is void."""
    link_open = [i for i in team.ana.client.roster.invites.values() if i.open]
    assert not link_open
    link = invite(team.ana.client, InviteTerms(1, 4_000_000_000_000), Bucket("file:///unused"))
    in_2100 = replace(team.context(team.eve), at_ms=4_102_444_800_000)
    team.store.plant(slot_name(in_2100.seq), idle(team, in_2100))
    context = replace(team.context(team.eve), at_ms=4_102_444_800_000)
    still = next(i for i in context.roster.invites.values() if i.open)
    roster = team.eve.client.roster
    key = team.eve.client.keychain.newest(roster, roster.team_space)
    closing = draft(context, roster.team, key, Content([events.Closed(type="closed", invite=still.id.hex())]))
    team.store.plant(slot_name(context.seq), closing)

    first, second = team.void_reasons(context.seq)
    assert first is not None
    assert "closes an invite" in first
    assert first == second
    assert [None, None] == team.void_reasons(in_2100.seq)
    cat = hurried(client(person("cat"), team.store, team.root / "cat"))
    join(cat, link)
    team.all_well()


def test_a_push_that_lost_the_race_to_a_removal_is_refused(team: Team) -> None:
    """Eve is removed while her push is on its way: her own client says so, and the commit she had ready is void for all."""
    gate = CuttingStore(team.store, 0, after=False, prefix="manifests/")
    eve = Laptop(
        hurried(client(replace(person("eve"), identity=team.eve.client.identity), gate, team.root / "eve")),
        team.root / "eve",
    )
    ready: list[bytes] = []

    def removal() -> None:
        ready.append(idle(team, replace(team.context(team.eve), seq=team.eve.client.log.next_seq + 1)))
        remove_member(team.ana.client, eve.client.identity.member_id)

    gate.cut = removal
    eve.provider.put(LIE)
    with pytest.raises(KeyNeeded, match="no longer"):
        eve.provider.sync()
    team.store.plant(slot_name(team.ana.client.log.next_seq), ready[0])
    first, second = team.void_reasons(team.ana.client.log.next_seq)

    assert first is not None
    assert first == second
    assert not {node.hash for node in LIE} & set(team.ana.pulled())
    team.all_well()


def test_another_members_private_space_stays_shut(team: Team) -> None:
    """Eve reads the whole bucket with every key she holds: Ana's private nodes are listed for, and open to, nobody else."""
    eve, ana = team.eve.client, team.ana.client
    eve.log.catch_up()
    private = eve.roster.private_space_of(ana.identity.member_id)
    assert private is not None
    held = [eve.keychain.at(eve.roster, eve.roster.team_space, n) for n in range(1, 4)]
    sealed = [
        i.name
        for i in team.store.list("manifests/")
        if read_header(team.store.get(i.name), i.name).space == private.id
    ]

    assert sealed
    assert not eve.keychain.can_read(eve.roster, private.id)
    with pytest.raises(KeyNeeded):
        eve.keychain.newest(eve.roster, private.id)
    for name in sealed:
        for key in held:
            forced = SealKey(key.team, private.id, 1, key.key)
            with pytest.raises(VerificationFailed):
                open_manifest(forced, team.store.get(name), name)
    assert not {node.hash for node in ANAS_PRIVATE} & set(team.eve.pulled())


def test_an_ex_member_with_all_old_keys_reads_and_writes_nothing_new(team: Team) -> None:
    """Eve kept her keys and every old epoch: what came after her removal opens with none of them, what she writes is void."""
    eve = team.eve.client
    old = [eve.keychain.at(eve.roster, eve.roster.team_space, n + 1) for n in range(epochs_of(team))]
    remove_member(team.ana.client, eve.identity.member_id)
    before = {info.name for info in team.store.list("")}
    team.all_well()
    new = [i.name for i in team.store.list("manifests/") if i.name not in before]
    eve.log.catch_up()

    assert new
    for name in new:
        data = team.store.get(name)
        for key in old:
            for epoch in (key.epoch, read_header(data, name).epoch):
                with pytest.raises(VerificationFailed):
                    open_manifest(SealKey(key.team, key.space, epoch, key.key), data, name)
    with pytest.raises(KeyNeeded):
        Keychain([eve.identity.device]).newest(eve.roster, eve.roster.team_space)
    with pytest.raises(KeyNeeded):
        team.eve.provider.sync()
    context = team.context(team.eve)
    told = Content([events.Rewrap(type="rewrap", grants=[])])
    newest = replace(old[-1], epoch=epochs_of(team))
    team.store.plant(slot_name(context.seq), draft(context, eve.roster.team, newest, told))
    assert ["is by no device the team admits"] * 2 == team.void_reasons(context.seq)
    team.all_well()


def epochs_of(team: Team) -> int:
    roster = team.ana.client.roster
    return len(roster.spaces[roster.team_space].epochs)


def test_who_asked_to_leave_cannot_choose_the_next_key(team: Team) -> None:
    """Eve leaves and then sends an epoch of her own making: void; the next writer's epoch shuts her out."""
    eve = team.eve.client
    eve.log.catch_up()
    before = epochs_of(team)
    leave(eve)
    removal = events.MemberRemoved(type="member_removed", member=eve.identity.member_id.hex())
    with pytest.raises(KeyNeeded):
        commit_ends(eve, removal)
    team.ben.provider.sync()
    team.ana.client.log.catch_up()

    assert before + 1 == epochs_of(team)
    newest = team.ana.client.roster.spaces[team.ana.client.roster.team_space].newest
    assert eve.identity.device.public.x25519 not in newest.wraps
    team.all_well()


def test_a_removed_members_verify_asks_for_a_key_and_blames_nobody(team: Team) -> None:
    """Eve, removed, lacks the new epoch: her `verify` says so, instead of calling the bucket damaged."""
    remove_member(team.ana.client, team.eve.client.identity.member_id)
    with pytest.raises(KeyNeeded, match="no longer") as error:
        verify(team.eve.client)
    assert "--keyless" in error.value.hint

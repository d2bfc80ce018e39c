"""Who runs the bucket: can see names, sizes and times, can delete, withhold and replay; cannot read, alter unseen, or forge."""

import base64
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from crypto.errors import TapesError, VerificationFailed
from store.blobs import BlobInfo, BlobStore, PutOutcome
from store.names import slot_name
from store.nodes import node_to_bytes
from store.packs import scan_frames
from sync.cache import ObjectCache
from sync.shelves import FolderShelf
from sync.verify import verify
from tests.fakes.strict_store import StrictStore
from tests.faults.worlds import BENS_NODES, TEAM_NODES, CuttingStore, Template, World, impatient, template
from tests.laptops import Laptop, conversation

TRUTH = {node.hash for node in [*TEAM_NODES, *BENS_NODES]}


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """A small team."""
    return template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(at_rest: Template, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    """A copy of it, to which Ana has pushed."""
    impatient(monkeypatch.setitem)
    made = at_rest.copy(tmp_path)
    ana = made.laptop("ana")
    ana.provider.sync()
    ana.close()
    return made


def contents(world: World) -> dict[str, bytes]:
    return dict(world.store.snapshot().objects)


def reader(world: World, name: str = "ben") -> Laptop:
    """A member who has read everything before the attack."""
    laptop = world.laptop(name)
    laptop.provider.sync()
    return laptop


def found(laptop: Laptop) -> set[str]:
    """The objects that verify's findings name; a finding about a frame begins with its pack's name."""
    return {finding.object.split(" ")[0] for finding in verify(laptop.client).findings}


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


# ── altering what is there ──────────────────────────────────────────────────────────────────────────────────────────────


def test_any_changed_byte_is_found_with_its_object(world: World) -> None:
    """The operator flips one bit, anywhere in any object: verify names that object and no other."""
    ben, chance = reader(world, "cat"), random.Random(20261120)
    for name, data in contents(world).items():
        for at in {0, len(data) - 1, *(chance.randrange(len(data)) for _ in range(3))}:
            world.store.plant(name, flipped(data, at))
            assert {name} == found(ben), (name, at)
        world.store.plant(name, data)
    assert not found(ben)


@pytest.mark.parametrize("cut", [1, 500], ids="less-{}".format)
def test_a_cut_or_missing_object_is_found_by_name(world: World, cut: int) -> None:
    """The operator cuts an object's end off, lengthens it, or removes it: verify names it."""
    ben = reader(world, "cat")
    for name, data in contents(world).items():
        for changed in (data[:-cut] or None, data + data[:cut], None):
            world.store.plant(name, changed)
            assert name in found(ben), name
        world.store.plant(name, data)
    assert not found(ben)


def test_nothing_altered_enters_a_newcomers_home(world: World) -> None:
    """Whatever one object the operator alters, a fresh home takes in nothing but true rows."""
    for number, (name, data) in enumerate(contents(world).items()):
        world.store.plant(name, flipped(data, len(data) // 2))
        fresh = world.laptop("cat", home=f"fresh-{number}")
        with suppress(TapesError):  # any of our errors will do; what counts is what came in before it
            fresh.provider.pull()
            fresh.provider.sync(full=True)
        if fresh.client.log.point.roster is not None:
            assert set(fresh.pulled()) <= TRUTH, name
        fresh.close()
        world.store.plant(name, data)


def test_two_objects_of_equal_length_exchanged_are_both_found(world: World) -> None:
    """The operator exchanges two packs of the same size, so that every length still fits: both are named."""
    ben = world.laptop("ben")
    pair: tuple[str, str] | None = None
    by_size: dict[int, str] = {}
    for number in range(40):
        ben.provider.put(conversation(f"talk {number:02}", 1))
        ben.provider.sync()
        for info in world.store.list("packs/"):
            other = by_size.setdefault(info.size_bytes, info.name)
            if other != info.name:
                pair = (other, info.name)
        if pair is not None:
            break
    assert pair is not None
    first, second = (world.store.get(name) for name in pair)
    world.store.plant(pair[0], second)
    world.store.plant(pair[1], first)

    assert set(pair) == found(ben)


def test_equal_numbered_frames_exchanged_between_packs_reach_nobody(world: World) -> None:
    """The operator builds a pack with another pack's first frame; found under the old name, unasked for under its own."""
    ben = reader(world)
    packs = [name for name in contents(world) if name.startswith("packs/")]
    one, other = (bytearray(world.store.get(name)) for name in packs[:2])
    here, there = (scan_frames(bytes(data), "pack")[0] for data in (one, other))
    forged = bytes(
        one[: here.offset - 4]
        + other[there.offset - 4 : there.offset + there.length]
        + one[here.offset + here.length :]
    )
    renamed = f"packs/{packs[0].split('/')[1]}/{sha256(forged).hexdigest()}"
    world.store.plant(renamed, forged)
    report = verify(ben.client)
    assert report.ok
    assert renamed in {notice.object for notice in report.notices}

    honest = bytes(one)
    world.store.plant(packs[0], forged)
    assert packs[0] in found(ben)
    world.store.plant(packs[0], honest)
    assert verify(ben.client).ok


def test_a_range_read_of_an_altered_frame_returns_nothing(world: World) -> None:
    """The operator alters one frame and serves it to a reader who asks for just that: the pack is named, no byte returned."""
    ben = reader(world)
    name = next(name for name in contents(world) if name.startswith("packs/"))
    data = world.store.get(name)
    place = scan_frames(data, name)[0]
    named = ben.client.replica.named_object(name.rsplit("/", 1)[-1])
    assert named is not None
    world.store.plant(name, flipped(data, place.offset + 60))
    shelf = FolderShelf(world.root / "cold")
    cold = ObjectCache(world.store, shelf, shelf)

    with pytest.raises(VerificationFailed) as error:
        cold.frame(named[0], place.offset, place.length, place.sha256.hex())
    assert name == error.value.obj
    assert not [path for path in (world.root / "cold").rglob("*") if path.is_file()]


# ── the log ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def newest(world: World) -> int:
    return max(int(name.split("/")[1]) for name in contents(world) if name.startswith("log/"))


def test_an_old_commit_replayed_is_void(world: World) -> None:
    """The operator copies every earlier commit into the next slot: each is void for all, and the next commit steps over it."""
    ana, ben = reader(world, "ana"), reader(world)
    last = newest(world)
    for old in range(last + 1):
        world.store.plant(slot_name(newest(world) + 1), world.store.get(slot_name(old)))
    ana.provider.put(conversation("over it", 1))
    ana.provider.sync()
    ben.provider.sync()

    assert ana.client.log.point == ben.client.log.point
    report = verify(ben.client)
    assert report.ok
    assert last + 1 == len([n for n in report.notices if "is void" in n.problem])


def test_a_commit_of_the_operators_own_is_void(world: World) -> None:
    """The operator signs a commit with keys of their own: void."""
    stranger = StrictStore()
    stranger.restore(template(world.root / "other").snapshot)
    world.store.plant(slot_name(newest(world) + 1), stranger.get(slot_name(1)))
    ana = reader(world, "ana")
    ana.provider.put(conversation("over it", 1))
    ana.provider.sync()

    assert verify(ana.client).ok


def test_another_teams_prefix_is_refused(world: World, tmp_path: Path) -> None:
    """The operator serves another team's whole prefix: exit 6 at the first slot that differs, and nothing of it enters."""
    ben = reader(world)
    before = ben.pulled()
    stranger = template(tmp_path / "elsewhere")
    world.store.restore(stranger.snapshot)

    with pytest.raises(VerificationFailed) as error:
        ben.provider.sync()
    assert (6, before) == (error.value.exit_code, ben.pulled())


def test_withheld_commits_are_only_late(world: World) -> None:
    """The operator hides the newest commits from Ben: he sees the past as it was, nothing false, and all once they show."""
    whole = world.store.snapshot()
    hidden = [name for name in contents(world) if name.startswith("log/")][-3:]
    for name in hidden:
        world.store.plant(name, None)
    ben = reader(world)
    assert set(ben.pulled()) < TRUTH
    world.store.restore(whole)
    ben.provider.sync()

    assert set(ben.pulled()) == TRUTH
    assert verify(ben.client).ok


# ── squatting ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_squatted_log_numbers_cost_their_numbers(world: World) -> None:
    """Somebody with bucket access fills log numbers far ahead: the team writes on, and steps over each when it gets there."""
    ana, ben = reader(world, "ana"), reader(world)
    ahead = newest(world) + 4
    for seq in (ahead, ahead + 1, 999_999_999_999):
        world.store.plant(slot_name(seq), b"mine")
    for number in range(8):
        ana.provider.put(conversation(f"talk {number}", 1))
        ana.provider.sync()
        ben.provider.sync()

    assert ana.client.log.point == ben.client.log.point
    assert ana.client.log.next_seq > ahead + 2
    report = verify(ben.client)
    assert report.ok
    assert {slot_name(s) for s in (ahead, ahead + 1, 999_999_999_999)} <= {n.object for n in report.notices}


@dataclass
class SquattingStore:
    """A bucket that puts junk under the first name that somebody is about to create below a prefix."""

    inner: BlobStore
    prefix: str
    plant: Callable[[str, bytes], None]
    squatted: str = ""

    def describe(self) -> str:
        return self.inner.describe()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        if not self.squatted and name.startswith(self.prefix):
            self.squatted = name
            self.plant(name, b"squatted")
        return self.inner.put_if_absent(name, data)

    def put_projection(self, name: str, data: bytes) -> None:
        self.inner.put_projection(name, data)

    def get(self, name: str) -> bytes:
        return self.inner.get(name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        return self.inner.get_range(name, offset, length)

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        return self.inner.list(prefix, start_after)

    def delete(self, name: str) -> None:
        self.inner.delete(name)


@pytest.mark.parametrize("prefix", ["packs/", "manifests/"])
def test_a_squatted_object_name_is_sealed_again_under_another(world: World, prefix: str) -> None:
    """The operator puts junk under the very name a pack is about to take: found, and the nodes go out under a new one."""
    squatting = SquattingStore(world.store, prefix, world.store.plant)
    ben = world.laptop("ben", squatting)
    said = conversation("not to be stopped", 2)
    ben.provider.put(said)
    ben.provider.sync()

    assert squatting.squatted
    assert {node.hash for node in said} <= set(ben.pulled())
    named = {f"{r.kind}s/{r.base:012}/{r.sha256}" for r, _ in ben.client.replica.named_objects()}
    assert squatting.squatted not in named
    assert {squatting.squatted} == found(ben)


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def spellings(needle: bytes) -> Iterator[bytes]:
    """Raw, hex, and base64 at each of the three alignments, both alphabets."""
    yield needle
    yield needle.hex().encode()
    yield needle.hex().upper().encode()
    for shift in range(3):
        whole = base64.b64encode(b"\0" * shift + needle)
        inner = whole[4 if shift else 0 : -4]  # only the characters that depend on nothing but the needle
        yield inner
        yield inner.replace(b"+", b"-").replace(b"/", b"_")


def test_a_guessed_message_cannot_be_confirmed(world: World) -> None:
    """The operator knows a message word for word and searches for any of its hashes, in any spelling: nothing is there."""
    seen = b"".join(name.encode() + b"\n" + data for name, data in contents(world).items())
    for node in [*TEAM_NODES, *BENS_NODES]:
        text = node.bucket["content"][0]["text"].encode()
        stored = node_to_bytes(node)
        for secret in (
            bytes.fromhex(node.hash),
            text,
            sha256(text).digest(),
            sha256(stored).digest(),
            stored[:64],
            (node.project or "").encode() * 3,
        ):
            assert not [spelt for spelt in spellings(secret) if spelt in seen]


def test_one_commit_shown_to_a_writer_in_the_middle_of_a_push_changes_nothing(world: World) -> None:
    """The operator swaps a fork in while Ben uploads: his commit is refused before it is written, and his past stays his own."""
    ben = reader(world)
    pinned = [slot.data for slot in ben.client.replica.slots()]
    gate = CuttingStore(world.store, 0, after=False, prefix="packs/")
    gate.cut = lambda: world.store.plant(slot_name(newest(world)), b"another past")
    again = world.laptop("ben", gate)
    again.provider.put(conversation("pushed onto a fork", 1))
    with pytest.raises(VerificationFailed, match=f"{slot_name(len(pinned) - 1)}: is different"):
        again.provider.sync()
    assert pinned == [slot.data for slot in again.client.replica.slots()]
    assert len(pinned) == len(list(world.store.list("log/")))

    assert slot_name(len(pinned) - 1) in found(again)

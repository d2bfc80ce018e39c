"""Segments: the byte format, the plan, bootstrap in few reads, and every way in which one may lie."""

import json
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import FormatBroken, VerificationFailed
from crypto.signatures_ahead import SignaturesAhead
from store import events
from store.canonical import canonical
from store.commits import encode
from store.names import SEGMENTS, SegmentName, segment_of, slot_name
from store.segments import read_segment, segment_commits_max, write_segment
from sync import log as log_module
from sync import segment_writer
from sync import segments as segments_module
from sync.client import Client
from sync.drafts import Content, DraftContext, draft
from sync.gc import collect
from sync.segment_writer import chain, next_range, write_due
from sync.segments import listed_segments, segments_refused_max
from tests.actors import client, founded, joined, person
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, conversation

TAIL = 12  # stands for the real 256, so that logs here stay short


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_writer, "segment_tail_commits", TAIL)
    monkeypatch.setattr(segment_writer, "segments_merged_min", 3)
    monkeypatch.setattr(log_module, "read_ahead_slots_min", 6)


@pytest.fixture
def store() -> StrictStore:
    """A strict bucket in memory."""
    return StrictStore()


@pytest.fixture
def ana(store: StrictStore, tmp_path: Path) -> Client:
    """A founder."""
    return founded(store, tmp_path / "ana")


def note(made: Client) -> Callable[[DraftContext], bytes]:
    """A drafter that says next to nothing."""

    def drafter(context: DraftContext) -> bytes:
        key = made.keychain.newest(made.roster, made.roster.team_space)
        return draft(context, made.roster.team, key, Content([events.Rewrap(type="rewrap", grants=[])]))

    return drafter


def grow(made: Client, commits: int) -> None:
    for _ in range(commits):
        made.commit(note(made))


def fresh(store: StrictStore, home: Path) -> Client:
    """Somebody who has seen nothing yet."""
    store.history.clear()
    return client(person("fresh"), store, home)


def slots_read(store: StrictStore) -> list[str]:
    return [name for op, name in store.history if op == "get" and name.startswith("log/")]


def swap(store: StrictStore, name: SegmentName, data: bytes, last: int | None = None) -> SegmentName:
    """Put another segment in a segment's place, under a name that fits its bytes."""
    store.plant(str(name), None)
    made = SegmentName(name.first, name.last if last is None else last, sha256(data).hexdigest())
    store.plant(str(made), data)
    return made


@given(
    first=st.integers(0, 10**6),
    commits=st.lists(st.binary(min_size=1), min_size=1),
    extra=st.lists(st.binary(min_size=1)),
)
def test_what_is_written_is_read(first: int, commits: list[bytes], extra: list[bytes]) -> None:
    """Any run of slots and any manifests come back byte for byte, with the range they were written for."""
    read = read_segment(write_segment(first, commits, extra), "segments/x")

    assert (first, tuple(commits)) == (read.first, read.commits)
    assert {sha256(part).hexdigest(): part for part in extra} == read.manifests
    assert first + len(commits) - 1 == read.last


@given(data=st.data())
def test_a_damaged_segment_is_refused(data: st.DataObject) -> None:
    """Cut anywhere or with any byte of index or parts changed, it is FormatBroken; a changed first slot no digest can tell."""
    whole = write_segment(5, [b"one", b"two"], [b"manifest"])
    cut = data.draw(st.integers(0, len(whole) - 1))
    at = data.draw(st.integers(16, len(whole) - 1))
    flipped = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]

    for broken in (whole[:cut], flipped, whole + b"x"):
        with pytest.raises(FormatBroken):
            read_segment(broken, "segments/x")


@given(data=st.binary(max_size=200))
def test_garbage_is_no_segment(data: bytes) -> None:
    """No bytes crash the reader."""
    with pytest.raises(FormatBroken):
        read_segment(b"TAPESEG\0" + data[:14], "segments/x")
    with pytest.raises(FormatBroken):
        read_segment(data, "segments/x")


def test_a_segment_keeps_to_its_limits() -> None:
    """What no reader would take is not written."""
    with pytest.raises(ValueError, match="no segment"):
        write_segment(0, [b"x"] * (segment_commits_max + 1), [])
    with pytest.raises(ValueError, match="no segment"):
        write_segment(0, [], [])


def test_names_tell_their_range() -> None:
    """First slot, last slot, digest; anything else under segments/ is a stranger's."""
    name = SegmentName(3, 9, "a" * 64)

    assert name == segment_of(str(name))
    for other in ("segments/x", f"segments/{9:012d}/{3:012d}/{'a' * 64}", str(name)[:-1], str(name) + "a"):
        assert segment_of(other) is None


@given(pushes=st.lists(st.integers(1, 3 * TAIL), max_size=40))
def test_the_plan_covers_the_log_and_stays_short(pushes: list[int]) -> None:
    """However the log grows, the chain has no gap, leaves a tail shorter than the limit, and merges what is small."""
    sizes: dict[SegmentName, int] = {}
    head = -1
    for grown in pushes:
        head += grown
        while due := next_range(links := chain(sizes, head), sizes, head):
            assert due[0] <= due[1] <= head
            assert due not in [(name.first, name.last) for name in links]
            sizes[SegmentName(*due, f"{len(sizes):064d}")] = 1000
        links = chain(sizes, head)
        covered = links[-1].last + 1 if links else 0
        assert head + 1 - covered < TAIL
        assert len(links) < 3 + (head + 1) // segment_commits_max * 2


def test_a_new_device_bootstraps_in_few_reads(store: StrictStore, ana: Client, tmp_path: Path) -> None:
    """The log of many commits comes by segments; one slot per segment is compared, the tail is read, the roster is the same."""
    grow(ana, 3 * TAIL + 4)
    assert 1 == len(write_due(ana))
    grow(ana, 2)
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()

    assert ana.log.point == cat.log.point
    assert [slot_name(3 * TAIL + 4 + n) for n in range(4)] == slots_read(store)
    assert not cat.segments.told()
    assert [(s.seq, s.sha256, s.data) for s in ana.replica.slots()] == [
        (s.seq, s.sha256, s.data) for s in cat.replica.slots()
    ]


def test_manifests_come_with_them(store: StrictStore, tmp_path: Path) -> None:
    """A new member who bootstraps by segment fetches no manifest that the writer had."""
    owner = founded(store, tmp_path / "ana")
    ana = Laptop(owner, tmp_path / "ana")
    for number in range(TAIL):
        ana.provider.put(conversation(f"talk {number}", 2))
        ana.provider.sync()
    assert listed_segments(store)
    ben = Laptop(joined(owner, store, tmp_path / "ben"), tmp_path / "ben")
    store.history.clear()
    ben.provider.sync()

    assert 2 * TAIL == len(ben.pulled())
    fetched = [name for op, name in store.history if op == "get" and name.startswith("manifests/")]
    assert len(fetched) <= 2


def test_an_idle_poll_never_looks_at_segments(store: StrictStore, tmp_path: Path) -> None:
    """Nothing new costs the pinned head, the next slot and one LIST, however many segments there are."""
    ana = Laptop(founded(store, tmp_path / "ana"), tmp_path / "ana")
    for number in range(TAIL):
        ana.provider.put(conversation(f"talk {number}", 2))
        ana.provider.sync()
    store.history.clear()
    ana.provider.sync()

    assert ["get", "list", "get"] == [op for op, _ in store.history]
    assert not [name for _, name in store.history if name.startswith(SEGMENTS)]


def _cut(store: StrictStore, name: SegmentName, data: bytes) -> None:
    store.plant(str(name), data[:-5])


def _whole_but_lying(store: StrictStore, name: SegmentName, data: bytes) -> None:
    """A slot replaced by garbage, digests made to fit."""
    segment = read_segment(data, str(name))
    swap(store, name, write_segment(0, [*segment.commits[:4], b"garbage", *segment.commits[5:]], []))


def _another_range(store: StrictStore, name: SegmentName, data: bytes) -> None:
    swap(store, name, data, last=name.last + 1)


def _gone(store: StrictStore, name: SegmentName, _: bytes) -> None:
    """Deleted between the LIST and the read."""
    honest = store.list

    def stale(prefix: str, start_after: str = ""):  # type: ignore[no-untyped-def]
        found = list(honest(prefix, start_after))
        if prefix == SEGMENTS:
            store.plant(str(name), None)
        return iter(found)

    store.list = stale  # type: ignore[method-assign]


@pytest.mark.parametrize("damage", [_cut, _whole_but_lying, _another_range, _gone])
def test_a_useless_segment_is_named_and_not_used(
    store: StrictStore, ana: Client, tmp_path: Path, damage: Callable[[StrictStore, SegmentName, bytes], None]
) -> None:
    """Cut, lying, misnamed or gone: a notice, and the slots are read one by one to the same end."""
    grow(ana, 2 * TAIL)
    (name,) = write_due(ana)
    damage(store, name, store.get(str(name)))
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()

    assert ana.log.point == cat.log.point
    assert any("segments/" in told and "not used" in told for told in cat.segments.told())


def test_a_fork_in_a_segment_is_not_believed(store: StrictStore, ana: Client, tmp_path: Path) -> None:
    """A member who signs another history into a segment gets nothing pinned: its newest commit is not what its slot holds."""
    twin = store.fork()
    forked = client(
        type("P", (), {"identity": ana.identity})(),
        twin,
        tmp_path / "twin",
    )
    forked.log.catch_up()
    grow(ana, 2 * TAIL)
    grow(forked, 2 * TAIL)
    (name,) = write_due(forked)
    store.plant(str(name), twin.get(str(name)))
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()

    assert ana.log.point == cat.log.point
    assert 1 == len(cat.segments.told())


def test_void_slots_are_compared_with_the_log(store: StrictStore, ana: Client, tmp_path: Path) -> None:
    """No chain vouches for garbage: other garbage in a segment must not be pinned as what the log holds."""
    grow(ana, 4)
    store.plant(slot_name(5), b"garbage in the log")
    grow(ana, 2 * TAIL)
    (name,) = write_due(ana)
    honest = read_segment(store.get(str(name)), str(name))
    lying = [*honest.commits[:5], b"other garbage", *honest.commits[6:]]
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()
    swap(store, name, write_segment(0, lying, []))
    dan = fresh(store, tmp_path / "dan")
    dan.log.refresh()

    for reader, notices in ((cat, 0), (dan, 1)):
        assert notices == len(reader.segments.told())
        pinned = reader.replica.slot(5)
        assert pinned is not None
        assert b"garbage in the log" == pinned.data
        assert ana.log.point == reader.log.point


@pytest.mark.parametrize("judged_at_once", [3, 1000])
def test_a_repeated_commit_is_void_in_a_segment_too(
    store: StrictStore, ana: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged_at_once: int
) -> None:
    """A device that says an id twice gets a void slot from whoever reads by segments, in one batch or across two."""
    grow(ana, 4)
    said = json.loads(store.get(slot_name(3)))
    again = {**said, "seq": 5, "prev": sha256(store.get(slot_name(4))).hexdigest()}
    del again["sig"]
    store.plant(slot_name(5), encode(again, ana.identity.device.sign_seed))
    grow(ana, 2 * TAIL)
    write_due(ana)
    monkeypatch.setattr(log_module, "judged_at_once", judged_at_once)
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()

    assert ana.log.point == cat.log.point
    assert slot_name(6) not in slots_read(store)
    voids = [(slot.seq, slot.void_reason) for slot in cat.replica.slots() if slot.void_reason]
    assert [(5, "repeats an earlier commit of this device")] == voids


@pytest.mark.parametrize("cores", ["one", "two", "two, one process killed"])
def test_a_bad_signature_is_void_whoever_checks_it(
    store: StrictStore, ana: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cores: str
) -> None:
    """Checked here, ahead in another process, or here after that process ended: the same slots are void, the same log is read."""
    grow(ana, 4)
    said = json.loads(store.get(slot_name(4)))
    forged = {**said, "id": "ab" * 16, "seq": 5, "prev": sha256(store.get(slot_name(4))).hexdigest()}
    forged["sig"] = said["sig"]
    store.plant(slot_name(5), canonical(forged))
    grow(ana, 2 * TAIL)
    write_due(ana)
    monkeypatch.setattr(log_module, "judged_at_once", 3)
    monkeypatch.setattr(segments_module, "worthwhile", lambda: cores != "one")
    if "killed" in cores:
        monkeypatch.setattr(SignaturesAhead, "answer", _ending(SignaturesAhead.answer, after=7))
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()

    assert ana.log.point == cat.log.point
    voids = [(slot.seq, slot.void_reason) for slot in cat.replica.slots() if slot.void_reason]
    assert [(5, "the signature does not hold")] == voids


def _ending(
    answer: Callable[[SignaturesAhead, int], bool | None], after: int
) -> Callable[[SignaturesAhead, int], bool | None]:
    """Answers until the process is killed."""

    def ends(self: SignaturesAhead, number: int) -> bool | None:
        if number == after:
            self._process.kill()
        return answer(self, number)

    return ends


def test_a_flood_of_lies_costs_a_few_reads(store: StrictStore, ana: Client, tmp_path: Path) -> None:
    """After a few useless segments the log is read as if there were none."""
    grow(ana, TAIL)
    for number in range(50):
        data = b"lie %d" % number
        store.plant(str(SegmentName(0, TAIL, sha256(data).hexdigest())), data)
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()

    assert ana.log.point == cat.log.point
    read = [name for op, name in store.history if op == "get" and name.startswith(SEGMENTS)]
    assert segments_refused_max == len(read)


def test_a_kill_inside_a_segment_repeats_it(
    store: StrictStore, ana: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing of a segment is pinned before all of it is; the next run takes it in whole."""
    monkeypatch.setattr(log_module, "judged_at_once", 5)
    grow(ana, 2 * TAIL)
    write_due(ana)
    cat = fresh(store, tmp_path / "cat")
    accept, left = cat.replica.accept_if_new, [3]

    def cut(judged):  # type: ignore[no-untyped-def]
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        return accept(judged)

    cat.replica.accept_if_new = cut  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        cat.log.refresh()
    assert cat.replica.head() is None
    cat.replica.accept_if_new = accept  # type: ignore[method-assign]
    cat.log.refresh()

    assert ana.log.point == cat.log.point


def test_a_hole_in_the_log_is_still_found(store: StrictStore, ana: Client, tmp_path: Path) -> None:
    """A segment may bridge a lost slot for reading, but the hole past its end stops a reader as ever."""
    grow(ana, 2 * TAIL)
    write_due(ana)
    grow(ana, 3)
    store.plant(slot_name(2 * TAIL + 2), None)
    cat = fresh(store, tmp_path / "cat")

    with pytest.raises(VerificationFailed, match="is missing, though slot"):
        cat.log.refresh()


def test_small_ones_become_one_and_gc_removes_them(store: StrictStore, tmp_path: Path) -> None:
    """Merged segments supersede their parts; gc removes those and a lie, and keeps what a reader would use."""
    laptop = Laptop(founded(store, tmp_path / "ana"), tmp_path / "ana")
    ana = laptop.client
    for _ in range(3):
        grow(ana, TAIL)
        write_due(ana)
    lie = SegmentName(0, 20, sha256(b"lie").hexdigest())
    store.plant(str(lie), b"lie")
    before = listed_segments(store)
    assert 5 == len(before)
    report = collect(ana)

    assert 4 == report.segments
    assert chain(before, 10**6)[:1] == list(listed_segments(store))
    cat = fresh(store, tmp_path / "cat")
    cat.log.refresh()
    assert ana.log.point == cat.log.point

"""The folder as bucket: crashes, several processes, planted links, full and missing disks."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from crypto.errors import BlobNotFound, StoreError, StoreRefused, StoreUnknown
from store.blobs import PutOutcome
from store.directory import TEMP, DirectoryStore
from store.names import slot_name
from tests.services.shared import HOUSE

SLOT = slot_name(0)
racing_processes = 6
slots_raced = 20
reads_proc = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="looks into /proc, which only Linux has"
)

_KILLED_AT = """
import os, sys
from pathlib import Path
from store.directory import DirectoryStore
name, at = sys.argv[2], int(sys.argv[3])
calls = 0
def die(event, args):
    global calls
    if event in ("open", "os.link", "os.mkdir", "os.remove", "os.rename"):
        calls += 1
        if calls == at:
            os._exit(9)
store = DirectoryStore(Path(sys.argv[1]))
sys.addaudithook(die)
store.put_if_absent(name, b"whole" * 1000)
os._exit(0)
"""

_RACE = """
import sys
from pathlib import Path
from store.blobs import PutOutcome
from store.directory import DirectoryStore
store = DirectoryStore(Path(sys.argv[1]))
sys.stdin.readline()
for slot in range(int(sys.argv[3])):
    if store.put_if_absent(f"log/{slot:012d}", sys.argv[2].encode()) is PutOutcome.CREATED:
        print(slot)
"""


def test_a_kill_at_any_system_call_leaves_the_name_whole_or_absent(tmp_path: Path) -> None:
    """A writer killed before each of its file operations leaves no half object, nothing listed, and a free or finished name."""
    seen_whole = 0
    for at in range(1, 100):
        root = tmp_path / str(at)
        done = subprocess.run([sys.executable, "-c", _KILLED_AT, root, SLOT, str(at)], cwd=HOUSE, check=False)
        store = DirectoryStore(root)
        listed = [(info.name, info.size_bytes) for info in store.list("")]
        assert listed in ([], [(SLOT, 5000)])
        seen_whole += bool(listed)
        expected = PutOutcome.EXISTS if listed else PutOutcome.CREATED
        assert store.put_if_absent(SLOT, b"whole" * 1000) is expected
        assert store.get(SLOT) == b"whole" * 1000
        if done.returncode == 0:
            break
        assert done.returncode == 9
    assert at > 8, "the hook saw too few operations to have tried every one"
    assert seen_whole > 1, "no kill fell between the link and the end"


def test_processes_race_and_each_slot_has_one_winner(tmp_path: Path) -> None:
    """Six processes that fill the same slots at once: each slot is created exactly once, with its winner's bytes."""
    store = DirectoryStore(tmp_path / "bucket")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", _RACE, tmp_path / "bucket", str(number), str(slots_raced)],
            cwd=HOUSE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(racing_processes)
    ]
    outputs = [racer.communicate(timeout=60)[0] for racer in _released(racers)]

    winners = {int(slot): number for number, output in enumerate(outputs) for slot in output.split()}
    assert sum(len(output.split()) for output in outputs) == slots_raced
    assert {slot: int(store.get(slot_name(slot))) for slot in range(slots_raced)} == winners


def _released(racers: list["subprocess.Popen[str]"]) -> list["subprocess.Popen[str]"]:
    """Let all of them go before any is waited for."""
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    return racers


def test_leftovers_are_neither_listed_nor_reached(tmp_path: Path) -> None:
    """What a crashed writer left in the hidden folder is no object, and hidden files of strangers are none either."""
    store = DirectoryStore(tmp_path)
    store.put_if_absent(SLOT, b"x")
    (tmp_path / TEMP / "0123").write_bytes(b"half")
    (tmp_path / "log" / ".DS_Store").write_bytes(b"stranger")

    assert [info.name for info in store.list("")] == [SLOT]
    with pytest.raises(StoreRefused):
        store.get(f"{TEMP}/0123")


def test_a_finished_put_leaves_nothing_behind(tmp_path: Path) -> None:
    """Winner, loser and projection all clean up their temporary file."""
    store = DirectoryStore(tmp_path)

    store.put_if_absent(SLOT, b"x")
    store.put_if_absent(SLOT, b"y")
    store.put_projection("checkpoint", b"z")

    assert list((tmp_path / TEMP).iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/etc/passwd",
        "../outside",
        "log/../../outside",
        "log//1",
        "log/",
        "./log",
        "log/.",
        "Log/1",
        "log/a b",
        "log/ü",
        "log/a\0b",
        "log/a\n",
        "log\\1",
        "x" * 600,
    ],
)
def test_bad_names_are_refused_everywhere(tmp_path: Path, name: str) -> None:
    """A name that could leave the folder, hide in it or fold with another is refused by every method."""
    store = DirectoryStore(tmp_path / "bucket")

    for call in (
        lambda: store.put_if_absent(name, b"x"),
        lambda: store.put_projection(name, b"x"),
        lambda: store.get(name),
        lambda: store.get_range(name, 0, 1),
        lambda: store.delete(name),
    ):
        with pytest.raises(StoreRefused):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["bucket"]


def test_empty_data_is_refused(tmp_path: Path) -> None:
    """No object is empty: an empty file is always somebody's accident."""
    with pytest.raises(StoreRefused):
        DirectoryStore(tmp_path).put_if_absent(SLOT, b"")


def test_planted_links_are_not_followed(tmp_path: Path) -> None:
    """A symbolic link inside a shared folder leads neither a read, a write, a list nor a delete out of it."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "000000000000").write_bytes(b"secret")
    bucket = tmp_path / "bucket"
    store = DirectoryStore(bucket)
    (bucket / "log").symlink_to(outside)
    (bucket / "checkpoint").symlink_to(outside / "000000000000")

    for call in (
        lambda: store.get(SLOT),
        lambda: store.get("checkpoint"),
        lambda: store.put_if_absent(slot_name(1), b"x"),
        lambda: store.delete(SLOT),
    ):
        with pytest.raises(StoreRefused):
            call()
    assert list(store.list("")) == []
    assert [path.name for path in outside.iterdir()] == ["000000000000"]


def test_a_projection_replaces_a_planted_link(tmp_path: Path) -> None:
    """Writing over a planted link replaces the link, not what it points to."""
    (tmp_path / "target").write_bytes(b"keep")
    store = DirectoryStore(tmp_path / "bucket")
    (tmp_path / "bucket" / "checkpoint").symlink_to(tmp_path / "target")

    store.put_projection("checkpoint", b"new")

    assert store.get("checkpoint") == b"new"
    assert (tmp_path / "target").read_bytes() == b"keep"


@pytest.mark.parametrize("plant", ["folder", "pipe"])
def test_what_is_no_plain_file_is_refused(tmp_path: Path, plant: str) -> None:
    """A folder or a pipe under an object's name is an error at once, not a hang."""
    store = DirectoryStore(tmp_path)
    (tmp_path / "checkpoint").mkdir() if plant == "folder" else os.mkfifo(tmp_path / "checkpoint")

    with pytest.raises(StoreRefused):
        store.get("checkpoint")


def test_a_file_where_a_folder_belongs_is_refused(tmp_path: Path) -> None:
    """An object and a folder cannot share a name here, and the error says so."""
    store = DirectoryStore(tmp_path)
    (tmp_path / "log").write_bytes(b"stranger")

    with pytest.raises(StoreRefused, match="log/"):
        store.put_if_absent(SLOT, b"x")


def test_a_vanished_bucket_is_not_an_empty_one(tmp_path: Path) -> None:
    """When the folder is gone (a disk unplugged) nothing is "absent": that would look like a log rolled back."""
    store = DirectoryStore(tmp_path / "bucket")
    (tmp_path / "bucket").rename(tmp_path / "unplugged")

    for call in (lambda: store.get(SLOT), lambda: list(store.list("")), lambda: store.delete(SLOT)):
        with pytest.raises(StoreError, match="gone") as caught:
            call()
        assert not isinstance(caught.value, BlobNotFound)


def test_a_bucket_on_a_disk_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Only the last part of the path is made: a missing mount point is told at the first request, and no folder put there."""
    store = DirectoryStore(tmp_path / "media" / "bucket")
    for call in (
        lambda: store.get(SLOT),
        lambda: list(store.list("")),
        lambda: store.put_if_absent(SLOT, b"x"),
    ):
        with pytest.raises(StoreRefused, match="no such folder"):
            call()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("left", [None, [], ["lost+found", "notes.txt", ".hidden", "photos"]])
def test_a_used_bucket_without_its_share_is_refused(tmp_path: Path, left: list[str] | None) -> None:
    """The mount point is gone, bare, or holds what is no bucket's: no request reads that as absence, and none writes."""
    root = tmp_path / "share"
    for name in left or []:
        (root / name).mkdir(parents=True)
    if left is not None:
        root.mkdir(exist_ok=True)
    store = DirectoryStore(root, may_be_new=False)
    for call in (
        lambda: store.get(SLOT),
        lambda: store.get_range(SLOT, 0, 1),
        lambda: list(store.list("")),
        lambda: list(store.list("log/")),
        lambda: store.delete(SLOT),
        lambda: store.put_if_absent(SLOT, b"x"),
        lambda: store.put_projection("checkpoint", b"x"),
    ):
        with pytest.raises(StoreRefused, match="is the share mounted") as caught:
            call()
        assert not isinstance(caught.value, BlobNotFound)
    found = [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")]
    assert sorted(found) == sorted(
        [*(["share"] if left is not None else []), *(f"share/{name}" for name in left or [])]
    )


@pytest.mark.parametrize("left", [TEMP, "log", "packs", "probe", "links"])
def test_a_used_bucket_with_any_trace_of_one_is_there(tmp_path: Path, left: str) -> None:
    """A bucket that was only probed, or lost all but one folder, answers: what is absent is absent, and it takes writes."""
    (tmp_path / left).mkdir()
    store = DirectoryStore(tmp_path, may_be_new=False)

    assert [] == list(store.list(""))
    with pytest.raises(BlobNotFound):
        store.get(SLOT)
    assert store.put_if_absent(SLOT, b"x") is PutOutcome.CREATED


@pytest.mark.parametrize(
    ("code", "error", "hint"),
    [
        ("ENOSPC", StoreError, "disk is full"),
        ("EROFS", StoreRefused, "read-only"),
        ("EACCES", StoreRefused, "who owns"),
        ("EPERM", StoreRefused, "hard links"),
        ("EIO", StoreError, "try again"),
    ],
)
def test_disk_errors_say_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, error: type[StoreError], hint: str
) -> None:
    """Each way a disk refuses becomes a store error with its next step; nothing is stored, nothing left over."""
    store = DirectoryStore(tmp_path)
    number = getattr(errno, code)

    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", fail)
    with pytest.raises(StoreError) as caught:
        store.put_if_absent(SLOT, b"x")

    assert type(caught.value) is error
    assert hint in caught.value.hint
    assert list(store.list("")) == []
    assert list((tmp_path / TEMP).iterdir()) == []


def test_a_flush_that_fails_after_the_link_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name is visible but maybe not durable: neither created nor failed may be said."""
    store = DirectoryStore(tmp_path)
    true_fsync, calls = os.fsync, []

    def fail_second(handle: int) -> None:
        calls.append(handle)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        true_fsync(handle)

    monkeypatch.setattr(os, "fsync", fail_second)
    with pytest.raises(StoreUnknown):
        store.put_if_absent(SLOT, b"x")


@reads_proc
def test_every_folder_on_the_way_is_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, its folder and each folder above are flushed, the file first; a loser flushes the folders too."""
    store = DirectoryStore(tmp_path)
    flushed: list[str] = []
    monkeypatch.setattr(
        os, "fsync", lambda handle: flushed.append(Path(f"/proc/self/fd/{handle}").resolve().name)
    )

    for data in (b"x", b"y"):
        flushed.clear()
        store.put_if_absent("packs/000000000000/ab", data)
        assert flushed[1:] == ["000000000000", "packs", tmp_path.name]


@reads_proc
def test_no_file_descriptor_is_left_open(tmp_path: Path) -> None:
    """Hundreds of calls, failing ones and abandoned lists among them, leave no descriptor behind."""
    store = DirectoryStore(tmp_path)
    store.put_if_absent(SLOT, b"x")
    before = len(list(Path("/proc/self/fd").iterdir()))

    failing: list[Callable[[], object]] = [
        lambda: store.get(slot_name(5)),
        lambda: store.get_range(SLOT, 0, 9),
        lambda: store.get("a/b/c"),
    ]

    for _ in range(100):
        store.put_if_absent(SLOT, b"y")
        next(store.list(""))
        for call in failing:
            with pytest.raises(StoreError):
                call()

    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_shared_folder_stays_shared(tmp_path: Path) -> None:
    """Under a private umask, objects and folders are as open as the bucket's own folder: a group can share it."""
    root = tmp_path / "bucket"
    root.mkdir()
    root.chmod(0o2770)
    before = os.umask(0o077)
    try:
        DirectoryStore(root).put_if_absent("packs/000000000001/a", b"x")
    finally:
        os.umask(before)

    assert stat.S_IMODE((root / "packs" / "000000000001").stat().st_mode) == 0o2770
    assert stat.S_IMODE((root / "packs" / "000000000001" / "a").stat().st_mode) == 0o660

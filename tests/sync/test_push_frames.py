"""A push whose frames other processes make: the same packs, rows and commits as one that makes all itself."""

import os
import signal
from pathlib import Path

import pytest

from crypto.sealing import SealKey
from store import packs
from store.directory import DirectoryStore
from store.frames_ahead import FramesAhead
from store.outgoing import FrameJob
from sync.pull import PullReport, applied_manifests, apply_manifests
from sync.push import Pusher
from sync.verify import verify
from tests.actors import founded, person
from tests.laptops import Laptop, conversation

ANA = person("ana")
_RANDOM = {"pack", "frame_sha256", "opening"}  # by salts and openings


class Doomed(FramesAhead):
    """Its processes are killed in the middle of their work."""

    _taken = 0

    def take(self, seal_key: SealKey, job: FrameJob) -> None:
        """As there; after the third, all are killed."""
        super().take(seal_key, job)
        self._taken += 1
        for child in self._children if self._taken == 3 else ():
            os.kill(child.process.pid, signal.SIGKILL)


def pushed(place: Path, frames: FramesAhead) -> list[dict[str, object]]:
    """All rows but what is random in them, of one push of four conversations, one of them as metadata only."""
    place.mkdir()
    store = DirectoryStore(place / "bucket")
    ana = founded(store, place / "ana", ANA)
    laptop = Laptop(ana, place / "ana", withheld={"bare"})
    for name in ("one", "two", "bare", "three"):
        laptop.local.add(conversation(name, 300, project=name))
    with frames:
        frames._start()
        while not all(child.ready for child in frames._children):
            frames._move(60)
        Pusher(laptop.client, laptop.local, laptop.outbox, frames=frames).push()
    apply_manifests(laptop.client, PullReport())
    assert verify(laptop.client).findings == []
    rows = [row for _, manifest in applied_manifests(laptop.client) for row in manifest.table.to_pylist()]
    laptop.close()
    return [{name: value for name, value in row.items() if name not in _RANDOM} for row in rows]


def test_who_makes_the_frames_shows_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows, their order and places are equal with no, one and three processes, and with killed ones."""
    monkeypatch.setattr("store.frames.frame_raw_bytes_min", 4096)
    monkeypatch.setattr(packs, "pack_bytes_target", 30_000)
    alone = pushed(tmp_path / "0", FramesAhead(0))

    assert len(alone) == 1200
    assert len({row["frame_offset"] for row in alone}) > 10
    assert alone == pushed(tmp_path / "1", FramesAhead(1, alone_bytes=0))
    assert alone == pushed(tmp_path / "3", FramesAhead(3, alone_bytes=0))
    assert alone == pushed(tmp_path / "killed", Doomed(2, alone_bytes=0))

"""Frames made by other processes: the same as made here, in the order asked for, whatever becomes of those processes."""

import os
import signal
import sys
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import pytest

from crypto.errors import TapesError
from crypto.leaves import node_commitment
from store import frames_ahead
from store.frames import open_frame
from store.frames_ahead import FramesAhead, asked_at_once, frames_in_line_max, processes_worthwhile
from store.nodes import node_to_bytes
from store.outgoing import FrameJob, OutgoingFrame, make_frame
from tests.node_strategies import turn
from tests.sealing_keys import TEAM_KEY, digest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="no second process there")


def jobs(count: int) -> list[FrameJob]:
    """Of one, two or three nodes each, verified or not, of as many conversations."""
    made = []
    for number in range(count):
        nodes = [turn(f"{number} {index} " + "word " * 50) for index in range(1 + number % 3)]
        stored = [node_to_bytes(node) for node in nodes]
        hashes, verified = [node.hash for node in nodes], [True] * len(nodes)
        if number % 4 == 0:  # a node whose content has another hash: kept, marked unverified
            stored[0] = stored[0].replace(b"word", b"lore")
            verified[0] = False
        made.append(FrameJob(digest(f"talk {number}"), hashes, verified, stored))
    return made


def assert_made(job: FrameJob, frame: OutgoingFrame) -> None:
    """All of a frame but its salts and openings follows from the job."""
    opened = open_frame(TEAM_KEY, frame.sealed, "frame")
    assert (opened.conversation, list(opened.nodes)) == (job.conversation, list(job.stored))
    assert frame.sha256 == sha256(frame.sealed).digest()
    assert len(frame.sealed) == len(make_frame(TEAM_KEY, job).sealed)
    size = 32
    openings = [frame.openings[at : at + size] for at in range(0, len(frame.openings), size)]
    assert len(set(openings)) == len(job.hashes)
    commitments = [
        node_commitment(opening, bytes.fromhex(node_hash), stored)
        for opening, node_hash, stored in zip(openings, job.hashes, job.stored, strict=True)
    ]
    assert b"".join(commitments) == frame.commitments


def make_all(frames: FramesAhead, asked: Sequence[FrameJob]) -> list[OutgoingFrame]:
    """As a push does: ask, take what is done, at the end all."""
    made: list[OutgoingFrame] = []
    for job in asked:
        frames.take(TEAM_KEY, job)
        made += frames.made()
    return [*made, *frames.made(to_the_end=True)]


def wait_until_ready(frames: FramesAhead) -> None:
    """Have processes started that could be asked."""
    frames._start()
    while not all(child.ready for child in frames._children):
        frames._move(60)


@pytest.mark.parametrize("processes", [0, 1, 3])
def test_frames_are_the_same_whoever_makes_them(processes: int) -> None:
    """In the order asked for, each what its job says; other processes had their part in it."""
    asked = jobs(60)
    with FramesAhead(processes, alone_bytes=0) as frames:
        wait_until_ready(frames)
        frames.take(TEAM_KEY, asked[0])
        assert sum(len(child.asked) for child in frames._children) == min(1, processes)
        made = [*frames.made(), *make_all(frames, asked[1:])]

    assert len(made) == len(asked)
    for job, frame in zip(asked, made, strict=True):
        assert_made(job, frame)


@pytest.mark.parametrize(
    ("cores", "load", "processes"),
    [
        (1, 0.1, 0),
        (2, 0.1, 1),
        (2, 1.5, 0),
        (4, 1.0, 3),
        (4, 2.5, 1),
        (4, 24.0, 0),
        (16, 0.0, 3),
        (4, None, 0),
    ],
)
def test_processes_are_for_cores_that_would_idle(
    cores: int, load: float | None, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One core, a busy machine, or one that does not say how busy it is: none."""

    def told() -> tuple[float, float, float]:
        if load is None:
            raise OSError("no load here")
        return load, load, load

    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: set(range(cores)), raising=False)
    monkeypatch.setattr(os, "getloadavg", told)

    assert processes_worthwhile() == processes


def test_a_small_push_starts_no_process() -> None:
    """Before `alone_bytes` were asked for, everything is made here."""
    with FramesAhead(3) as frames:
        made = make_all(frames, jobs(10))

        assert (len(made), frames._children) == (10, [])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_ends_or_stops_costs_nothing(how: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed or stopped with jobs in its hands: they are made here, none is lost, doubled or out of order."""
    monkeypatch.setattr(frames_ahead, "answer_seconds_max", 0.2)
    asked = jobs(3 * asked_at_once + 10)
    with FramesAhead(2, alone_bytes=0) as frames:
        wait_until_ready(frames)
        for child in frames._children:
            os.kill(child.process.pid, how)
        made = make_all(frames, asked)

        assert frames._children == []
    for job, frame in zip(asked, made, strict=True):
        assert_made(job, frame)


def test_what_waits_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the process with the oldest frame is, no more than so many are kept behind it."""
    monkeypatch.setattr(frames_ahead, "answer_seconds_max", 0.2)
    with FramesAhead(1, alone_bytes=0) as frames:
        wait_until_ready(frames)
        os.kill(frames._children[0].process.pid, signal.SIGSTOP)
        most = 0
        for job in jobs(2 * frames_in_line_max):
            frames.take(TEAM_KEY, job)
            list(frames.made())
            most = max(most, len(frames._line))

    assert most <= frames_in_line_max


@pytest.mark.parametrize("processes", [0, 1])
def test_a_node_that_does_not_read_back_is_named(processes: int) -> None:
    """Bytes that have another hash than they are named for leave nobody's hands as a frame: an error, here as there."""
    good, bad = jobs(2)
    bad = bad._replace(stored=[data.replace(b"word", b"lore") for data in bad.stored])
    with FramesAhead(processes, alone_bytes=0) as frames:
        wait_until_ready(frames)
        frames.take(TEAM_KEY, good)
        with pytest.raises(TapesError, match=f"node {bad.hashes[0]} does not read back"):
            make_all(frames, [bad])


def test_dropped_frames_are_forgotten() -> None:
    """After an error, whoever asks next gets only their own frames."""
    asked = jobs(12)
    with FramesAhead(1, alone_bytes=0) as frames:
        wait_until_ready(frames)
        for job in asked[:6]:
            frames.take(TEAM_KEY, job)
        frames.drop()
        made = make_all(frames, asked[6:])

    for job, frame in zip(asked[6:], made, strict=True):
        assert_made(job, frame)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_the_process_keeps_its_secrets_and_ends_with_its_parent() -> None:
    """No key in its arguments or environment, no core file; gone once nobody asks."""
    with FramesAhead(1, alone_bytes=0) as frames:
        wait_until_ready(frames)
        pid = frames._children[0].process.pid
        about = Path(f"/proc/{pid}")
        core = next(line for line in (about / "limits").read_text().splitlines() if "core file" in line)
        told = (about / "cmdline").read_bytes().split(b"\0")[1:-1]

        assert (about / "environ").read_bytes() == b""
        assert told == [b"-I", b"-m", b"store.frame_child"]
        assert core.split()[-3:-1] == ["0", "0"]

    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)

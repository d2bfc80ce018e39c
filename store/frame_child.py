"""The process that makes frames for another one: compresses, seals, opens again, re-hashes.

Started by store/frames_ahead.py as a module, isolated (`python -I`), with nothing in its environment. It first closes itself to
debuggers and says READY; only then is it told a key, and always through its standard input. It reads and writes nothing else,
ignores Ctrl-C (its parent decides) and ends when its input does: with its parent, however that ends.

    asked    = HEADER ‖ hash 32 of each node ‖ verified u8 of each ‖ length u32 of each ‖ stored JSON of each
    answered = ANSWER ‖ sealed frame ‖ SHA-256 32 ‖ opening 32 of each ‖ commitment 32 of each
               of no bytes and no nodes: this cannot be made
"""

import signal
import struct
import sys
from collections.abc import Iterator
from itertools import accumulate, pairwise
from typing import BinaryIO

from crypto.errors import TapesError
from crypto.sealing import SealKey
from crypto.secret_process import keep_secrets_in
from store.outgoing import FrameJob, OutgoingFrame, make_frame

READY = b"\x01"
_HEADER = struct.Struct(
    ">32s16sI32s32sII"
)  # team, space, epoch, key, conversation, nodes, bytes of their JSON
ANSWER = struct.Struct(">II")  # bytes of the sealed frame, nodes
_digest_bytes = 32


def main(asked: BinaryIO, answers: BinaryIO) -> None:
    """Answer until the input ends."""
    answers.write(READY)
    answers.flush()
    while len(header := asked.read(_HEADER.size)) == _HEADER.size:
        seal_key, job = _job_of(header, asked)
        try:
            frame = make_frame(seal_key, job)
        except (TapesError, ValueError):
            answers.write(ANSWER.pack(0, 0))  # whoever asked meets the same, and says it
        else:
            answers.write(ANSWER.pack(len(frame.sealed), len(job.hashes)))
            answers.write(b"".join(frame))
        answers.flush()


def job_bytes(seal_key: SealKey, job: FrameJob) -> bytes:
    """A job as this process is asked to do it."""
    place = (seal_key.team, seal_key.space, seal_key.epoch, seal_key.key, job.conversation)
    lengths = [len(stored) for stored in job.stored]
    return b"".join(
        (
            _HEADER.pack(*place, len(lengths), sum(lengths)),
            bytes.fromhex("".join(job.hashes)),
            bytes(job.verified),
            struct.pack(f">{len(lengths)}I", *lengths),
            *job.stored,
        )
    )


def frame_of(answer: bytes, sealed_bytes: int) -> OutgoingFrame:
    """The frame of an answer's bytes behind ANSWER."""
    digest_end = sealed_bytes + _digest_bytes
    openings_end = (digest_end + len(answer)) // 2
    return OutgoingFrame(
        answer[:sealed_bytes],
        answer[sealed_bytes:digest_end],
        answer[digest_end:openings_end],
        answer[openings_end:],
    )


def answer_length(sealed_bytes: int, nodes: int) -> int:
    """The bytes that follow an ANSWER."""
    return sealed_bytes + _digest_bytes * (1 + 2 * nodes)


def _job_of(header: bytes, asked: BinaryIO) -> tuple[SealKey, FrameJob]:
    team, space, epoch, key, conversation, count, stored_bytes = _HEADER.unpack(header)
    hashes = list(_pieces(asked.read(_digest_bytes * count), [_digest_bytes] * count))
    verified = [bool(mark) for mark in asked.read(count)]
    lengths = struct.unpack(f">{count}I", asked.read(4 * count))
    stored = list(_pieces(asked.read(stored_bytes), lengths))
    return SealKey(team, space, epoch, key), FrameJob(
        conversation, [digest.hex() for digest in hashes], verified, stored
    )


def _pieces(data: bytes, lengths: "list[int] | tuple[int, ...]") -> Iterator[bytes]:
    return (data[start:end] for start, end in pairwise(accumulate(lengths, initial=0)))


if __name__ == "__main__":
    keep_secrets_in()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    main(sys.stdin.buffer, sys.stdout.buffer)

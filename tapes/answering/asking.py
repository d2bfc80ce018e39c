"""Asking the resident process, if there is one. Whatever goes wrong, the answer is None and the command does the work itself."""

import os
import socket
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import TypeAdapter, ValidationError

from query.moments import Clock
from tapes.answering.protocol import (
    Question,
    Reply,
    is_same_user,
    path_bytes_max,
    reply_bytes_max,
    sign_of_life_seconds,
    spoken_version,
)

_connect_seconds_max: Final = 0.5
_silence_seconds_max: Final = (
    5 * sign_of_life_seconds
)  # a process that was stopped or hangs must hang nobody else
_chunk_bytes: Final = 1024 * 1024
_T = TypeVar("_T")


def ask(path: Path, question: Question, kind: type[_T]) -> tuple[_T, Reply] | None:
    """The answer of the process that listens at `path`; None when there is none, or none that can be trusted to be right."""
    try:
        if len(os.fsencode(path)) > path_bytes_max or not path.is_socket():
            return None
        reply = Reply.model_validate_json(_exchange(path, question.model_dump_json().encode() + b"\n"))
        if reply.refused is not None or reply.version != spoken_version():
            return None
        return TypeAdapter(kind).validate_json(reply.answer), reply
    except (OSError, ValidationError, ValueError):
        return None


def clock_fields(clock: Clock) -> dict[str, Any]:
    """What "now" and "a day" mean to this command."""
    zone = clock.zone.key if clock.zone is not None else None
    return {"now": clock.now, "zone": zone, "machine_zone": os.environ.get("TZ"), "version": spoken_version()}


def _exchange(path: Path, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
        peer.settimeout(_connect_seconds_max)
        peer.connect(str(path))
        if not is_same_user(peer):
            raise OSError("another user's process")
        peer.settimeout(_silence_seconds_max)
        peer.sendall(line)
        return _reply(peer)


def _reply(peer: socket.socket) -> bytes:
    parts: list[bytes] = []
    held = 0
    while True:
        part = peer.recv(_chunk_bytes)
        if not part:
            raise OSError("the process went away")
        part = part if parts else part.lstrip(b"\n")
        parts.append(part)
        held += len(part)
        if held > reply_bytes_max:
            raise OSError("the reply is over its limit")
        if part.endswith(b"\n"):
            return b"".join(parts)
        if not part:
            parts.clear()

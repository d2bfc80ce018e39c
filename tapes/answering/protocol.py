"""What a command and the resident process say to each other: one line of JSON each way, over a Unix socket in the home.

    ask     a Question, then a newline
    answer  empty lines, one a second, while it is worked on; then a Reply, then a newline

A process of another version refuses, and so does one that would mean something else by "today". The asker then does the work
itself.
"""

import os
import socket
import struct
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from importlib.metadata import version
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict

About = Literal["search", "sessions", "stats"]
protocol_version: Final = 2
question_bytes_max: Final = 256 * 1024
reply_bytes_max: Final = 512 * 1024 * 1024  # a list of half a million sessions
sign_of_life_seconds: Final = 1.0
path_bytes_max: Final = 100  # of a socket's name, which the kernel bounds at 108, macOS at 104
_PEER: Final = struct.Struct("3i")  # pid, uid, gid


class Question(BaseModel):
    """What is asked; fields as the commands' own (query/search.Asked, query/stats.Ask)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    about: About
    now: datetime
    zone: str | None = None
    machine_zone: str | None = None  # the asker's TZ, which decides what its days are where it names no zone
    chosen: dict[str, Any] = {}
    order: Literal["date", "relevance", "cost", "duration", "tokens"] = "date"
    limit: int = 20
    scope: Literal["session", "turn", "tool"] = "session"
    days: int = 30
    team_only: bool = False
    by_member: bool = False
    fold_small: bool = False


class Reply(BaseModel):
    """An answer as JSON (query/answers.Answer or Listed, query/stats_answer.TeamStats), or why there is none."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    refused: str | None = None
    answer: str = ""
    names: Mapping[str, str] = {}  # of members, by hex id
    unread: Mapping[str, str] = {}  # what could not be read, and why


@cache
def spoken_version() -> str:
    """Of this program and of this protocol: only equals talk."""
    return f"{version('tapes-sync')}/{protocol_version}"


def is_same_user(peer: socket.socket) -> bool:
    """Whether the process at the other end is the same user's. Where the kernel does not say, the home's modes have to do."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    uid: int = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))[1]
    return uid == os.getuid()

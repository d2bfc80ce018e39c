"""What lists and searches are asked and answered with. Kept apart from what finds it, which takes long to load.

A command that a resident process answers (tapes/answering) shows these and loads no engine.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from query.moments import Clock

if TYPE_CHECKING:  # the type only: it brings pydantic along, which `--help` does without
    from query.filter import SessionFilter

Status = Literal["completed", "failed", "abandoned", "unknown"]
Order = Literal["date", "relevance", "cost", "duration", "tokens"]
Scope = Literal[
    "session", "turn", "tool"
]  # hits by session; one by one; one by one, of tool calls and results alone
unlimited: Final = 2**31 - 1
ranked_max: Final = 10_000  # matches that a relevance order looks at, newest first


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by class; the classes add up, nothing overlaps."""

    input_uncached: int
    cache_read: int
    cache_write: int
    output: int

    @property
    def total(self) -> int:
        """All classes together."""
        return self.input_uncached + self.cache_read + self.cache_write + self.output

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(
            self.input_uncached + other.input_uncached,
            self.cache_read + other.cache_read,
            self.cache_write + other.cache_write,
            self.output + other.output,
        )


@dataclass(frozen=True, slots=True)
class Session:
    """A path root → leaf, named by its leaf. Ids are hex, times RFC 3339 UTC, money micro-USD.

    `cost_usd_micro` is the sum of known costs; the `unpriced_turns` model calls are not in it. `synced`: every node of the path
    is in the bucket. `space` and `member` are the leaf's; `space` None: only on this device. Of `withheld_turns` the bucket
    has metadata only.
    """

    id: str
    conversation: str
    project: str | None
    agent: str | None
    models: tuple[str, ...]
    member: str | None
    started_at: str | None
    ended_at: str | None
    turns: int
    tokens: Tokens
    cost_usd_micro: int
    unpriced_turns: int
    space: str | None
    synced: bool
    withheld_turns: int


@dataclass(frozen=True, slots=True)
class SessionFacts(Session):
    """A session with all that is known of it without reading what was said. Durations in seconds."""

    status: Status
    providers: tuple[str, ...]
    duration_seconds: int | None  # first turn to last
    active_seconds: int  # without pauses of over five minutes
    tool_calls: int
    tool_failures: int
    git_activity: bool


@dataclass(frozen=True, slots=True)
class Totals:
    """Each node once, also those that hang from no root and are on no path."""

    nodes: int
    tokens: Tokens
    cost_usd_micro: int
    unpriced_turns: int


@dataclass(frozen=True, slots=True)
class SessionList:
    """The sessions, newest end first, and the totals over all nodes."""

    sessions: tuple[Session, ...]
    totals: Totals


@dataclass(frozen=True, slots=True)
class Listed:
    """Sessions with their facts and titles, as many as were asked for, and what all that pass used together.

    A title is None where nothing was asked in the session; also where that is not on this device, which is so for `untitled`.
    """

    sessions: tuple[SessionFacts, ...]
    titles: tuple[str | None, ...]  # one for each
    totals: Totals
    passing: int  # sessions, of which these are the first
    untitled: int


@dataclass(frozen=True, slots=True)
class Snippet:
    """One line of text; `marks` are (start, end) in it, in order, without overlap."""

    text: str
    marks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that matches. `turn` counts from 1 as `tapes show` does; times are RFC 3339 UTC."""

    node: str
    turn: int
    role: str | None
    at: str | None
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Found:
    """A session with its matching turns: how many, and the first few of them. None match where no words were asked for.

    In a search for turns: a session with one of them.
    """

    session: SessionFacts
    title: str | None
    matches: int
    hits: tuple[Hit, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a search found: what is shown, in how many sessions something was found, and how many turns match in all of them.

    `withheld`: turns that no words could find, since only their metadata is known; 0 where no words were asked for. `more`:
    there are more matches than were counted; `matches` is then a lower bound, and `sessions` is not known.
    """

    found: tuple[Found, ...]
    sessions: int | None
    matches: int
    withheld: int
    more: bool = False
    known: int = 0  # sessions that there are at all


@dataclass(frozen=True, slots=True)
class Asked:
    """A search. `limit`: sessions, or turns where those are the scope, shown at most."""

    chosen: "SessionFilter"
    clock: Clock
    names: Mapping[str, str]  # what members call themselves, by hex id
    order: Order = "date"
    limit: int = 20
    scope: Scope = "session"

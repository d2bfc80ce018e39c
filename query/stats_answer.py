"""What the dashboard is asked and answered with. Kept apart from what counts it, which takes long to load."""

from dataclasses import dataclass
from datetime import date
from typing import Final

from query.answers import Tokens
from query.moments import Clock

days_max: Final = 3660
_PERMILLE: Final = 1000
_NO_TOKENS: Final = Tokens(0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Use:
    """What some turns used. Money in micro-USD; the `unpriced_turns` model calls are not in it."""

    turns: int = 0
    tokens: Tokens = _NO_TOKENS
    cost_usd_micro: int = 0
    unpriced_turns: int = 0
    tool_calls: int = 0
    tool_errors: int = 0

    def __add__(self, other: "Use") -> "Use":
        return Use(
            self.turns + other.turns,
            self.tokens + other.tokens,
            self.cost_usd_micro + other.cost_usd_micro,
            self.unpriced_turns + other.unpriced_turns,
            self.tool_calls + other.tool_calls,
            self.tool_errors + other.tool_errors,
        )

    @property
    def cache_hit_permille(self) -> int | None:
        """Of a thousand input tokens, how many the provider's cache served; None without input."""
        tokens = self.tokens
        return _permille(tokens.cache_read, tokens.input_uncached + tokens.cache_read + tokens.cache_write)

    @property
    def tool_failure_permille(self) -> int | None:
        """Of a thousand tool calls, how many failed; None without calls. Results of calls before the period count too."""
        return _permille(min(self.tool_errors, self.tool_calls), self.tool_calls)


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of the sessions, and what nine of ten stay under (nearest rank); None without sessions."""

    p50: int | None
    p90: int | None


@dataclass(frozen=True, slots=True)
class PeriodStats:
    """One period. Days are inclusive; `members` counts those with a turn in it."""

    first_day: date
    last_day: date
    sessions: int
    members: int
    use: Use
    cost_per_session: Spread
    seconds_per_session: Spread
    turns_per_session: Spread


@dataclass(frozen=True, slots=True)
class DayActivity:
    """One day of the period."""

    day: date
    sessions: int
    use: Use


@dataclass(frozen=True, slots=True)
class GroupUse:
    """A model, project or member; `name` None: not known. `members` None for what was folded together."""

    name: str | None
    members: int | None
    use: Use
    previous: Use


@dataclass(frozen=True, slots=True)
class Publishing:
    """How many of the team's members publish, and how much of the current period is only known by that."""

    members: int
    publishing: int
    sessions: int
    use: Use


@dataclass(frozen=True, slots=True)
class TeamStats:
    """All of it. `members` is empty unless asked for. Groups come dearest first, then most output, then by name."""

    time_zone: str
    team_only: bool
    current: PeriodStats
    previous: PeriodStats
    days: tuple[DayActivity, ...]
    models: tuple[GroupUse, ...]
    projects: tuple[GroupUse, ...]
    members: tuple[GroupUse, ...]
    undated_turns: int
    publishing: "Publishing | None"  # where the team is asked about
    withheld_turns: int  # of the current period: counted, and nobody can read what was said
    missing_pushes: int  # commits whose turns are in no number, as their manifests cannot be had or read, or did not come yet
    earlier_day: date | None  # on which the last session before the current period ended


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked: `days` up to and with today; `team_only`: what the team sees; `fold_small`: hide groups under three people.

    `by_member`: who used what. Not together with `fold_small`, which would leave nobody.
    """

    clock: Clock
    days: int = 30
    team_only: bool = False
    by_member: bool = False
    fold_small: bool = False


def _permille(part: int, whole: int) -> int | None:
    return part * _PERMILLE // whole if whole else None

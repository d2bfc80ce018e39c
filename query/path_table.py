"""Sessions as columns, for filters and orders: a path is spelled out when it is shown."""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, overload

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from query.answers import Tokens
from query.engine import Engine
from query.filter import Status
from query.forest import Forest, Numbers
from query.paths import Head, Path, Stretch, fold_paths

_STOPPED: Final = frozenset({"stop", "end_turn", "end-turn", "eos"})
_CUT_OFF: Final = frozenset({"length", "max_tokens", "content_filter", "tool_use", "tool_use_response"})
_TEXTS: Final = pa.list_(pa.string())
_slices_max: Final = 64
_SUM: Final = pa.decimal128(38)  # of counts of 53 bits over all rows there can be: 64 bits are too few
_TOKENS: Final = ("input_uncached", "cache_read", "cache_write", "output")
PATHS: Final = pa.schema(
    [
        ("id", pa.string()),
        ("conversation", pa.string()),
        ("member", pa.string()),
        ("space", pa.string()),
        ("harness_session", pa.string()),
        ("role", pa.string()),
        ("stop_reason", pa.string()),
        ("root", pa.string()),
        ("project", pa.string()),
        ("agent", pa.string()),
        ("models", _TEXTS),
        ("started_us", pa.int64()),
        ("ended_us", pa.int64()),
        ("spoken", pa.bool_()),
        ("synced", pa.bool_()),
        ("turns", pa.int64()),
        *((name, _SUM) for name in _TOKENS),
        ("cost_sum", _SUM),
        ("unpriced_turns", pa.int64()),
        ("providers", _TEXTS),
        ("tool_calls", pa.int64()),
        ("tool_failures", pa.int64()),
        ("git_activity", pa.bool_()),
        ("withheld", pa.int64()),
        ("active_us", _SUM),
        ("prompts", pa.list_(pa.binary())),
        ("tree", pa.int32()),
        ("segment", pa.int32()),
        # What is compared and put in order. Sums of hostile counts may pass 64 bits; comparing is all that is done with them.
        ("duration_us", pa.int64()),
        ("tokens", pa.float64()),
        ("cost_usd_micro", pa.float64()),
        ("status", pa.string()),
    ]
)


class PathTable(Sequence[Path]):
    """The paths that rows of PATHS are, in their order."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table.combine_chunks()
        self._spelled: dict[int, Path] = {}

    @classmethod
    def of(cls, paths: Sequence[Path]) -> "PathTable":
        """Paths as columns."""
        columns = zip(*map(_row, paths), strict=True) if paths else [()] * len(PATHS)
        arrays = [pa.array(values, entry.type) for values, entry in zip(columns, PATHS, strict=True)]
        return cls(pa.Table.from_arrays(arrays, schema=PATHS))

    def __len__(self) -> int:
        return int(self.table.num_rows)

    @overload
    def __getitem__(self, number: int) -> Path: ...
    @overload
    def __getitem__(self, number: slice) -> list[Path]: ...
    def __getitem__(self, number: int | slice) -> Path | list[Path]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if number not in self._spelled:
            [self._spelled[number]] = _paths(self.table.slice(number, 1))
        return self._spelled[number]

    def __iter__(self) -> Iterator[Path]:
        return _paths(self.table)

    def some(self, numbers: Numbers) -> Iterator[Path]:
        """Those with some numbers, in their order. Neighbours are sliced: taking single rows loads Arrow's kernels, 30 ms."""
        wanted = np.asarray(numbers)
        runs = np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1) if len(wanted) else []
        if len(runs) > _slices_max:
            yield from _paths(self.table.take(pa.array(wanted)))
            return
        for run in runs:
            yield from _paths(self.table.slice(int(run[0]), len(run)))

    def numbers(self, name: str) -> NDArray[Any]:
        """A column without nulls, for arithmetic on all of it."""
        column: NDArray[Any] = self.table.column(name).to_numpy()
        return column

    @property
    def segments(self) -> Numbers:
        """The segment that each ends in."""
        return self.numbers("segment").astype(np.int32)

    def sessions(self, names: Mapping[str, str]) -> pa.Table:
        """The columns that conditions speak of (query/condition.py). `names`: what members call themselves, by hex id."""
        called = [names.get(member) if member else None for member in self.table.column("member").to_pylist()]
        table = self.table.append_column("number", pa.array(range(len(self)), pa.int64()))
        return table.append_column("member_name", pa.array(called, pa.string()))


Shape = tuple[Forest, "array[int]"]


class Paths:
    """The paths of a source, newest end first, those without a time last, ties by head; where they stand, when asked for."""

    def __init__(self, known: PathTable, shape: Callable[[], Shape]) -> None:
        self.known = known
        self._made = shape

    @property
    def forest(self) -> Forest:
        """The shape of all rows."""
        return self._shape[0]

    @property
    def parents(self) -> "array[int]":
        """By node number: the number of its parent; `nowhere` above a root."""
        return self._shape[1]

    @cached_property
    def _shape(self) -> Shape:
        return self._made()


def read_paths(engine: Engine) -> Paths:
    """All sessions of `rows`."""
    known, forest, parents = fold_paths(engine)
    return Paths(PathTable.of(known), lambda: (forest, parents))


def status_of(path: Path) -> Status:
    """How a session ended; query/facts.py says by which rules."""
    reason = (path.head.stop_reason or "").strip().lower()
    if path.whole.tool_failures:
        return "failed"
    if path.whole.git_activity:
        return "completed"
    if path.head.role != "assistant":
        return "abandoned"
    if reason in _STOPPED:
        return "completed"
    return "failed" if reason in _CUT_OFF or "error" in reason else "unknown"


def _row(path: Path) -> tuple[object, ...]:
    head, whole = path.head, path.whole
    return (
        *(head.hash, head.conversation, head.member, head.space, head.harness_session, head.role),
        *(head.stop_reason, whole.root, whole.project, whole.agent, sorted(whole.models)),
        *(whole.started_us, whole.ended_us, whole.spoken, whole.synced, whole.turns),
        *(
            whole.tokens.input_uncached,
            whole.tokens.cache_read,
            whole.tokens.cache_write,
            whole.tokens.output,
        ),
        *(whole.cost_usd_micro, whole.unpriced, sorted(whole.providers), whole.tool_calls),
        *(whole.tool_failures, whole.git_activity, whole.withheld, whole.active_us, whole.prompts),
        *(path.tree, path.segment, whole.duration_us),
        *(float(whole.tokens.total), float(whole.cost_usd_micro), status_of(path)),
    )


def _paths(table: pa.Table) -> Iterator[Path]:
    for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
        said = dict(zip(PATHS.names, row, strict=True))
        head = Head(
            said["id"],
            said["conversation"],
            said["member"],
            said["space"],
            said["harness_session"],
            said["role"],
            said["stop_reason"],
        )
        yield Path(head, _whole(said), said["tree"], said["segment"])


def _whole(said: dict[str, Any]) -> Stretch:
    return Stretch(
        root=said["root"],
        project=said["project"],
        agent=said["agent"],
        models=frozenset(said["models"]),
        started_us=said["started_us"],
        ended_us=said["ended_us"],
        spoken=said["spoken"],
        synced=said["synced"],
        turns=said["turns"],
        tokens=Tokens(*(int(said[name]) for name in _TOKENS)),
        cost_usd_micro=int(said["cost_sum"]),
        unpriced=said["unpriced_turns"],
        providers=frozenset(said["providers"]),
        tool_calls=said["tool_calls"],
        tool_failures=said["tool_failures"],
        git_activity=said["git_activity"],
        withheld=said["withheld"],
        active_us=int(said["active_us"]),
        prompts=tuple(said["prompts"]),
    )

"""What an import did: counts, and every line it could not take with its file, number and reason."""

from collections.abc import Callable
from dataclasses import dataclass, field

problems_kept_max = 1_000  # a hostile log has millions of bad lines; all are counted, this many are named


@dataclass(frozen=True, slots=True)
class LineProblem:
    """One thing that was wrong in a log. `line` counts from 1; 0 stands for the whole file. Never quotes the log."""

    path: str
    line: int
    problem: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an import is, for a progress bar."""

    path: str
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


ProgressHook = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class ImportReport:
    """The outcome of one import.

    `nodes_known` are nodes of these logs that were stored already: from an earlier import, or replayed from another log.
    `unverified` are stored under a hash that fits no era. `skipped_lines` were not imported; `errors` names the first
    `problems_kept_max` of them, and also oddities in lines that were imported (a token count that is no number).
    `waiting_lines` stand after the last message of their file: they are kept for the message that comes next.
    """

    conversations: int = 0
    nodes_new: int = 0
    nodes_known: int = 0
    unverified: int = 0
    skipped_lines: int = 0
    waiting_lines: int = 0
    files: int = 0
    errors: tuple[LineProblem, ...] = ()


@dataclass(slots=True)
class Tally:
    """The report while it is being counted."""

    conversations: set[str] = field(default_factory=set)
    nodes_new: int = 0
    nodes_known: int = 0
    unverified: int = 0
    skipped_lines: int = 0
    waiting_lines: int = 0
    files: int = 0
    errors: list[LineProblem] = field(default_factory=list)

    def note(self, path: str, line: int, problem: str, *, skipped: bool) -> None:
        """Record a problem; `skipped` when the line was left out because of it."""
        self.skipped_lines += skipped
        if len(self.errors) < problems_kept_max:
            self.errors.append(LineProblem(path, line, problem))

    def take(self, other: "Tally") -> None:
        """Add another tally's counts to this one."""
        self.conversations |= other.conversations
        self.nodes_new += other.nodes_new
        self.nodes_known += other.nodes_known
        self.unverified += other.unverified
        self.skipped_lines += other.skipped_lines
        self.waiting_lines += other.waiting_lines
        self.files += other.files
        self.errors += other.errors[: max(0, problems_kept_max - len(self.errors))]

    def report(self) -> ImportReport:
        """The finished report."""
        return ImportReport(
            conversations=len(self.conversations),
            nodes_new=self.nodes_new,
            nodes_known=self.nodes_known,
            unverified=self.unverified,
            skipped_lines=self.skipped_lines,
            waiting_lines=self.waiting_lines,
            files=self.files,
            errors=tuple(self.errors),
        )

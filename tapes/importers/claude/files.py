"""Finding Claude Code's logs: which files under a path are transcripts, whose they are, and in which order they are read.

`<config>/projects/<slug>/<session>.jsonl` is a session, `<slug>/<session>/subagents/[workflows/<id>/]agent-<id>.jsonl` a subagent
of it. The slug is a lossy rewriting of the working directory, so nothing is read from it.
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from crypto.errors import UsageError
from store.limits import KIB
from tapes.importers.claude.export import read_export
from tapes.importers.lines import BadLine, Record, decode
from tapes.importers.walking import files_below

head_bytes_max = 256 * KIB  # how much of a file is read to tell what it is
head_lines_max = 50
tail_bytes_max = 16 * KIB
_TIME = re.compile(
    rb'"timestamp": ?"([0-9T:.+Z-]{10,40})"'
)  # enough to sort by; the tail may begin inside a line
_LAST = "~"  # sorts after every time: a file without one is read last
_HINT = "give a projects folder, a project folder, a .jsonl file, or a web export"


@dataclass(frozen=True, slots=True)
class LogFile:
    """One transcript. `session` and `agent` are what its path says; its lines may say otherwise, and then they win."""

    path: Path
    session: str
    agent: str | None  # a subagent's id; None for a session's own file
    replayed: bool  # its first line says that it was forked from another session
    first_at: str  # the first and the last time in the file, as written
    last_at: str
    export: bool = False  # a web export rather than a log

    @property
    def name(self) -> str:
        """The path as text that can be stored; bytes that are no UTF-8 are escaped."""
        return os.fsencode(self.path).decode(errors="backslashreplace")


def default_roots(environ: Mapping[str, str], home: Path) -> list[Path]:
    """Where Claude Code keeps its logs: every `CLAUDE_CONFIG_DIR` (comma-separated), else both usual places if there."""
    named = [Path(part.strip()).expanduser() for part in environ.get("CLAUDE_CONFIG_DIR", "").split(",")]
    named = [part for part in named if part != Path()]
    if named:
        return [part / "projects" if (part / "projects").is_dir() else part for part in named]
    usual = (home / ".claude" / "projects", home / ".config" / "claude" / "projects")
    found = [root for root in usual if root.is_dir()]
    if not found:
        raise UsageError(
            "no Claude Code logs here: neither ~/.claude/projects nor ~/.config/claude/projects", hint=_HINT
        )
    return found


def find_logs(paths: Sequence[Path]) -> list[LogFile]:
    """All transcripts under `paths`, each once, in reading order. UsageError for a path that is not there.

    Sessions before subagents and the earliest first, so that a turn that several files hold is credited to the session that
    had it first. A fork starts with its parent's lines and times, so among equals what says it is one, else what goes on
    longer, comes last.
    """
    found: dict[Path, LogFile] = {}
    for path in paths:
        for file in _candidates(path):
            log = _describe(file, asked=file == path)
            if log is not None:
                found.setdefault(file.resolve(), log)
            elif file == path:
                raise UsageError(f"{path} is no Claude Code log", hint=_HINT)
    return sorted(found.values(), key=_reading_order)


def _reading_order(log: LogFile) -> tuple[bool, str, bool, str, str]:
    return log.agent is not None, log.first_at, log.replayed, log.last_at, log.name


def _candidates(path: Path) -> Iterable[Path]:
    if path.is_dir():
        root = path / "projects" if (path / "projects").is_dir() else path
        return _walk(root)
    if path.is_file():
        return [path]
    raise UsageError(f"there is nothing at {path}", hint=_HINT)


def _walk(root: Path) -> Iterable[Path]:
    """Every `.jsonl` below, but `history.jsonl`: it has prompts only, no turns."""
    return files_below(root, lambda name: name.endswith(".jsonl") and name != "history.jsonl")


def _describe(path: Path, *, asked: bool) -> LogFile | None:
    """What a file is; None for a `.jsonl` that is no transcript. A file that cannot be read is described by its path alone."""
    try:
        with path.open("rb") as file:
            head = file.read(head_bytes_max)
            file.seek(max(0, file.seek(0, os.SEEK_END) - tail_bytes_max))
            tail = file.read(tail_bytes_max)
    except OSError:
        head = tail = b""  # the import itself will meet the error and report it
    export = asked and path.suffix != ".jsonl"
    records = [] if export else list(_first_records(head))
    if (records and not any(map(_of_transcript, records))) or (export and not _is_export(path)):
        return None
    return LogFile(
        path=path,
        session=_path_session(path),
        agent=_path_agent(path),
        replayed=any("forkedFrom" in record for record in records),
        first_at=next((at for at in map(_time, records) if at), _LAST),
        last_at=max(_TIME.findall(tail), default=b"").decode(),
        export=export,
    )


def _is_export(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            return read_export(file) is not None
        except BadLine as bad:
            raise UsageError(f"{path} is {bad}", hint=_HINT) from None


def _first_records(head: bytes) -> Iterator[Record]:
    """The first records, up to one that tells both that this is a transcript and when it began."""
    for raw in head.splitlines()[:head_lines_max]:
        try:
            record = decode(raw.strip())
        except BadLine:  # cut by the limit, torn or hostile: the import proper reports it with its line
            continue
        yield record
        if _of_transcript(record) and _time(record):
            return


def _of_transcript(record: Record) -> bool:
    return isinstance(record.get("type"), str) and any(
        name in record for name in ("sessionId", "uuid", "message", "leafUuid", "messageId")
    )


def _time(record: Record) -> str:
    at = record.get("timestamp")
    return at if isinstance(at, str) else ""


def _path_agent(path: Path) -> str | None:
    inside = "subagents" in path.parts[:-1]
    return path.stem.removeprefix("agent-") if inside or path.stem.startswith("agent-") else None


def _path_session(path: Path) -> str:
    """The session's id by its file's name, or by the folder that holds its subagents."""
    folders = path.parts[:-1]
    if "subagents" in folders[1:]:
        last = len(folders) - 1 - folders[::-1].index("subagents")
        return folders[last - 1]
    return path.stem

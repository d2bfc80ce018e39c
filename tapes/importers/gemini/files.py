"""Finding Gemini CLI's chats, and the directory that a chat was held in, which the chat itself does not say.

`~/.gemini/tmp/<slug or SHA-256 of the project's path>/chats/session-….jsonl` (or `.json`), a subagent's below
`chats/<session that called it>/<id>.jsonl`. `~/.gemini/projects.json` knows the paths.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from crypto.errors import UsageError
from tapes.importers.project import project_of
from tapes.importers.walking import files_below

_HINT: Final = "give a .gemini folder, its tmp folder, or a chat file"
_SUFFIXES: Final = (".jsonl", ".json")


@dataclass(frozen=True, slots=True)
class Chat:
    """One chat file. `caller` is the session that a subagent's chat was called from."""

    path: Path
    caller: str | None
    project: str | None


def default_root(environ: Mapping[str, str], home: Path) -> Path:
    """Where Gemini CLI keeps its chats; UsageError when there are none."""
    root = Path(environ.get("GEMINI_CLI_HOME") or home).expanduser() / ".gemini"
    if not (root / "tmp").is_dir():
        raise UsageError(f"no Gemini CLI logs here: {root} has no tmp folder", hint=_HINT)
    return root


def find_chats(paths: Sequence[Path]) -> list[Chat]:
    """All chats under `paths`, each once; the legacy `.json` before the log that continues it. UsageError for no path."""
    found = {file.resolve(): _chat(file) for path in paths for file in _candidates(path)}
    return sorted(
        found.values(),
        key=lambda chat: (chat.caller is not None, chat.path.suffix == ".jsonl", str(chat.path)),
    )


def _candidates(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif path.is_dir():
        below = files_below(path, lambda name: name.endswith(_SUFFIXES))
        yield from (file for file in below if "chats" in file.parent.parts or file.is_dir())
    else:
        raise UsageError(f"there is nothing at {path}", hint=_HINT)


def _chat(file: Path) -> Chat:
    folders = file.parts[:-1]
    if "chats" not in folders:
        return Chat(file, None, None)
    at = len(folders) - 1 - folders[::-1].index("chats")
    caller = folders[at + 1] if len(folders) > at + 1 else None
    return Chat(file, caller, _project(Path(*folders[:at])))


def _project(folder: Path) -> str | None:
    """The name of the project whose chats are in `<.gemini>/tmp/<folder>`."""
    for path, slug in _projects(folder.parent.parent / "projects.json").items():
        if folder.name in (slug, sha256(os.fsencode(path)).hexdigest()):
            return project_of(path)
    return None


def _projects(file: Path) -> dict[str, object]:
    try:
        known = json.loads(file.read_bytes()).get("projects")
    except (OSError, ValueError, AttributeError, RecursionError):  # a chat without a project is still a chat
        return {}
    return known if isinstance(known, dict) else {}

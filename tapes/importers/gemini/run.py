"""Importing Gemini CLI's chats into the local store: `import_gemini`."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from store.local import LocalStore
from tapes.importers.gemini.chat_log import read_chat
from tapes.importers.gemini.files import Chat, default_root, find_chats
from tapes.importers.gemini.messages import HARNESS, session_of
from tapes.importers.lines import BadLine
from tapes.importers.report import ImportReport, ProgressHook, Tally
from tapes.importers.running import run_files
from tapes.importers.whole_session import Session, SessionWriter, path_name


def import_gemini(
    store: LocalStore,
    paths: Sequence[Path] | None = None,
    *,
    progress: ProgressHook | None = None,
    dry_run: bool = False,
) -> ImportReport:
    """Import every chat under `paths` (None: where Gemini CLI keeps them) that has changed since the last time.

    UsageError for a path that is not there. A bad line or an unreadable file is a row of the report, never an exception.
    """
    roots = (
        [default_root(os.environ, Path.home())] if paths is None else [path.expanduser() for path in paths]
    )
    chats = {chat.path: chat for chat in find_chats(roots)}
    writer = SessionWriter(store, HARNESS, atomic=not dry_run)

    def take(file: Path, tally: Tally, tell: Callable[[int], None]) -> None:
        stat = file.stat()
        stamp = [stat.st_size, stat.st_mtime_ns]
        name = path_name(file.resolve())
        try:
            done = writer.write(path_name(file), f"{HARNESS}:{name}", stamp, lambda: _read(chats[file]))
            tally.take(done)
        except BadLine as bad:
            tally.note(path_name(file), 0, str(bad), skipped=False)
        tell(stat.st_size)

    return run_files(store, list(chats), take, progress=progress, dry_run=dry_run)


def _read(chat: Chat) -> Session | None:
    log = read_chat(chat.path)
    if not log.messages and not log.problems:
        return None
    return session_of(log, chat.path.stem, chat.caller, chat.project)

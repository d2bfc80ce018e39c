"""Reading the JSON files opencode kept before its database: one per session, message and part.

`storage/session/<project>/<session>.json`, `storage/message/<session>/<message>.json`, `storage/part/<message>/<part>.json`;
older still `project/<name>/storage/session/{info,message,part}` with the same inside.
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from store.limits import MIB
from tapes.importers.lines import BadLine, Record, decode
from tapes.importers.opencode.records import MessageRecord, SessionRecord, Stored, callers
from tapes.importers.turns import short_text
from tapes.importers.walking import is_endless

file_bytes_max: Final = 64 * MIB


def sessions(storage: Path) -> list[Stored]:
    """All sessions in a `storage` folder, those before that others were called from."""
    base = storage / "session" if (storage / "session" / "info").is_dir() else storage
    infos = sorted((storage / "session" / "info").glob("*.json")) if base != storage else None
    files = infos if infos is not None else sorted((storage / "session").glob("*/*.json"))
    records = {file.stem: _read(file, []) or {} for file in files}
    parents = {told: short_text(record.get("parentID")) for told, record in records.items()}
    found = [_stored(base, told, record, parents) for told, record in records.items()]
    return sorted(found, key=lambda stored: (len(stored.session.above), stored.session.id))


def _stored(base: Path, told: str, record: Record, parents: dict[str, str]) -> Stored:
    messages = _files(base / "message" / told)
    parts = [file for message in messages for file in _parts(base, told, message.stem)]
    directory = record.get("directory")
    stamp = [str(len(messages)), str(len(parts)), *map(str, _newest([*messages, *parts]))]
    session = SessionRecord(
        told, callers(told, parents), directory if isinstance(directory, str) else None, record, stamp
    )
    return Stored(session, lambda problems: _messages(base, told, problems))


def _messages(base: Path, told: str, problems: list[str]) -> Iterator[MessageRecord]:
    found = []
    for file in _files(base / "message" / told):
        record = _read(file, problems)
        if record is not None:
            parts = [
                part for each in _parts(base, told, file.stem) if (part := _read(each, problems)) is not None
            ]
            found.append(MessageRecord({**record, "id": short_text(record.get("id")) or file.stem}, parts))
    yield from sorted(found, key=_begun)


def _begun(message: MessageRecord) -> tuple[float, str]:
    time = message.record.get("time")
    created = time.get("created") if isinstance(time, dict) else None
    return created if isinstance(created, int | float) else 0, message.record["id"]


def _parts(base: Path, session: str, message: str) -> list[Path]:
    """Parts by message; the oldest layout has a folder for the session above."""
    return _files(base / "part" / message) or _files(base / "part" / session / message)


def _files(folder: Path) -> list[Path]:
    """The JSON files in a folder. One that may not be looked into stands for itself, so that reading it fails in words."""
    closed = os.path.isdir(folder) and not os.access(folder, os.R_OK | os.X_OK)  # noqa: PTH112 - Path.is_dir raises
    return [folder] if closed else sorted(folder.glob("*.json"))


def _newest(files: list[Path]) -> tuple[int, int]:
    """The newest change and the bytes of all files; one that has gone meanwhile is found missing when it is read."""
    stats = [file.stat() for file in files if file.exists()]
    return max((stat.st_mtime_ns for stat in stats), default=0), sum(stat.st_size for stat in stats)


def _read(file: Path, problems: list[str]) -> Record | None:
    try:
        found = file.stat()
        if is_endless(found.st_mode):  # a pipe is waited for, a device never ends
            problems.append(f"{_name(file)}: no regular file")
            return None
        if found.st_size <= file_bytes_max:
            return decode(file.read_bytes().strip())
        problems.append(f"{_name(file)}: larger than {file_bytes_max // MIB} MiB")
    except BadLine as bad:
        problems.append(f"{_name(file)}: {bad}")
    except OSError as bad:
        problems.append(f"{_name(file)}: cannot be read: {bad.strerror}")
    return None


def _name(file: Path) -> str:
    return os.fsencode(file.name).decode(errors="backslashreplace")

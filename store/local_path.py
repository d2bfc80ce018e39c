"""Where a home's local store is, and how its file is told from the Go tool's own database."""

from pathlib import Path
from typing import Final

from store.database import DatabaseKind, is_ours, stands

_OURS_BESIDE = "tapes-sync.db"
# "TAPS". The Go tool's own databases have 0 there.
LOCAL_STORE: Final = DatabaseKind(
    application_id=0x54415053,
    migrations="store.migrations",
    foreign_hint=f"it may be the Go tool's database: ours lives beside it as {_OURS_BESIDE}; import from the other one",
)


def local_store_path(home: Path) -> Path:
    """Where the local store under `home` is: tapes.db, or tapes-sync.db when tapes.db is somebody else's."""
    usual = home / "tapes.db"
    return home / _OURS_BESIDE if stands(usual) and not is_ours(usual, LOCAL_STORE) else usual

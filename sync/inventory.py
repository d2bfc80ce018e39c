"""What a bucket holds beside what the log names: two sorted streams merged, so that memory does not grow with either.

Both sides come in byte order of the names: the bucket lists so, and zero-padded bases make the replica's order the same.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from store.blobs import BlobInfo, BlobStore
from store.commits import ObjectRef, name_of
from store.names import PREFIX_OF_KIND, ObjectKind
from sync.replica import Replica

KINDS: Final[tuple[ObjectKind, ...]] = ("manifest", "pack", "stats")  # in byte order of their prefixes
_OBJECT: Final = re.compile(r"[a-z]+/([0-9]{12})/([0-9a-f]{64})\Z")


@dataclass(frozen=True, slots=True)
class Entry:
    """One name: as the bucket has it (None: missing) and as a valid commit names it (None: no commit does)."""

    name: str
    stored: BlobInfo | None
    ref: ObjectRef | None


def inventory(store: BlobStore, replica: Replica, kind: ObjectKind) -> Iterator[Entry]:
    """Every object of a kind that is stored, or named by a valid commit, in byte order; one LIST per thousand."""
    listed, named = store.list(PREFIX_OF_KIND[kind]), replica.named_of_kind(kind)
    info, ref = next(listed, None), next(named, None)
    while info is not None or ref is not None:
        entry = _first(info, ref)
        yield entry
        info = next(listed, None) if entry.stored is not None else info
        ref = next(named, None) if entry.ref is not None else ref


def _first(info: BlobInfo | None, ref: ObjectRef | None) -> Entry:
    """The smaller of the two names at hand, with both sides of it where they meet."""
    names = [name for name in (info and info.name, ref and name_of(ref)) if isinstance(name, str)]
    name = min(names)
    stored = info if info is not None and info.name == name else None
    return Entry(name, stored, ref if ref is not None and name_of(ref) == name else None)


def base_of(name: str) -> int | None:
    """The base in an object's name; None when it is not a name of the format, and thus nothing of ours."""
    match = _OBJECT.match(name)
    return int(match[1]) if match else None


def digest_of(name: str) -> str | None:
    """The SHA-256 an object's name states; None as for `base_of`."""
    match = _OBJECT.match(name)
    return match[2] if match else None

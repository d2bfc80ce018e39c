"""Pulled objects: the ciphertext they came as, named by its SHA-256, kept on a shelf and checked at every read.

An accelerator: it may be deleted at any time. What differs from its name, on disk or in the bucket, is never returned.
"""

from hashlib import sha256

from crypto.errors import BlobNotFound, StoreRefused, VerificationFailed
from store.blobs import BlobStore
from store.commits import ObjectRef
from store.names import object_name
from sync.shelves import Shelf


class ObjectCache:
    """Objects and single frames, fetched once."""

    def __init__(self, shelf: Shelf, store: BlobStore) -> None:
        self._shelf = shelf
        self._store = store

    def whole(self, ref: ObjectRef) -> bytes:
        """All bytes of a manifest. VerificationFailed when the bucket lacks it or holds other bytes."""
        kept = self._read(ref.sha256)
        if kept is not None:
            return kept
        data = self.fetch(ref)
        self._shelf.write(ref.sha256, data)
        return data

    def fetch(self, ref: ObjectRef) -> bytes:
        """As `whole`, always from the bucket and without keeping it."""
        name = object_name(ref.kind, ref.base, ref.sha256)
        try:
            data = self._store.get(name)
        except BlobNotFound:
            raise VerificationFailed(name, "is missing, though a commit names it", hint=_LOST) from None
        if sha256(data).hexdigest() != ref.sha256:
            raise VerificationFailed(name, "its bytes do not have the digest it is named by", hint=_LOST)
        return data

    def frame(self, pack: ObjectRef, offset: int, length: int, digest: str) -> bytes:
        """One frame of a pack, by range. VerificationFailed when it is not the frame the manifest speaks of."""
        kept = self._read(digest)
        if kept is not None:
            return kept
        name = object_name("pack", pack.base, pack.sha256)
        try:
            data = self._store.get_range(name, offset, length)
        except BlobNotFound:
            raise VerificationFailed(name, "is missing, though a commit names it", hint=_LOST) from None
        except StoreRefused as refused:
            raise VerificationFailed(name, f"is cut: {refused.message}", hint=_LOST) from None
        if sha256(data).hexdigest() != digest:
            raise VerificationFailed(
                name, f"the frame at byte {offset} is not the one its manifest names", hint=_LOST
            )
        self._shelf.write(digest, data)
        return data

    def keep(self, digest: str, data: bytes) -> None:
        """Keep an object this device itself made."""
        self._shelf.write(digest, data)

    def kept(self, digest: str) -> bytes | None:
        """An object's bytes if they are here whole; nothing is fetched."""
        return self._read(digest)

    def has(self, digest: str) -> bool:
        """Whether something of that name is here; its bytes are checked when it is read."""
        return self._shelf.has(digest)

    def _read(self, digest: str) -> bytes | None:
        data = self._shelf.read(digest)
        # Torn by a crash or rotten: as if it were not here.
        return data if data is not None and sha256(data).hexdigest() == digest else None


_LOST = "restore the object from a backup or a device that pushed it; `tapes verify` lists all such objects"

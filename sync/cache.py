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
    """Objects and single frames, fetched once. Both shelves may be one."""

    def __init__(self, store: BlobStore, objects: Shelf, frames: Shelf) -> None:
        self._store = store
        self._objects = objects
        self._frames = frames

    def whole(self, ref: ObjectRef) -> bytes:
        """All bytes of a manifest. VerificationFailed when the bucket lacks it or holds other bytes."""
        kept = self.kept(ref.sha256)
        if kept is not None:
            return kept
        data = self.fetch(ref)
        self._objects.write(ref.sha256, data)
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
        kept = _sound(digest, self._frames.read(digest))
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
        self._frames.write(digest, data)
        return data

    def keep(self, digest: str, data: bytes) -> None:
        """Keep an object that this device itself made, or had together with others."""
        self._objects.write(digest, data)

    def keep_frame(self, digest: str, data: bytes) -> None:
        """Keep a frame that came with its whole pack."""
        self._frames.write(digest, data)

    def kept(self, digest: str) -> bytes | None:
        """An object's bytes if they are here whole; nothing is fetched."""
        return _sound(digest, self._objects.read(digest))

    def has(self, digest: str) -> bool:
        """Whether an object is here; its bytes are checked when it is read."""
        return self._objects.has(digest)

    def has_frame(self, digest: str) -> bool:
        """Whether a frame is here; its bytes are checked when it is read."""
        return self._frames.has(digest)


def _sound(digest: str, data: bytes | None) -> bytes | None:
    """None for what a crash tore, or what is rotten: as if it were not here."""
    return data if data is not None and sha256(data).hexdigest() == digest else None


_LOST = "restore the object from a backup or a device that pushed it; `tapes verify` lists all such objects"

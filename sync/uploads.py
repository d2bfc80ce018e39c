"""Putting an immutable object under the name of its bytes."""

from hashlib import sha256

from crypto.errors import VerificationFailed
from store.commits import ObjectRef
from store.names import ObjectKind, object_name
from store.retrying import put_immutable
from sync.client import Client


class Squatted(VerificationFailed):
    """The bucket already holds other bytes under the name of ours: a finding; seal again, under a new name."""


def upload(client: Client, kind: ObjectKind, base: int, data: bytes) -> ObjectRef:
    """Put an immutable object under the name of its bytes; idempotent. Squatted when that name is taken by other bytes."""
    digest = sha256(data).hexdigest()
    try:
        put_immutable(client.store, object_name(kind, base, digest), data)
    except VerificationFailed as other:
        raise Squatted(other.obj, other.problem, hint=other.hint) from None
    return ObjectRef(kind=kind, base=base, sha256=digest, bytes=len(data))

"""Errors by what the caller does next. On the ground floor, so that every room can raise them without a circle.

TapesError                  1  something failed; the hint says what to do
├── UsageError              2  the request itself is wrong: correct it
├── PartialFailure          3  some ids failed, the others are done: look at the ids
├── KeyNeeded               4  no key or right for this: sign in, join, bring the kit
├── StoreError              5  the bucket or the network: try again later
│   ├── StoreUnknown           a write may or may not have happened: read before deciding
│   ├── BlobNotFound           the store says 404, and only that
│   ├── StoreRefused           the store said no (403, bad request): retrying will not help
│   └── StoreUntrusted         the store ignores preconditions: never commit to it
└── VerificationFailed      6  bytes are not what was signed or named: stop, keep the evidence
    ├── SealBroken             a sealed object does not open: wrong key, altered, cut, swapped
    └── FormatBroken           bytes that do not parse as the format they claim to be
"""


class TapesError(Exception):
    """A failure with a next step. `str()` never contains a secret."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(TapesError):
    """The caller asked for something that cannot be meant."""

    exit_code = 2


class PartialFailure(TapesError):
    """Some items failed; the rest is done."""

    exit_code = 3

    def __init__(self, message: str, failed: list[str], *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.failed = failed


class KeyNeeded(TapesError):
    """A key, an identity or a right is missing."""

    exit_code = 4


class StoreError(TapesError):
    """The bucket or the network did not do its part; trying later may help."""

    exit_code = 5


class StoreUnknown(StoreError):
    """The reply was lost: the write may have happened. Only reading the object back can tell."""


class BlobNotFound(StoreError):
    """The store answered 404 for this name. A 403 or a short answer is never this."""


class StoreRefused(StoreError):
    """The store refused; repeating the same request will be refused again."""


class StoreUntrusted(StoreError):
    """The store failed the put-if-absent probe: two writers could both win a slot."""


class VerificationFailed(TapesError):
    """Stored bytes contradict a signature, a name or a pin."""

    exit_code = 6

    def __init__(self, obj: str, problem: str, *, hint: str = "") -> None:
        super().__init__(f"{obj}: {problem}", hint=hint)
        self.obj = obj
        self.problem = problem


class SealBroken(VerificationFailed):
    """A sealed object does not open under the key and context it should have."""


class FormatBroken(VerificationFailed):
    """Untrusted bytes do not parse as the format they claim."""

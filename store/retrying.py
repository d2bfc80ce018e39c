"""Trying again, in one place: reads, lists and writes that may be repeated. The only file that knows tenacity.

Log slots are not retried here. What a 412 or a lost reply on a slot means is decided by the commit client alone, from its journal
and from that slot's bytes (DESIGN §4); so `RetryingStore.put_if_absent` is one attempt like the store's own. Objects named by
their own digest go through `put_immutable`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, ParamSpec, TypeVar

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from crypto.errors import (
    BlobNotFound,
    StoreError,
    StoreRefused,
    StoreUnknown,
    StoreUntrusted,
    VerificationFailed,
)
from store.blobs import BlobInfo, BlobStore, PutOutcome

P = ParamSpec("P")
R = TypeVar("R")
_FINAL: Final = (BlobNotFound, StoreRefused, StoreUntrusted)  # asking again gets the same answer


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long to try. Waits are full jitter (0 to a bound that doubles), so that a team does not knock in step."""

    attempts_max: int = 6
    wait_first_s: float = 0.2
    wait_max_s: float = 8.0
    total_s_max: float = 60.0

    def call(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call until it answers, fails for good, or the bounds are met; then the last error as it was."""
        retrying = Retrying(
            retry=retry_if_exception(is_transient),
            stop=stop_after_attempt(self.attempts_max) | stop_before_delay(self.total_s_max),
            wait=wait_random_exponential(multiplier=self.wait_first_s, max=self.wait_max_s),
            reraise=True,
        )
        return retrying(function, *args, **kwargs)


DEFAULT_POLICY: Final = RetryPolicy()


def is_transient(error: BaseException) -> bool:
    """Whether the same request may succeed later: network, throttling, 5xx, a lost reply."""
    return isinstance(error, StoreError) and not isinstance(error, _FINAL)


def put_immutable(
    store: BlobStore, name: str, data: bytes, *, policy: RetryPolicy = DEFAULT_POLICY
) -> PutOutcome:
    """Store an object that is named by its own digest, whatever the network does.

    CREATED or EXISTS: either way `name` holds exactly `data`. Other bytes under the name raise VerificationFailed: seal again
    under a new name and report it. When the bounds are met the last StoreError or StoreUnknown is raised.
    """
    return policy.call(_put_and_compare, store, name, data)


def _put_and_compare(store: BlobStore, name: str, data: bytes) -> PutOutcome:
    """One attempt. After a lost reply the same bytes go out again: a late first copy cannot differ from them."""
    outcome = store.put_if_absent(name, data)
    if outcome is PutOutcome.EXISTS:
        _check_same(store, name, data)
    return outcome


def _check_same(store: BlobStore, name: str, data: bytes) -> None:
    try:
        stored = store.get(name)
    except BlobNotFound as error:
        # "Exists" and "not there" about one name: a stale read or a store in trouble. Asking again decides.
        raise StoreUnknown(f"{name}: the store says that it exists, and that it does not") from error
    if stored != data:
        problem = (
            f"holds other bytes (SHA-256 {sha256(stored).hexdigest()}) than the ones its name was made for"
        )
        raise VerificationFailed(name, problem, hint="keep both, seal again under a new name")


class RetryingStore:
    """A store whose idempotent calls are repeated on trouble that may pass; `put_if_absent` stays one attempt."""

    def __init__(self, inner: BlobStore, policy: RetryPolicy = DEFAULT_POLICY) -> None:
        self._inner = inner
        self._policy = policy

    def describe(self) -> str:
        """As the store inside."""
        return self._inner.describe()

    def put_if_absent(self, name: str, data: bytes) -> PutOutcome:
        """One attempt: see the file's caption. For objects named by their digest use `put_immutable`."""
        return self._inner.put_if_absent(name, data)

    def put_projection(self, name: str, data: bytes) -> None:
        """Repeated: whatever lands last, a projection can be rebuilt."""
        self._policy.call(self._inner.put_projection, name, data)

    def get(self, name: str) -> bytes:
        """Repeated."""
        return self._policy.call(self._inner.get, name)

    def get_range(self, name: str, offset: int, length: int) -> bytes:
        """Repeated."""
        return self._policy.call(self._inner.get_range, name, offset, length)

    def list(self, prefix: str, start_after: str = "") -> Iterator[BlobInfo]:
        """Resumed after the last name seen, with a fresh allowance of attempts each time it got further."""
        names = self._inner.list(prefix, start_after)
        while True:
            try:
                info = next(names, None)
            except StoreError as error:
                if not is_transient(error):
                    raise
                names, info = self._policy.call(_begin_list, self._inner, prefix, start_after)
            if info is None:
                return
            start_after = info.name
            yield info

    def delete(self, name: str) -> None:
        """Repeated: names are never used twice, so a late repetition removes nothing new."""
        self._policy.call(self._inner.delete, name)


def _begin_list(
    store: BlobStore, prefix: str, start_after: str
) -> tuple[Iterator[BlobInfo], BlobInfo | None]:
    """A list and its first name: a generator fails only when it is asked for one."""
    names = store.list(prefix, start_after)
    return names, next(names, None)

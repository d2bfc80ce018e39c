"""Packs on their way: each is read back and uploaded while the next one is filled; a few at once, so that memory stays bounded.

Each put waits for the network, and ciphers, zstd and SHA-256 let other threads run: a distant bucket costs its bandwidth and not
its round trips. The order in which packs arrive means nothing: no commit names them yet.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Final, Self

from store.commits import ObjectRef

packs_at_once: Final = 3  # in memory besides the one being filled
Job = Callable[[], ObjectRef]  # reads one pack back, uploads it


class PackLine:
    """Runs jobs. Left by an error, it drops what has not begun and waits for what has: nothing is written after it is gone."""

    def __init__(self) -> None:
        self._threads: ThreadPoolExecutor | None = None
        self._waiting: deque[Future[ObjectRef]] = deque()
        self._done: list[ObjectRef] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=True, cancel_futures=True)

    def take(self, job: Job) -> None:
        """Have a job done; waits while `packs_at_once` are, and raises what an earlier one failed with."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(packs_at_once, thread_name_prefix="pack")
        while len(self._waiting) >= packs_at_once:
            self._done.append(self._waiting.popleft().result())
        self._waiting.append(self._threads.submit(job))

    def finish(self, last: Job | None) -> list[ObjectRef]:
        """Everything taken, in that order, and a last job, which is done here: a small push starts no thread."""
        own = [last()] if last is not None else []
        return [*self._done, *(future.result() for future in self._waiting), *own]

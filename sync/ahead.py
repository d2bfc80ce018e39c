"""Fetching ahead: the next few objects are on their way while one is worked on; results come in order, memory stays bounded."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final, TypeVar

packs_ahead: Final = 3  # of 16 MiB each, as a rule
manifests_ahead: Final = 8
manifests_opened_ahead: Final = 1  # some 15 MiB, while one is looked at; more threads are no quicker
_T = TypeVar("_T")
_R = TypeVar("_R")


@contextmanager
def ahead(
    fetch: Callable[[_T], _R], items: Iterable[_T], at_once: int
) -> Iterator[Iterator[tuple[_T, Callable[[], _R]]]]:
    """(item, a call that gives what `fetch` gave for it or raises what it raised), in the order of the items.

    `fetch` runs in other threads. Whoever leaves the block early waits for what has begun: nothing is asked for afterwards.
    """
    threads = ThreadPoolExecutor(at_once, thread_name_prefix="ahead")
    try:
        yield _in_order(threads, fetch, items, at_once)
    finally:
        threads.shutdown(wait=True, cancel_futures=True)


def _in_order(
    threads: ThreadPoolExecutor, fetch: Callable[[_T], _R], items: Iterable[_T], at_once: int
) -> Iterator[tuple[_T, Callable[[], _R]]]:
    begun: deque[tuple[_T, Future[_R]]] = deque()
    for item in items:
        begun.append((item, threads.submit(fetch, item)))
        if len(begun) > at_once:
            yield _taken(begun)
    while begun:
        yield _taken(begun)


def _taken(begun: deque[tuple[_T, Future[_R]]]) -> tuple[_T, Callable[[], _R]]:
    item, future = begun.popleft()
    return item, future.result

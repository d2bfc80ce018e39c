"""Questions of every kind in processes of their own while a watch imports, and the resident process answers some of them."""

import threading
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.command_line import Done, Person
from tests.watching import GrowingLog, member, until, watching

ROUNDS = 3
ASKED = (
    ("search", "the", "--json"),
    ("sessions", "--json"),
    ("stats", "--period", "3000d", "--json"),
    ("sql", "SELECT count(*) AS n FROM nodes", "--format", "json"),
)


@pytest.fixture
def ada() -> Iterator[Person]:
    """Ada, in a folder whose name leaves room for a socket's, with an agent whose logs grow."""
    with TemporaryDirectory(prefix="t") as folder:
        yield member(Path(folder), "ada")


def test_watch_search_lists_and_sql_beside_each_other(ada: Person) -> None:
    """All end well at any moment of a growing log; when it has grown, the resident process says what a command alone says."""
    log = GrowingLog.of(ada)
    done: list[Done] = []
    with watching(ada) as watch:
        log.grow(3)
        watch.until_rounds("import", 1)
        threads = [
            threading.Thread(
                target=lambda words=words: done.extend(ada.process(*words) for _ in range(ROUNDS))
            )
            for words in ASKED
        ]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            log.grow(1)
            threads[0].join(0.3)
            for thread in threads[1:]:
                thread.join(0.3)
        log.grow()
        watch.until_more_rounds("import", 2)
        until((ada.home / "answering.sock").is_socket, what="the resident process listens")
        resident = [ada.process(*words) for words in ASKED[:3]]
    alone = [ada.process(*words) for words in ASKED[:3]]

    assert [(0, "")] * len(done) == [(each.code, each.err) for each in done]
    assert len(done) == ROUNDS * len(ASKED)
    assert [each.json for each in alone] == [each.json for each in resident]
    assert alone[0].json["total"]["matches"]

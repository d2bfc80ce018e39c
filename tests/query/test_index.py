"""The index file: nothing in plain, never wrong for long, whatever happens to it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from query.index import IndexBroken, WordIndex, remove_index
from query.words import Turn, turn_of
from store.local import LocalStore
from tests.command_line import HOUSE
from tests.query.searching import KEY, asking, said, talk

SECRET = "xylophone"


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStore]:
    """A local store with one session of five turns."""
    with LocalStore.open(tmp_path / "tapes.db") as opened:
        opened.add(talk([f"{SECRET} number{number}" for number in range(5)]))
        yield opened


def matches(local: LocalStore, index: Path, line: str = SECRET) -> tuple[int, list[str]]:
    """How many turns a search finds, and what was said about the index."""
    with asking(local, None, index) as desk:
        return desk.search(line).matches, desk.notices


def test_no_word_rests_in_plain(local: LocalStore, tmp_path: Path) -> None:
    """Neither the file, nor what SQLite keeps beside it while it is open, holds a word or says that it is SQLite."""
    folder = tmp_path / "index"
    with asking(local, None, folder / "words.db") as desk:
        assert desk.search(SECRET).matches == 5
        desk.index.add(bytes(32), turn_of(f"{SECRET} once more"))
        files = {path.name: path.read_bytes() for path in folder.iterdir()}

    assert {"words.db", "words.db-wal"} <= set(files)
    for name, data in files.items():
        assert SECRET.encode() not in data, name
        assert b"SQLite format" not in data, name
        assert b"CREATE" not in data, name
    assert (folder.stat().st_mode & 0o777, (folder / "words.db").stat().st_mode & 0o777) == (0o700, 0o600)


def test_only_what_is_new_is_taken_in(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second search reads no text again; a new turn is read alone."""
    index = tmp_path / "i.db"
    assert matches(local, index) == (5, [])
    added: list[bytes] = []
    plain_add = WordIndex.add

    def noted_add(self: WordIndex, node_hash: bytes, turn: Turn) -> None:
        added.append(node_hash)
        plain_add(self, node_hash, turn)

    monkeypatch.setattr(WordIndex, "add", noted_add)
    assert matches(local, index) == (5, [])
    assert added == []
    new = said(f"{SECRET} again")
    local.add([new])

    assert matches(local, index) == (6, [])
    assert added == [bytes.fromhex(new.hash)]


@pytest.mark.parametrize("damage", ["garbage", "cut", "flipped", "plain", "another key", "another version"])
def test_a_broken_index_is_said_and_made_anew(local: LocalStore, tmp_path: Path, damage: str) -> None:
    """Whatever became of the file: one notice, and the right answer."""
    index = tmp_path / "i.db"
    matches(local, index)
    _damage(index, damage)

    found, notices = matches(local, index)

    assert found == 5
    assert len(notices) == 1
    assert matches(local, index) == (5, [])


def _damage(index: Path, how: str) -> None:
    data = index.read_bytes()
    if how == "garbage":
        index.write_bytes(os.urandom(len(data)))
    elif how == "cut":
        index.write_bytes(data[:5000])
    elif how == "flipped":
        index.write_bytes(bytes([data[0] ^ 1]) + data[1:2000] + bytes([data[2000] ^ 1]) + data[2001:])
    elif how == "plain":
        index.write_bytes(b"SQLite format 3\0" + bytes(4080))
    elif how == "another key":
        remove_index(index)
        WordIndex.open(index, bytes(32)).close()
    else:
        with WordIndex.open(index, KEY) as opened:
            opened._db.pragma("user_version", 1)


def test_damage_that_shows_only_when_asked_is_index_broken(local: LocalStore, tmp_path: Path) -> None:
    """Every page is authenticated: a flipped bit deep in the file is an error that names the cure, never a wrong answer."""
    index = tmp_path / "i.db"
    matches(local, index)
    data = bytearray(index.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096 + 100] ^= 1
    index.write_bytes(data)

    with pytest.raises(IndexBroken) as broken:
        _ask_everything(index)

    assert broken.value.hint == "tapes reindex"


def _ask_everything(index: Path) -> None:
    with WordIndex.open(index, KEY) as opened:
        opened.local_mark()
        opened.count()


def test_another_local_store_makes_another_index(local: LocalStore, tmp_path: Path) -> None:
    """A store that was deleted and filled anew has other rows under the same numbers: the index notices."""
    index = tmp_path / "i.db"
    matches(local, index)
    with LocalStore.open(tmp_path / "other.db") as other:
        other.add(talk(["something else"] * 9))

        found, notices = matches(other, index, "something")

    assert found == 9
    assert notices == ["the local store is another one than the word index was made of; it is made anew"]


_BUILD = """
import sys
from pathlib import Path
from store.local import LocalStore
import query.indexing
from tests.query.searching import asking
query.indexing.nodes_per_step = 1
with LocalStore.open(Path(sys.argv[1])) as local, asking(local, None, Path(sys.argv[2])) as desk:
    print(desk.search("kite").matches)
"""


def test_a_killed_build_goes_on_where_it_was(tmp_path: Path) -> None:
    """SIGKILL at any moment: the next search finds everything once, and starts from what was there."""
    with LocalStore.open(tmp_path / "tapes.db") as local:
        local.add([said(f"kite {number}", minute=number % 60) for number in range(400)])
        index = tmp_path / "i.db"
        for attempt in range(3):
            process = _building(tmp_path)
            _wait_for_more(index, attempt * 30)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        with WordIndex.open(index, KEY) as left:
            assert 0 < left.count()

        assert matches(local, index, "kite") == (400, [])


def test_several_processes_fill_one_index(tmp_path: Path) -> None:
    """Two at once: both answer in full, and no turn is in twice."""
    with LocalStore.open(tmp_path / "tapes.db") as local:
        local.add([said(f"kite {number}", minute=number % 60) for number in range(200)])
        both = [_building(tmp_path), _building(tmp_path)]
        answers = [process.communicate(timeout=60)[0] for process in both]

        assert answers == ["200\n", "200\n"]
        with WordIndex.open(tmp_path / "i.db", KEY) as index:
            assert index.count() == 200


def _building(folder: Path) -> "subprocess.Popen[str]":
    words = [sys.executable, "-c", _BUILD, str(folder / "tapes.db"), str(folder / "i.db")]
    return subprocess.Popen(words, cwd=HOUSE, stdout=subprocess.PIPE, text=True)


def _wait_for_more(index: Path, turns: int) -> None:
    """Until the index holds more than so many turns."""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        if index.exists() and index.stat().st_size:
            with WordIndex.open(index, KEY) as looked_at:
                if looked_at.count() > turns:
                    return
        time.sleep(0.02)
    raise AssertionError("the build did not come forward")

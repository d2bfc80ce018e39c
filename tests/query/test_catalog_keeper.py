"""A kept catalog: gone on with where it fits, made anew where not, never believed, and never another answer."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from query import basis, newer_rows
from query.catalog import Catalog
from query.catalog_keeper import FILES, Keeping, catalog_key, forget
from query.sealed_sections import SectionsBroken
from query.sessions import list_sessions
from query.source import Source, open_source
from query.stats import team_stats
from query.stats_answer import Ask
from query.transcript import load
from store import manifests
from store.directory import DirectoryStore
from sync import pull
from tests.actors import client, founded, joined
from tests.laptops import Laptop, conversation, turn
from tests.query.searching import CLOCK


@dataclass
class Desk:
    """Ben, who reads what Ana pushes and has turns of his own; `said` is what he heard of the catalog."""

    ana: Laptop
    ben: Laptop
    folder: Path
    said: list[str] = field(default_factory=list)

    def keeping(self) -> Keeping:
        """His catalog, however little there is."""
        return Keeping(self.folder, catalog_key(self.ben.client.identity), self.said.append, rows_min=0)

    def open(self) -> Source:
        """What he can ask, from what was kept where that fits."""
        return open_source(self.ben.local, self.ben.client, keeping=self.keeping())

    def pushed(self, talk: str, turns: int = 3) -> None:
        """Ana pushes a session, and Ben pulls it."""
        self.ana.provider.put(conversation(talk, turns))
        self.ana.provider.sync()
        pull.pull(self.ben.client)

    def agrees(self) -> bool:
        """Whether the catalog was gone on with; what it answers is what everything read at once answers."""
        with self.open() as source, open_source(self.ben.local, self.ben.client) as whole:
            assert answers(source) == answers(whole)
            return source.overlaid is not None


def answers(source: Source) -> Any:
    """Sessions, sums, and every turn of every session."""
    listed = list_sessions(source)
    stats = team_stats(source, Ask(CLOCK, by_member=True), None, Catalog(source))
    return listed, stats, [load(source, session.id) for session in listed.sessions]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Ben's catalog is kept, of two sessions of Ana's and one of his own."""
    store = DirectoryStore(tmp_path / "bucket")
    owner = founded(store, tmp_path / "ana")
    ana = Laptop(owner, tmp_path / "ana")
    ben = Laptop(joined(owner, store, tmp_path / "ben"), tmp_path / "ben")
    made = Desk(ana, ben, tmp_path / "index")
    made.pushed("one")
    made.pushed("two")
    ben.local.add(conversation("own", 2))
    made.open().close()
    yield made
    ben.client.close()


def opened(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The manifests that opening a source reads."""
    names: list[str] = []
    plain = manifests.open_columns
    with monkeypatch.context() as patched:

        def noted(key: Any, stored: bytes, columns: Any, name: str) -> Any:
            names.append(name)
            return plain(key, stored, columns, name)

        patched.setattr(manifests, "open_columns", noted)
        desk.open().close()
    return names


def test_only_what_came_since_is_read_and_that_once(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing new: no manifest is opened. Two new ones: those, and the next time none, for they were noted."""
    monkeypatch.setattr(newer_rows, "noted_rows_min", 1)
    assert opened(desk, monkeypatch) == []
    for number in range(2):
        desk.pushed(f"new {number}")
    assert len(opened(desk, monkeypatch)) == 2
    assert opened(desk, monkeypatch) == []
    assert desk.agrees()
    assert desk.said == []


def test_a_session_goes_on_and_own_turns_change(desk: Desk) -> None:
    """Kept sessions that grow, fork or are pushed by both, own turns that are new or superseded: the same answers."""
    one, own = conversation("one", 3), conversation("own", 2)
    desk.ana.local.add([turn("fork", one[0]), turn("on", one[-1], 5)])
    desk.ana.provider.sync()
    desk.ben.local.add([*one, turn("mine", one[1])])
    pull.pull(desk.ben.client)
    assert desk.agrees()
    better = turn("better", own[0], 9)
    desk.ben.local.add([better])
    desk.ben.local.supersede(own[1].hash, better.hash)
    assert desk.agrees()
    desk.ben.provider.sync()
    assert desk.agrees()
    with desk.open() as source:
        assert own[1].hash not in {session.id for session in list_sessions(source).sessions}


@pytest.mark.long
def test_when_much_came_since_it_is_made_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over the limit there is one file again, of everything."""
    monkeypatch.setattr(newer_rows, "news_rows_min", 20)
    monkeypatch.setattr(newer_rows, "noted_rows_min", 1)
    desk.pushed("some", 15)
    assert desk.agrees()
    assert all((desk.folder / name).exists() for name in FILES)
    desk.pushed("more", 15)
    assert not desk.agrees()
    assert not (desk.folder / FILES[1]).exists()
    assert desk.agrees()


@pytest.mark.parametrize("share", [0.2])
def test_a_flipped_byte_is_never_an_answer(desk: Desk, share: float) -> None:
    """Wherever it lies, the file is refused and deleted, at once or when that part is read; the next opening makes it anew."""
    path = desk.folder / FILES[0]
    data = bytearray(path.read_bytes())
    data[int(share * (len(data) - 1))] ^= 1
    path.write_bytes(data)
    with suppress(SectionsBroken):  # a part that is only read when a session is
        assert not desk.agrees()
    desk.agrees()
    assert desk.agrees()
    assert path.read_bytes() != bytes(data)


def test_a_cut_file_is_made_anew(desk: Desk) -> None:
    """Without its end: said, and made anew."""
    path = desk.folder / FILES[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert not desk.agrees()
    assert "made anew" in desk.said[0]
    assert desk.agrees()


def test_another_version_and_another_device_make_it_anew(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither rows judged by other rules nor a file under another key are gone on with."""
    with monkeypatch.context() as patched:
        patched.setattr(basis, "kept_version", 99)
        assert not desk.agrees()
    assert "another version" in desk.said[0]
    assert not desk.agrees()
    strange = Keeping(desk.folder, catalog_key(desk.ana.client.identity), desk.said.append, rows_min=0)
    open_source(desk.ana.local, desk.ana.client, keeping=strange).close()
    assert not desk.agrees()
    assert desk.agrees()


@pytest.mark.long
def test_what_came_since_belongs_to_its_catalog(desk: Desk, tmp_path: Path) -> None:
    """Rows noted beside another catalog, as a process that was overtaken leaves them, are read from their manifests again."""
    for number in range(12):
        desk.pushed(f"new {number}")
    assert desk.agrees()
    stale = (desk.folder / FILES[1]).read_bytes()
    (desk.folder / FILES[0]).unlink()
    assert not desk.agrees()
    (desk.folder / FILES[1]).write_bytes(stale)
    desk.pushed("last")
    assert desk.agrees()


@pytest.mark.long
def test_rows_noted_since_are_not_believed_either(desk: Desk) -> None:
    """A flipped byte in what was noted: said, and those manifests are opened again; the catalog itself is gone on with."""
    for number in range(12):
        desk.pushed(f"new {number}", 1)
    assert desk.agrees()
    path = desk.folder / FILES[1]
    data = bytearray(path.read_bytes())
    data[300] ^= 1
    path.write_bytes(data)
    assert desk.agrees()
    assert "made anew" in desk.said[0]


@pytest.mark.long
def test_an_older_catalog_put_back_is_only_older(desk: Desk) -> None:
    """A file from before, in place of the newest: what came since is read again, and the answers are those of now."""
    before = (desk.folder / FILES[0]).read_bytes()
    desk.pushed("three")
    (desk.folder / FILES[0]).unlink()
    assert not desk.agrees()
    (desk.folder / FILES[0]).write_bytes(before)
    assert desk.agrees()


def test_a_lost_team_is_lost_here_too(desk: Desk) -> None:
    """Whoever reads no bucket any more finds none of its sessions in what was kept; nor does another store find this one's."""
    with open_source(desk.ben.local, None, keeping=desk.keeping()) as source:
        assert [session.turns for session in list_sessions(source).sessions] == [2]
    assert not desk.agrees()
    with open_source(None, desk.ben.client, keeping=desk.keeping()) as source:
        assert [session.turns for session in list_sessions(source).sessions] == [3, 3]


def test_nothing_of_others_rests_in_plain(desk: Desk) -> None:
    """Neither hashes nor labels nor words of the schema are in the file, and only its owner can read it."""
    data = (desk.folder / FILES[0]).read_bytes()
    node = conversation("one", 1)[0]
    assert not any(word in data for word in (bytes.fromhex(node.hash), b"alpha", b"conversation", b"PAR1"))
    assert (desk.folder / FILES[0]).stat().st_mode & 0o077 == 0


def test_a_kill_while_it_is_written_leaves_the_former(desk: Desk) -> None:
    """Killed between any two writes: what was kept is kept, nothing half is read, and the next one makes it whole."""
    before = (desk.folder / FILES[0]).read_bytes()
    desk.pushed("three")
    child = get_context("fork").Process(target=_killed, args=(desk,))
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert (desk.folder / FILES[0]).read_bytes() == before
    assert desk.agrees()
    assert len(left(desk)) == 1
    (desk.folder / FILES[0]).unlink()
    assert not desk.agrees()
    assert left(desk) == []


@pytest.mark.long
def test_processes_beside_each_other_all_answer_right(desk: Desk) -> None:
    """Three readers, each making and noting it, while Ana pushes and somebody deletes it: each answer is of what it saw."""
    readers = [get_context("fork").Process(target=_reads, args=(desk,)) for _ in range(3)]
    for reader in readers:
        reader.start()
    for number in range(6):
        desk.pushed(f"meanwhile {number}", 4)
        if number % 2:
            forget(desk.folder)
    for reader in readers:
        reader.join(300)
    assert [reader.exitcode for reader in readers] == [0, 0, 0]
    desk.agrees()
    assert desk.agrees()
    assert left(desk) == []


def _reads(desk: Desk) -> None:
    """A process of its own: with connections of its own to the same home."""
    newer_rows.noted_rows_min = 1  # type: ignore[misc]
    home, who = desk.ben.home, SimpleNamespace(identity=desk.ben.client.identity)
    mine = Laptop(client(who, desk.ben.client.store, home), home)  # type: ignore[arg-type]
    for _ in range(8):
        made = Keeping(desk.folder, catalog_key(who.identity), desk.said.append, rows_min=0)
        with open_source(mine.local, mine.client, keeping=made) as source:
            seen = {origin.seq for origin in source.origins} - {None}
            rows = source.engine.all("SELECT DISTINCT seq FROM rows WHERE seq IS NOT NULL")
            assert {seq for (seq,) in rows} == seen
            assert answers(source)[0].totals.nodes == source.engine.all("SELECT count(*) FROM rows")[0][0]
    os._exit(0)


def left(desk: Desk) -> list[Path]:
    """What a killed writer left."""
    return list(desk.folder.glob(".catalog*"))


def _killed(desk: Desk) -> None:
    from query import sealed_sections  # noqa: PLC0415 - of the child

    def die(*_: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    sealed_sections.SectionWriter.end = die  # type: ignore[assignment, method-assign]
    made = Keeping(desk.folder, catalog_key(desk.ben.client.identity), desk.said.append, rows_min=0)
    with open_source(desk.ben.local, desk.ben.client) as source:
        made.keep(source, made.basis(source))


def test_a_full_disk_is_said_and_the_answer_given(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nothing can be written, the answer is made as ever, with a word about it."""
    (desk.folder / FILES[0]).unlink()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("query.sealed_sections.SectionWriter.end", full)
    assert not desk.agrees()
    assert "No space left" in desk.said[0]

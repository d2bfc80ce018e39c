"""Metadata-only turns in every answer: said to be so, counted once, and readable and searchable once their content comes."""

import io
import json
from pathlib import Path

import pytest

from query.export import write_json
from query.records import About
from query.sessions import list_sessions
from query.source import open_source
from query.table_rows import Loader, content_batches, node_batches
from query.transcript import load
from store.directory import DirectoryStore
from sync.client import Client
from tests.actors import founded, joined
from tests.laptops import Laptop, conversation
from tests.query.made_rows import Commit, Said, name, source_of
from tests.query.searching import asking

NODES = conversation("quokka", 4)
ABOUT = About("tapes 1", None, (), "2026-02-14T10:00:00Z", None)


class Team:
    """Ana withholds; Ben and Cat read; Ben may hold the same session."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.withheld = {"alpha"}
        store = DirectoryStore(folder / "bucket")
        owner = founded(store, folder / "ana")
        self.ana = Laptop(owner, folder / "ana", withheld=self.withheld)
        self.ben = Laptop(joined(owner, store, folder / "ben"), folder / "ben")
        self.cat = Laptop(joined(owner, store, folder / "cat", "cat"), folder / "cat")
        self.ana.provider.put(NODES)
        self.ana.provider.sync()
        for reader in (self.ben, self.cat):
            reader.provider.sync()

    def everything_goes(self) -> None:
        """Ana's content goes, and both read on."""
        self.withheld.clear()
        for each in (self.ana, self.ben, self.cat):
            each.provider.sync()


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """The team, after Ana's metadata-only push."""
    return Team(tmp_path)


def matches(client: Client, index: Path | None) -> tuple[int, int]:
    """How many turns say quokka, and how many no words can find."""
    with asking(None, client, index) as desk:
        answer = desk.search("quokka")
    return answer.matches, answer.withheld


@pytest.mark.parametrize("indexed", [True, False], ids=["index", "scan"])
def test_search_says_what_it_cannot_find_and_finds_it_later(team: Team, *, indexed: bool) -> None:
    """An index that was filled before the content came finds it after, and then nothing is said to be missing."""
    index = team.folder / "words.db" if indexed else None
    before = matches(team.ben.client, index)
    team.everything_goes()

    assert ((0, 4), (4, 0)) == (before, matches(team.ben.client, index))


def test_one_finds_and_reads_ones_own_words_all_the_same(team: Team) -> None:
    """What is withheld from the bucket is not withheld from its author: search and show read the local store."""
    with asking(team.ana.local, team.ana.client, None) as desk:
        answer = desk.search("quokka")
        nodes = load(desk.source, NODES[-1].hash)

    assert (4, 0) == (answer.matches, answer.withheld)
    assert [node.bucket for node in NODES] == [node.bucket for node in nodes]
    assert not any(node.withheld for node in nodes)


def test_a_reader_gets_the_path_with_all_but_content(team: Team) -> None:
    """Every turn is there with role, model, usage, time and parent; none has content, none claims a verified hash."""
    with open_source(None, team.ben.client) as source:
        nodes = load(source, NODES[-1].hash)

    assert [(n.hash, n.parent_hash, n.created_at, n.project) for n in NODES] == [
        (n.hash, n.parent_hash, n.created_at, n.project) for n in nodes
    ]
    assert [n.usage and n.usage.output for n in NODES] == [n.usage and n.usage.output for n in nodes]
    assert all(n.withheld and not n.verified and "content" not in n.bucket for n in nodes)


def test_sessions_say_how_much_is_withheld(team: Team) -> None:
    """Four turns before, none after; turns, tokens and totals are the same."""
    with open_source(None, team.ben.client) as source:
        before = list_sessions(source)
    team.everything_goes()
    with open_source(None, team.ben.client) as source:
        after = list_sessions(source)

    assert [4] == [session.withheld_turns for session in before.sessions]
    assert [0] == [session.withheld_turns for session in after.sessions]
    assert before.totals == after.totals


def test_exports_mark_withheld_turns_and_give_no_empty_message(team: Team) -> None:
    """JSON nodes say `withheld`, the nodes table has the column, the messages table no row that reads as silence."""
    with open_source(None, team.ben.client) as source:
        loader, sessions = Loader(source), list_sessions(source).sessions
        out = io.BytesIO()
        write_json(loader, sessions, ABOUT, "full", out)
        table = [row for batch in node_batches(loader, sessions) for row in batch.to_pylist()]
        messages = list(content_batches(loader, sessions))

    [session] = json.loads(out.getvalue())["sessions"]
    assert [True] * 4 == [node["withheld"] for node in session["nodes"]]
    assert [True] * 4 == [row["withheld"] for row in table]
    assert [] == messages


def test_anothers_copy_is_read_and_searched_because_its_hash_proves_it(team: Team) -> None:
    """Ben pushes the same turns whole: Cat reads them, and finds what Ana said in them, for their hashes hold."""
    team.ben.provider.put(NODES)
    team.ben.provider.sync()
    team.cat.provider.sync()
    with open_source(None, team.cat.client) as source:
        [session] = list_sessions(source).sessions
        nodes = load(source, session.id)

    assert [node.bucket for node in NODES] == [node.bucket for node in nodes]
    assert (team.ana.client.identity.member_id.hex(), 0) == (session.member, session.withheld_turns)
    assert (4, 0) == matches(team.cat.client, None)


@pytest.mark.parametrize("verified", [True, False])
def test_nobody_speaks_for_a_withheld_turn_whose_hash_proves_nothing(*, verified: bool) -> None:
    """Of a turn no era's hash fits, another's bytes are no content of Ana's; of a verified one they are what she said."""
    bare = Commit((Said("n", placed=False, verified=verified),), "ana")
    forged = Commit((Said("n", verified=verified),), "ben")
    with source_of([bare, forged]) as source:
        stored = source.engine.all("SELECT hash FROM stored")
        [(withheld,)] = source.engine.all("SELECT withheld FROM rows")

    assert ([(bytes.fromhex(name("n")),)] if verified else []) == stored
    assert withheld is not verified

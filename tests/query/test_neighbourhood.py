"""A neighbourhood: its rows alone say of a session what all rows say."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from shutil import rmtree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import UsageError, VerificationFailed
from query import batches as rows_in
from query import neighbourhood
from query.engine import Engine
from query.neighbourhood import Neighbourhood
from query.sessions import resolve
from query.source import Batch, Origin, Source, fill, open_source
from query.transcript import _steps, load
from store.database import IN_MEMORY, connect_in_memory
from store.local import LocalStore
from store.local_path import LOCAL_STORE
from store.local_rows import INSERT_NODE, node_row
from store.names import object_name
from store.nodes import node_to_bytes
from sync.giving_up import give_up
from tests.actors import founded, joined
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, conversation
from tests.query.made_rows import Commit, Said, facts_of_said, name, table_of
from tests.sealing_keys import digest

NODES = [f"n{number}" for number in range(9)]
TALKS = ["talk", "other", "third", "n1"]
said = st.builds(
    Said,
    node=st.sampled_from(NODES),
    parent=st.none() | st.sampled_from([*NODES, "never seen"]),
    conversation=st.sampled_from(TALKS),
    kind=st.sampled_from(["message", "message", "session"]),
    usage_id=st.none() | st.sampled_from(["call 1", "call 2"]),
    used=st.tuples(st.none(), st.none(), st.none(), st.sampled_from([None, 1, 5])),
    minute=st.none() | st.integers(0, 4),
    placed=st.booleans(),
    verified=st.booleans(),
    harness_session=st.none() | st.sampled_from(["harness-1", "harness-12", "else"]),
)
commits = st.lists(
    st.builds(
        Commit,
        rows=st.lists(said, min_size=1, max_size=4).map(tuple),
        member=st.sampled_from(["ana", "ben"]),
        team=st.booleans(),
    ),
    max_size=5,
)
own_rows = st.lists(st.tuples(said, st.booleans()), max_size=6, unique_by=lambda row: row[0].node)
asked = st.sampled_from(
    [*map(name, NODES + TALKS), *(name(node)[:5].upper() for node in NODES), "harness-1", "harn", "zzzz"]
)


def batches_of(commits: Sequence[Commit]) -> list[Batch]:
    """A manifest for each commit."""
    return [
        (
            Origin(digest(commit.member), digest("laptop of " + commit.member), seq, commit.team),
            table_of(commit.rows),
        )
        for seq, commit in enumerate(commits)
    ]


def store_of(rows: Sequence[tuple[Said, bool]]) -> LocalStore:
    """What this device has, and of each whether it was superseded: any rows, also such as no import would leave."""
    local = LocalStore(connect_in_memory(LOCAL_STORE), IN_MEMORY)
    for number, (said, superseded) in enumerate(rows, 1):
        local._run(INSERT_NODE, node_row(facts_of_said(said), number, number, name(said.conversation), 100))
        if superseded:
            local._run("UPDATE nodes SET superseded_by = ? WHERE id = ?", (name("better"), number))
    return local


def told(batches: Sequence[Batch], own: Iterable[Batch], asked_for: str) -> object:
    """Which session a name means and what each row of it says, or why it means none."""
    with Source(Engine()) as source:
        fill(source, batches, own)
        try:
            head = resolve(source, asked_for)
        except UsageError as refused:
            return str(refused)
        steps = list(_steps(source, head, None))
        # Origins are numbered as they come: what a number stands for is compared instead.
        places = [step.place and source.origins[step.place.origin].seq for step in steps]
        shown = [
            (step.hash, step.parent, step.committed, step.device, step.usage, step.labels) for step in steps
        ]
        others = [
            source.engine.all("SELECT origin >= 0 FROM others WHERE hash = unhex(?)", [step.hash])
            for step in steps
        ]
        return head, shown, places, others


def narrowed(batches: Sequence[Batch], local: LocalStore, asked_for: str) -> tuple[list[Batch], list[Batch]]:
    """The same rows as far as they belong to the neighbourhood."""
    near = Neighbourhood(asked_for)
    for _, table in batches:
        near.look(table)
    near.find(local)
    kept = [(origin, near.of(table)) for origin, table in batches]
    for number, (_, table) in enumerate(kept):
        assert near.touches(number) or not table.num_rows
    return [batch for number, batch in enumerate(kept) if near.touches(number)], list(
        rows_in.own_rows(local, None, near)
    )


@given(commits, own_rows, asked)
@settings(max_examples=40, deadline=None)
def test_few_rows_tell_what_all_rows_tell(
    made: list[Commit], own: list[tuple[Said, bool]], asked_for: str
) -> None:
    """For any rows, pushed or here, forks, circles, rivals, lost parents and names: the same session, rows, places, refusal."""
    batches = batches_of(made)
    with store_of(own) as local:
        few = narrowed(batches, local, asked_for)
        assert told(*few, asked_for) == told(batches, rows_in.own_rows(local, None), asked_for)


@given(commits, own_rows, asked)
@settings(max_examples=150, deadline=None)
def test_it_is_what_hangs_together_wherever_it_lies(
    made: list[Commit], own: list[tuple[Said, bool]], asked_for: str
) -> None:
    """What indexes find here and columns there, in turns, is what a slow look at all rows at once finds: no less, and no more."""
    pushed = [row for commit in made for row in commit.rows]
    near = Neighbourhood(asked_for)
    near.look(table_of(pushed))
    with store_of(own) as local:
        near.find(local)
        found = {("here", row.facts.hash) for row in near.own()}
    found |= {("pushed", digest.hex()) for digest in near.of(table_of(pushed)).column("hash").to_pylist()}

    rows = [("pushed", row) for row in pushed] + [("here", row) for row, _ in own]
    assert found == {(where, name(row.node)) for where, row in hanging_together(rows, asked_for)}


def hanging_together(rows: Sequence[tuple[str, Said]], asked_for: str) -> list[tuple[str, Said]]:
    """The rows that bear a name, and all that are linked to them, by looking at every row as often as it adds any."""
    start = asked_for.lower()
    inside = [
        row
        for row in rows
        if (row[1].harness_session or "").startswith(asked_for)
        or any(name(word).startswith(start) for word in (row[1].node, row[1].conversation))
    ]
    while True:
        nodes, parents, talks = (
            {getattr(row, link) for _, row in inside} for link in ("node", "parent", "conversation")
        )
        grown = [
            (where, row)
            for where, row in rows
            if row.conversation in talks
            or row.node in nodes | parents
            or row.parent in nodes
            or (where, row) in inside
        ]
        if len(grown) == len(inside):
            return inside
        inside = grown


def test_a_path_through_conversations_and_a_rival_without_a_link_belong() -> None:
    """A path whose every node names another conversation is whole; what hides a leaf counts, though nothing leads to it."""
    chain = [Said(f"n{n}", f"n{n - 1}" if n else None, f"talk {n}") for n in range(5)]
    call = Said("n6", conversation="one", usage_id="call", used=(None, None, None, 1))
    better = Said("n7", conversation="one", usage_id="call", used=(None, None, None, 9))
    made = batches_of([Commit((row,)) for row in [*chain, call, better]])
    for asked_for, rows in ((name("n4"), 5), (name("n6"), 2)):
        few = narrowed(made, store_of([]), asked_for)
        assert rows == sum(table.num_rows for _, table in few[0])
        assert told(*few, asked_for) == told(made, [], asked_for)
    assert "no session" in str(told(made, [], name("n6")))


def test_strangers_stay_away() -> None:
    """Of many conversations the rows of one are kept, whatever it is called by, and nothing where nothing bears the name."""
    made = [
        Commit(
            tuple(
                Said(f"{talk}-{n}", f"{talk}-{n - 1}" if n else None, talk, harness_session=f"h-{talk}")
                for n in range(4)
            )
        )
        for talk in ("a", "b", "c")
    ]
    for asked_for in (name("b-3"), name("b"), name("b-1")[:9], "h-b"):
        few, _ = narrowed(batches_of(made), store_of([]), asked_for)
        assert [table.num_rows for _, table in few] == [4]
    assert narrowed(batches_of(made), store_of([]), "nothing") == ([], [])


@pytest.mark.parametrize("asked_for", ["\udcff\udcfe\udcff\udcff", "ABCDE", "f" * 70, "no such"])
def test_a_name_that_no_session_has_is_refused_in_the_same_words(asked_for: str) -> None:
    """Bytes that are no text, capitals, more than a hash has: the sentence that all rows give, never a traceback."""
    made = batches_of([Commit((Said("n1", harness_session="abcdef"),))])

    assert "no session is named" in str(told(made, [], asked_for))
    assert told(made, [], asked_for) == told(*narrowed(made, store_of([]), asked_for), asked_for)


def test_rows_that_never_end_are_all_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hostile rows that grow by one node a round are not followed for ever: everything is read, as without a neighbourhood."""
    monkeypatch.setattr(neighbourhood, "rounds_max", 3)
    chain = [Said(f"n{n}", f"n{n - 1}" if n else None, f"talk {n}") for n in range(9)]
    made = [Commit((said,)) for said in [*chain, Said("stranger", conversation="far")]]
    few, own = narrowed(batches_of(made), store_of([(Said("far"), False)]), name("n0"))
    assert (len(few), len(own)) == (len(made), 1)


def test_both_laptops_read_one_session_of_many(tmp_path: Path) -> None:
    """What was pushed, pulled, and is only here reads the same by its neighbourhood as from everything."""
    store = StrictStore()
    owner = founded(store, tmp_path / "ana")
    ben = joined(owner, store, tmp_path / "ben")
    laptops = [Laptop(owner, tmp_path / "ana"), Laptop(ben, tmp_path / "ben")]
    talks = [conversation(f"talk {number}", 5) for number in range(4)]
    for talk in talks[:3]:
        laptops[0].local.add(talk)
        laptops[0].provider.sync()
    laptops[1].provider.sync()
    laptops[1].local.add(talks[3])
    for laptop, talk in [
        *((laptop, talk) for laptop in laptops for talk in talks[:3]),
        (laptops[1], talks[3]),
    ]:
        with open_source(laptop.local, laptop.client, about=talk[-1].hash) as source:
            assert source.engine.all("SELECT count(*) FROM rows") == [(5,)]
            read = [node_to_bytes(node) for node in load(source, resolve(source, talk[-1].hash))]
        assert read == [node_to_bytes(node) for node in talk]
    for laptop in laptops:
        laptop.close()


def test_a_manifest_that_was_given_up_is_passed_over(tmp_path: Path) -> None:
    """It was lost here and in the bucket: an error that names it, until the team gives it up; then the rest is read."""
    store = StrictStore()
    ana = Laptop(founded(store, tmp_path / "ana"), tmp_path / "ana")
    for word in ("stays", "lost"):
        ana.provider.put(conversation(word, 2))
        ana.provider.sync()
    pending = ana.client.replica.manifests("applied")[-1]
    lost = object_name("manifest", pending.ref.base, pending.ref.sha256)
    store.plant(lost, None)
    rmtree(tmp_path / "ana" / "cache")
    head = conversation("stays", 2)[-1].hash
    for about in (None, head):
        with pytest.raises(VerificationFailed, match=pending.ref.sha256):
            open_source(None, ana.client, about=about)
    give_up(ana.client, [lost])

    for about in (None, head):
        with open_source(None, ana.client, about=about) as source:
            assert [(2,)] == source.engine.all("SELECT count(*) FROM rows")
            assert head == resolve(source, head)

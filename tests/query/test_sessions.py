"""The session list against the same thing told slowly, on small DAGs of every shape."""

from dataclasses import asdict, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.errors import UsageError
from query.sessions import list_sessions, resolve
from tests.query.made_rows import Commit, Said, expected, name, source_of

NODES = [f"n{number}" for number in range(9)]
counts = st.none() | st.sampled_from([0, 1, 5, 5, 2**53 - 1])

said = st.builds(
    Said,
    node=st.sampled_from(NODES),
    parent=st.none() | st.sampled_from([*NODES, "never seen"]),
    conversation=st.sampled_from(["talk", "talk", "other"]),
    kind=st.sampled_from(["message", "message", "message", "session", None]),
    usage_id=st.none() | st.sampled_from(["call 1", "call 2"]),
    used=st.tuples(counts, counts, counts, counts),
    cost=st.none() | st.integers(0, 9),
    cost_source=st.sampled_from([None, "computed", "unpriced"]),
    project=st.sampled_from([None, "alpha", "beta"]),
    agent=st.sampled_from([None, "claude"]),
    model=st.sampled_from([None, "m1", "m2"]),
    minute=st.none() | st.integers(0, 4),
    stored_bytes=st.integers(1, 2),
    placed=st.booleans(),
)
commits = st.lists(
    st.builds(
        Commit,
        rows=st.lists(said, min_size=1, max_size=6).map(tuple),
        member=st.sampled_from(["ana", "ben"]),
        team=st.booleans(),
    ),
    max_size=4,
)


@settings(max_examples=50)
@given(commits, st.lists(said, max_size=5, unique_by=lambda row: row.node))
def test_any_rows_give_the_sessions_they_ought_to(committed: list[Commit], own: list[Said]) -> None:
    """Forks, gaps, circles, rivals for a node and for a model call: every field and total is what a plain fold says."""
    with source_of(committed, own) as source:
        listed = asdict(list_sessions(source))

    assert expected(committed, own) == {**listed, "sessions": list(listed["sessions"])}


@settings(max_examples=15)
@given(commits, st.randoms(use_true_random=False))
def test_how_rows_are_cut_into_manifests_does_not_matter(committed: list[Commit], random: object) -> None:
    """One manifest or many of one row each: the same answer, and the same again when asked twice."""
    with source_of(committed) as whole, source_of(committed, apart=True) as apart:
        first = list_sessions(whole)

        assert first == list_sessions(whole) == list_sessions(apart)


def heads(committed: list[Commit], own: list[Said] | None = None) -> list[str]:
    """The names of listed heads, newest first."""
    with source_of(committed, own or []) as source:
        named = {name(node): node for node in [*NODES, *(row.node for c in committed for row in c.rows)]}
        return [named[session.id] for session in list_sessions(source).sessions]


def talk(*nodes: str, session: str | None = None, **common: object) -> list[Said]:
    """A chain of turns, a minute apart."""
    parents = [None, *nodes[:-1]]
    return [
        Said(node, parent, minute=minute, harness_session=session, **common)  # type: ignore[arg-type]
        for minute, (node, parent) in enumerate(zip(nodes, parents, strict=True))
    ]


def test_an_empty_source_has_no_sessions() -> None:
    """Nothing pulled and nothing here: an empty list and zeros, not an error."""
    with source_of([]) as source:
        listed = list_sessions(source)

    assert ((), 0, 0) == (listed.sessions, listed.totals.nodes, listed.totals.tokens.output)


def test_one_node_is_a_session() -> None:
    """A single turn is root and head in one."""
    with source_of([Commit((Said("only", used=(1, 2, 3, 4), cost=5, cost_source="computed"),))]) as source:
        [session] = list_sessions(source).sessions

    assert (name("only"), 1, 4, 5) == (
        session.id,
        session.turns,
        session.tokens.output,
        session.cost_usd_micro,
    )
    assert (name("ana"), "team", True) == (session.member, session.space, session.synced)


def test_the_author_is_the_commits_never_the_rows() -> None:
    """A row that names another member (made_rows' tables all do) is shown as by whoever signed the commit."""
    with source_of([Commit((Said("n1"),), member="ben")]) as source:
        assert name("ben") == list_sessions(source).sessions[0].member


def test_nobody_rewrites_what_another_committed_first() -> None:
    """Ben pushes Ana's node again with another project and more tokens: Ana's row stays; her own later one replaces it."""
    first = Said("n1", used=(1, 1, 1, 10), project="alpha")
    lie = replace(first, used=(9, 9, 9, 9999), project="stolen")
    better = replace(first, used=(2, 2, 2, 20))
    with source_of([Commit((first,)), Commit((lie,), member="ben"), Commit((better,))]) as source:
        [session] = list_sessions(source).sessions

    assert ("alpha", 20, name("ana")) == (session.project, session.tokens.output, session.member)


def test_an_own_row_never_outdoes_a_committed_one() -> None:
    """Two laptops with the same log show the same, though one has better numbers that it has not pushed."""
    row = Said("n1", used=(1, 1, 1, 10))
    with source_of([Commit((row,))], [replace(row, used=(1, 1, 1, 500))]) as source:
        [session] = list_sessions(source).sessions

    assert (10, True) == (session.tokens.output, session.synced)


def test_a_replayed_call_counts_once() -> None:
    """The same call logged in two conversations counts where its output is largest, and nowhere else."""
    partial = Said("n1", usage_id="call", used=(1, 1, 1, 5), cost=1, cost_source="computed")
    full = Said(
        "n2", conversation="other", usage_id="call", used=(1, 1, 1, 631), cost=9, cost_source="computed"
    )
    with source_of([Commit((partial,)), Commit((full,))]) as source:
        listed = list_sessions(source)

    assert (2, 631, 9) == (listed.totals.nodes, listed.totals.tokens.output, listed.totals.cost_usd_micro)
    assert {0, 631} == {session.tokens.output for session in listed.sessions}


def test_a_provisional_leaf_is_no_head() -> None:
    """A message read while growing leaves a second leaf behind: only the complete one is a session, in either order."""
    root = Said("n0")
    growing = Said("n1", "n0", usage_id="call", used=(1, 1, 1, 5), minute=1)
    complete = replace(growing, node="n2", used=(1, 1, 1, 631))

    assert ["n2"] == heads([Commit((root, growing)), Commit((complete,))])
    assert ["n2"] == heads([Commit((root, complete)), Commit((growing,))])
    assert ["n3", "n2"] == heads([Commit((root, growing, complete, Said("n3", "n1", minute=9)))])


def test_equal_leaves_do_not_hide_each_other() -> None:
    """Two leaves of one call that are alike in everything: exactly one of them stays."""
    alike = [Said(node, "n0", usage_id="call", used=(1, 1, 1, 5)) for node in ("n1", "n2")]

    assert 1 == len(heads([Commit((Said("n0"), *alike))]))


@pytest.mark.parametrize(("first", "second"), [("n1", "n2"), ("n2", "n1")])
def test_of_twins_the_one_in_a_session_counts(first: str, second: str) -> None:
    """A call logged twice with the same output is in the sums of the session that is listed, whatever hashes and commits.

    Once the conversation went on from one of them, once both are leaves of which one has more in it.
    """
    growing = Said(first, "n0", usage_id="call", used=(1, 1, 1, 5), cost=7, minute=1)
    twin = replace(growing, node=second)
    longer = replace(twin, stored_bytes=growing.stored_bytes + 1)
    for commits in (
        [Commit((Said("n0"), growing, twin, Said("end", first, minute=2)))],
        [Commit((Said("n0"), twin)), Commit((growing, Said("end", first, minute=2)))],
        [Commit((Said("n0"), growing)), Commit((longer,))],
        [Commit((Said("n0"), longer)), Commit((growing,))],
    ):
        with source_of(commits) as source:
            listed = list_sessions(source)
        [session] = listed.sessions
        assert (5, 7) == (session.tokens.output, session.cost_usd_micro)
        assert 5 == listed.totals.tokens.output


def test_another_members_node_hides_no_session() -> None:
    """Whoever copies a usage id with a larger output does not make that session vanish."""
    rows = Commit((Said("n0"), Said("n1", "n0", usage_id="call", used=(1, 1, 1, 5))))
    lie = Commit((Said("n2", "n0", usage_id="call", used=(1, 1, 1, 900)),), member="ben")

    assert {"n1", "n2"} == set(heads([rows, lie]))


def test_another_member_cannot_zero_a_count() -> None:
    """Whoever copies a usage id with a larger output has its own row left out, not the row of the first committer."""
    rows = Commit((Said("n1", usage_id="call", used=(1, 1, 1, 5)),))
    lie = Commit((Said("n2", usage_id="call", used=(1, 1, 1, 900)),), member="ben")
    with source_of([rows, lie]) as source:
        totals = list_sessions(source).totals

    assert 5 == totals.tokens.output


def test_session_nodes_alone_are_no_session() -> None:
    """The importer's synthetic roots count as nodes, not as turns, and a path of nothing else is not listed."""
    roots = [Said("n0", kind="session"), Said("n1", "n0", kind="session")]
    with source_of([Commit((*roots, Said("n2", "n0")))]) as source:
        listed = list_sessions(source)

    assert [(name("n2"), 1)] == [(session.id, session.turns) for session in listed.sessions]
    assert 3 == listed.totals.nodes


def test_a_circle_ends_and_counts_once() -> None:
    """Rows that are each other's parents hang from no root: they are in the totals, and in no session."""
    circle = [Said("n1", "n2", used=(1, 0, 0, 3)), Said("n2", "n1", used=(1, 0, 0, 4)), Said("n3", "n2")]
    with source_of([Commit((*circle, Said("n4", "n4")))]) as source:
        listed = list_sessions(source)

    assert ((), 4, 7) == (listed.sessions, listed.totals.nodes, listed.totals.tokens.output)


def test_unpriced_calls_are_told_not_guessed() -> None:
    """An unknown model adds nothing to the cost and one to what is unpriced."""
    rows = [Said("n0", cost=7, cost_source="computed"), Said("n1", "n0", cost_source="unpriced")]
    with source_of([Commit(tuple(rows))]) as source:
        [session] = list_sessions(source).sessions

    assert (7, 1) == (session.cost_usd_micro, session.unpriced_turns)


def test_a_half_pushed_session_is_not_synced() -> None:
    """Its new head is only here: no space, not synced; what was pushed of it stays in the totals once."""
    rows = talk("n0", "n1", "n2")
    with source_of([Commit(tuple(rows[:2]))], rows) as source:
        listed = list_sessions(source)

    assert [(None, False)] == [(session.space, session.synced) for session in listed.sessions]
    assert 3 == listed.totals.nodes


def test_a_long_chain_and_a_deep_comb_are_linear() -> None:
    """3,000 nodes in one line, and 3,000 in a line with a leaf at each: no recursion, no walk per leaf."""
    chain = talk(*(f"c{number}" for number in range(3000)), used=(1, 0, 0, 0))
    teeth = [replace(row, node=f"tooth of {row.node}", parent=row.node) for row in chain]
    with source_of([Commit((*chain, *teeth))]) as source:
        sessions = list_sessions(source).sessions

    assert list(range(2, 3002)) == sorted(session.tokens.input_uncached for session in sessions)


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

NAMED = [
    Commit(tuple(talk("r1", "r1 old", session="aaaa-1111", conversation="r1"))),
    Commit((Said("r1 new", "r1", minute=7, harness_session="bbbb-2222", conversation="r1"),)),
    Commit(tuple(talk("r2", "r2 end", session="aaaa-1111-2", conversation="r2"))),
]


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        (name("r1 old"), "r1 old"),
        (name("r1 old")[:8].upper(), "r1 old"),
        (name("r1"), "r1 new"),
        (name("r1")[:6], "r1 new"),
        ("aaaa-1111", "r1 old"),
        ("bbbb", "r1 new"),
        ("aaaa-1111-", "r2 end"),
    ],
)
def test_a_prefix_names_the_newest_head_of_what_it_means(asked: str, meant: str) -> None:
    """Heads name themselves, roots and agents' session ids their newest head; a whole id wins over a longer one."""
    with source_of(NAMED) as source:
        assert name(meant) == resolve(source, asked)


@pytest.mark.parametrize(
    ("asked", "problem"),
    [("aaaa", "names 2 sessions"), ("zzzz", "no session"), ("aaa", "too short"), ("", "too short")],
)
def test_a_prefix_that_means_nothing_or_too_much_is_refused(asked: str, problem: str) -> None:
    """The error says which it is and what to do; candidates are listed."""
    with source_of(NAMED) as source, pytest.raises(UsageError, match=problem) as refused:
        resolve(source, asked)

    assert refused.value.hint
    assert ("names" in problem) == (name("r2 end") in refused.value.message)


def test_at_most_five_candidates_are_listed() -> None:
    """A prefix that means everything does not print everything."""
    commits = [Commit((Said(f"s{n}", conversation=f"s{n}", harness_session=f"same-{n}"),)) for n in range(7)]
    with source_of(commits) as source, pytest.raises(UsageError, match="names 7 sessions") as refused:
        resolve(source, "same")

    assert 5 == sum(name(f"s{n}") in refused.value.message for n in range(7))

"""Search: the index and the scan give one answer, and it is the right one."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import query.texts
from crypto.errors import UsageError
from query.texts import Kept
from query.tokenize import normal
from query.transcript import load
from store.local import LocalStore
from store.names import object_name
from store.nodes import node_to_bytes
from tests.actors import founded, joined
from tests.attacks.hostile import lying_push
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, conversation, turn
from tests.query.searching import asking, said, talk

PIECES = [
    "retry",
    "Retry_Backoff",
    "a/b.py",
    "Foo::bar",
    "Straße",
    "ÀÉ",
    "e\u0301",
    "東京タワー",
    "हिन्दी",
    "สวัสดี",
    "x" * 200,
    "ﬁ",
    "İ",
    "\0",
    "-",
    "ガ",
    "ｶﾞ",
    "1.5",
    "🙂",
    "a",
    "b",
    "bar foo",
]
texts = st.lists(st.sampled_from(PIECES), max_size=5).map(" ".join) | st.text(max_size=15)
TERMS = [
    "retry",
    "ret*",
    '"retry backoff"',
    "b.py",
    "a",
    "-a",
    "NOT b",
    "strasse",
    "ae",
    "京タ",
    "東*",
    "हिन्दी",
    "หวัด",
]
terms = st.sampled_from([*TERMS, "x" * 150, "xx*", "fi", "ガ", "OR", "foo", "1 5", "é", "bar"])


@pytest.fixture
def local(tmp_path: Path) -> Iterator[LocalStore]:
    """An empty local store."""
    with LocalStore.open(tmp_path / "tapes.db") as opened:
        yield opened


@settings(max_examples=25)
@given(
    st.lists(texts, min_size=1, max_size=6, unique=True),
    st.lists(st.lists(terms, min_size=1, max_size=5).map(" ".join), min_size=4, max_size=8),
)
def test_the_index_and_the_scan_give_the_same_answers(spoken: list[str], lines: list[str]) -> None:
    """Any texts, any queries: same sessions, same turns, same snippets, or the same refusal."""
    with TemporaryDirectory() as folder, LocalStore.open(Path(folder) / "tapes.db") as local:
        local.add(talk(spoken))
        local.add([said("a retry", tool="Bash")])
        with asking(local, None, Path(folder) / "i.db") as indexed, asking(local, None, None) as scanned:
            for line in lines:
                try:
                    expected = scanned.search(line)
                except UsageError:
                    with pytest.raises(UsageError):
                        indexed.search(line)
                    continue
                assert expected == indexed.search(line)


@given(st.text(max_size=40))
def test_a_text_is_found_by_itself(text: str) -> None:
    """The words of the words of a text are the same words, so what is shown can be asked for."""
    words = normal(text)

    assert words == " ".join(words.split())
    assert not words or normal(words) == words or not words.isascii()
    assert words == normal(text.upper()) or not text.isascii()


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("call snake_case here", "snake_case"),
        ("see a/b.py:12", "b.py"),
        ("use Foo::bar()", "Foo::bar"),
        ("Ärger mit der STRASSE", "arger straße"),
        ("naïve cafe\u0301", '"naive café"'),
        ("東京タワーへ行く", "タワー"),
        ("안녕하세요", "하세"),
        ("สวัสดีครับ", "ครับ"),
        ("हिन्दी में", "हिन्दी"),
        ("\uff46\uff55\uff4c\uff4c \uff57idth", "full width"),
        ("retrying soon", "retr*"),
    ],
)
def test_code_and_scripts_are_found_as_written(
    local: LocalStore, tmp_path: Path, text: str, line: str
) -> None:
    """Each way of writing is found, and marked, where it was said; a text without it is not."""
    node = said(text)
    local.add([node, said("nothing of the kind")])
    for index in (None, tmp_path / "i.db"):
        with asking(local, None, index) as desk:
            answer = desk.search(line)

            assert [(found.matches, found.hits[0].node) for found in answer.found] == [(1, node.hash)]


def test_accents_and_vowel_signs_are_told_apart() -> None:
    """An accent is folded away; a voiced kana and an Indic vowel sign make another word."""
    assert normal("É") == "e"
    assert normal("が") != normal("か")
    assert normal("कि") != normal("का")


def test_a_shared_turn_is_shown_once_in_the_newest_fork(local: LocalStore, tmp_path: Path) -> None:
    """Forks do not multiply what was said before them; a filter may leave only the older one to show it."""
    root = said("the shared word", minute=0)
    old, new = said("old fork", root, 1), said("new fork", root, 2, tool="mcp__docs__search")
    local.add([root, old, new])
    with asking(local, None, tmp_path / "i.db") as desk:
        everything, filtered = desk.search("shared"), desk.search("shared status:abandoned")
        called = desk.search("tool:mcp__docs*")

    assert [(one.session.id, one.hits[0].turn) for one in everything.found] == [(new.hash, 1)]
    assert [one.session.id for one in filtered.found] == [old.hash]
    assert [one.session.id for one in called.found] == [new.hash]


def test_orders_and_limits(local: LocalStore, tmp_path: Path) -> None:
    """By date the newest end first; by relevance the turn that is about little else; the limit hides nothing from the count."""
    dense, sparse = said("kite kite kite", minute=1), said("kite " + "and other things " * 50, minute=9)
    local.add([dense, sparse])
    with asking(local, None, tmp_path / "i.db") as desk:
        by_date = desk.search("kite", limit=1)
        by_relevance = desk.search("kite", order="relevance")

    assert ([sparse.hash], 2, 2) == (
        [one.session.id for one in by_date.found],
        by_date.sessions,
        by_date.matches,
    )
    assert [dense.hash, sparse.hash] == [one.session.id for one in by_relevance.found]


SPOKEN = [
    "kite",
    "kite kite tail",
    "the tail of a kite, a tail, a long tail",
    "tail " * 30,
    "beam " * 40 + "kite",
    "a lamp",
]


@settings(max_examples=15)
@given(
    st.permutations(SPOKEN),
    st.sampled_from(["kite", "tail", "kite OR tail", "ta* kite", "kite -tail", '"a tail"']),
)
def test_the_scan_ranks_as_the_index_does(spoken: list[str], line: str) -> None:
    """The same sessions in the same order by relevance, whoever looks the words up."""
    with TemporaryDirectory() as folder, LocalStore.open(Path(folder) / "tapes.db") as local:
        local.add([said(text, minute=minute) for minute, text in enumerate(spoken)])
        local.add([said("with kite", tool="Bash")])
        with asking(local, None, Path(folder) / "i.db") as indexed, asking(local, None, None) as scanned:
            assert scanned.search(line, order="relevance") == indexed.search(line, order="relevance")


def test_turns_come_one_by_one(local: LocalStore, tmp_path: Path) -> None:
    """With turns as the scope each match is shown by itself, newest first or best first; the limit counts turns."""
    path = talk(["kite", "no", "kite kite", "kite again"])
    local.add(path)
    for index in (None, tmp_path / "i.db"):
        with asking(local, None, index) as desk:
            by_date = desk.search("kite", scope="turn")
            best = desk.search("kite", order="relevance", limit=1, scope="turn")

            assert [one.hits[0].node for one in by_date.found] == [path[3].hash, path[2].hash, path[0].hash]
            assert [(one.hits[0].node, one.hits[0].turn) for one in best.found] == [(path[2].hash, 3)]
            assert (best.sessions, best.matches) == (1, 3)
            with pytest.raises(UsageError, match="words"):
                desk.search("project:alpha", scope="turn")


def test_tools_alone_are_searched(local: LocalStore, tmp_path: Path) -> None:
    """With tools as the scope only their calls and results match and are quoted; what was said around them does not."""
    asked = said("run the kite tests")
    call = said("running the kite", asked, 1, tool="Bash", told={"command": "pytest kite"})
    talked = said("the kite is done", call, 2, answer=True)
    local.add([asked, call, talked])
    for index in (None, tmp_path / "i.db"):
        with asking(local, None, index) as desk:
            tools, everything = desk.search("kite", scope="tool"), desk.search("kite", scope="turn")
            apart = desk.search('"kite bash"').matches

            assert [one.hits[0].node for one in tools.found] == [call.hash]
            assert tools.found[0].hits[0].snippet.text == "Bash pytest kite"
            assert everything.matches == 3
            assert desk.search("pytest -running", scope="tool").matches == 1
            assert apart == 0


def test_a_tool_is_meant_by_its_whole_name(local: LocalStore) -> None:
    """`tool:Bash` means that tool: no other that begins so, none only spoken of, whatever case; * and ? stand for more."""
    nodes = [
        said("a", tool="Bash"),
        said("b", tool="BashOutput"),
        said("Bash\nBash"),
        said("c", tool="mcp__docs__search"),
    ]
    local.add(nodes)
    with asking(local, None, None) as desk:
        found = {
            line: {one.session.id for one in desk.search(line).found}
            for line in ("tool:bash", "tool:bash*", "tool:mcp__*__search tool:Bash", "tool:mcp", "tool:*")
        }

    assert found["tool:bash"] == {nodes[0].hash}
    assert found["tool:bash*"] == {nodes[0].hash, nodes[1].hash}
    assert found["tool:mcp__*__search tool:Bash"] == {nodes[0].hash, nodes[3].hash}
    assert found["tool:mcp"] == set()
    assert found["tool:*"] == {nodes[0].hash, nodes[1].hash, nodes[3].hash}


def test_a_snippet_marks_what_was_found(local: LocalStore) -> None:
    """One line around the first place, with the offsets of every mark in it."""
    local.add([said("x " * 300 + "before\nthe Retry_Backoff of a/b.py, retried " + "y " * 300)])
    with asking(local, None, None) as desk:
        [found] = desk.search('"retry backoff" retr*').found
    snippet = found.hits[0].snippet

    assert ["Retry_Backoff", "retried"] == [snippet.text[a:b] for a, b in snippet.marks]
    assert "\n" not in snippet.text
    assert len(snippet.text) < 300


def test_a_title_is_the_last_prompts(local: LocalStore) -> None:
    """Results of tools, which are logged as the user's, are no prompts; what agents wrap in tags is no line of one."""
    first = said("Make a kite.\nwith a tail")
    call = said("calling", first, 1, tool="Bash")
    results = said("exit 1", call, 2)
    more_results = said("exit 2", results, 3)
    done = said("done", more_results, 4, answer=True)
    second = said("<system-reminder>be kind</system-reminder>\n<command-name>x\nNow a longer one.", done, 5)
    local.add([first, call, results, more_results, done, second])
    with asking(local, None, None) as desk:
        [found] = desk.search("project:alpha").found

    assert found.title == "Make a kite. / Now a longer one."


# ── a team ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def store() -> StrictStore:
    """A bucket that fails the test on misuse."""
    return StrictStore()


@pytest.fixture
def two(store: StrictStore, tmp_path: Path) -> Iterator[tuple[Laptop, Laptop]]:
    """Ana, who founded the team, and Ben, who joined; what is of project secret stays private."""
    ana = founded(store, tmp_path / "ana")
    ben = joined(ana, store, tmp_path / "ben")
    laptops = Laptop(ana, tmp_path / "ana", {"secret"}), Laptop(ben, tmp_path / "ben", {"secret"})
    yield laptops
    for laptop in laptops:
        laptop.close()


def sync(*laptops: Laptop) -> None:
    """Each in turn."""
    for laptop in laptops:
        assert not laptop.provider.sync().broken


def test_what_one_says_the_other_finds(two: tuple[Laptop, Laptop], tmp_path: Path) -> None:
    """After a sync on each side both give the same answer, by index and by scan; an index grows with what a sync brings."""
    ana, ben = two
    ana.provider.put(conversation("lighthouse", 5))
    sync(ana, ben)
    indexes = tmp_path / "a.db", tmp_path / "b.db"
    for _ in range(2):
        answers = []
        for laptop, index in ((ana, indexes[0]), (ben, indexes[1]), (ana, None), (ben, None)):
            with asking(laptop.local, laptop.client, index) as desk:
                answers.append(desk.search("says aou"))
                assert not desk.texts.unread
                assert not desk.notices
        assert answers[0].matches > 0
        assert all(answer == answers[0] for answer in answers)
        ben.provider.put(conversation("kite", 4, project="beta"))
        sync(ben, ana)

    assert answers[0].matches == 9


def test_a_private_session_is_found_by_nobody_else(two: tuple[Laptop, Laptop], tmp_path: Path) -> None:
    """Ana finds her private words on her laptop; Ben's index has never heard of them."""
    ana, ben = two
    ana.provider.put(conversation("hush", 3, project="secret"))
    sync(ana, ben)

    with asking(ana.local, ana.client, tmp_path / "a.db") as desk:
        assert desk.search("hush").matches == 3
    with asking(ben.local, ben.client, tmp_path / "b.db") as desk:
        assert desk.search("hush").matches == 0
        assert desk.index.count() == 0


def test_texts_that_are_away_are_said_and_found_later(
    two: tuple[Laptop, Laptop], store: StrictStore, tmp_path: Path
) -> None:
    """Without the bucket a search answers from what is here and names what it did not search; with it, nothing is lost."""
    ana, ben = two
    ana.provider.put(conversation("lighthouse", 3))
    sync(ana, ben)
    ben.provider.put([turn("a kite of my own", None, project="beta")])
    [ref] = [ref for ref, _ in ben.client.replica.named_objects() if ref.kind == "pack"]
    name = object_name("pack", ref.base, ref.sha256)
    kept = store.get(name)
    store.plant(name, None)
    with asking(ben.local, ben.client, tmp_path / "b.db") as desk:
        assert (desk.search("kite").matches, desk.search("lighthouse").matches) == (1, 0)
        assert list(desk.texts.unread) == [name]
    store.plant(name, kept)
    with asking(ben.local, ben.client, tmp_path / "b.db") as desk:
        assert desk.search("lighthouse").matches == 3
        assert not desk.texts.unread


def test_a_pulled_team_is_indexed_by_whole_packs_and_then_shown_without_the_bucket(
    two: tuple[Laptop, Laptop], store: StrictStore, tmp_path: Path
) -> None:
    """One request brings all of a pack's turns; what was indexed rests here as ciphertext, for `show` too."""
    ana, ben = two
    talk = conversation("lighthouse", 6)
    ana.provider.put(talk)
    sync(ana, ben)
    store.history.clear()
    with asking(ben.local, ben.client, tmp_path / "b.db") as desk:
        assert desk.search("lighthouse").matches == 6
        assert ["get"] == [op for op, name in store.history if name.startswith("packs/")]
        store.history.clear()
        assert talk == load(desk.source, talk[-1].hash)
        assert not store.history


def test_a_few_turns_cost_their_frames_and_not_their_pack(
    two: tuple[Laptop, Laptop], store: StrictStore, tmp_path: Path
) -> None:
    """The scan of one turn among many conversations asks for one range."""
    ana, ben = two
    talks = [conversation(f"talk number {number}", 2) for number in range(8)]
    ana.provider.put([node for talk in talks for node in talk])
    sync(ana, ben)
    store.history.clear()
    with asking(ben.local, ben.client, None) as desk:
        texts = dict(desk.texts.every({bytes.fromhex(talks[3][0].hash)}))

    assert ["talk number 3" in text for text in texts.values()] == [True]
    assert ["range"] == [op for op, name in store.history if name.startswith("packs/")]


def test_a_member_cannot_put_words_into_a_turn(
    two: tuple[Laptop, Laptop], store: StrictStore, tmp_path: Path
) -> None:
    """A pack whose bytes are not what the hashes say is not searched, and is named; the rest is."""
    ana, ben = two
    lie = node_to_bytes(turn("a scandal", None, project="alpha"))
    said = conversation("harmless", 2)
    lying_push(ana, said, stored=lambda node_hash, data: lie if node_hash == said[1].hash else data)
    ben.provider.pull()
    for index in (tmp_path / "b.db", None):
        with asking(ben.local, ben.client, index) as desk:
            assert (desk.search("scandal").matches, desk.search("harmless").matches) == (0, 1)
            assert all(name.startswith("packs/") for name in desk.texts.unread)
            assert len(desk.texts.unread) == 1


def test_kept_texts_are_not_read_again_and_stay_few(
    local: LocalStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second search reads nothing; what is kept is bounded; the answers are those of a search that keeps nothing."""
    monkeypatch.setattr(query.texts, "kept_chars_max", 60)
    local.add(talk([f"kite number {number}" for number in range(9)]))
    reads: list[str] = []
    plain_get = LocalStore.get_bytes

    def noted_get(self: LocalStore, name: str) -> bytes | None:
        reads.append(name)
        return plain_get(self, name)

    monkeypatch.setattr(LocalStore, "get_bytes", noted_get)
    with asking(local, None, tmp_path / "i.db") as desk:
        expected = desk.search("kite")
        desk.texts.kept = Kept()
        first, read = desk.search("kite"), len(reads)
        second = desk.search("kite")

        assert len(reads) == read
        assert first == second == expected
        desk.turns("number")
        assert 0 < desk.texts.kept.chars == sum(map(len, desk.texts.kept.by_hash.values())) <= 60

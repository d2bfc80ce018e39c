"""Redacted sessions: nothing hidden can be read or guessed from what is left, and what is left can be trusted."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crypto.errors import UsageError
from crypto.leaves import batch_root
from query.hiding import Hiding
from query.redact import RedactedLoader, salts
from query.redaction_rules import default_rules, read_rules
from query.sessions import list_sessions
from query.source import open_source
from store.eras import era_of, make_node
from store.local import LocalStore
from store.local_path import local_store_path
from store.nodes import Node, Source
from sync.pull import applied_manifests
from tests.actors import founded
from tests.command_line import Person
from tests.fakes.strict_store import StrictStore
from tests.laptops import Laptop, turn

SECRETS = {
    "private-key": "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n-----END OPENSSH PRIVATE KEY-----",
    "aws-key": "AKIAIOSFODNN7EXAMPLE",
    "token": "ghp_" + "a1B2" * 9,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N",
    "authorization": "c2VjcmV0LWJlYXJlci0xMjM0",
    "url-password": "hunter2hunter2",
    "assignment": "correct-horse-battery",
    "email": "ada.lovelace+x@analytical.example.org",
    "home": "adalovelace",
}
SAID = {
    "authorization": "curl -H 'Authorization: Bearer {}'",
    "url-password": "postgres://app:{}@db.example/x",
    "assignment": 'DB_PASSWORD="{}" make',
    "home": "see /home/{}/src and C:\\Users\\{}\\x and -home-{}-src",
}
RULES = default_rules()


def phrase(name: str) -> str:
    """A sentence with that secret in it."""
    return SAID.get(name, "here: {} !").replace("{}", SECRETS[name])


def block_of(name: str, place: str) -> dict[str, Any]:
    """A content block that has the secret in some place."""
    words = phrase(name)
    blocks: dict[str, dict[str, Any]] = {
        "text": {"type": "text", "text": words},
        "thinking": {"type": "thinking", "thinking": words},
        "input": {
            "type": "tool_use",
            "tool_name": "Bash",
            "tool_use_id": "t",
            "tool_input": {"a": [{"b": words}]},
        },
        "key": {"type": "tool_use", "tool_name": "Bash", "tool_use_id": "t", "tool_input": {words: 1}},
        "output": {"type": "tool_result", "tool_result_id": "t", "tool_output": words},
        "raw": {"type": "tool_result", "tool_result_id": "t", "content": [{"type": "text", "text": words}]},
    }
    return blocks[place]


def path_with(blocks: list[dict[str, Any]]) -> list[Node]:
    """A harmless turn, one with the blocks, a harmless one; the log line is quoted beside."""
    first = turn("nothing to see", None)
    bucket = {"type": "message", "role": "user", "content": blocks, "model": "", "provider": ""}
    extra = {"cwd": json.dumps(blocks)}
    second = make_node(
        bucket,
        first.hash,
        project="x",
        source=Source("claude", "s", None, extra),
        created_at=first.created_at,
    )
    return [first, second, turn("over", second)]


def person_with(home: Path, nodes: list[Node]) -> Person:
    """Somebody whose local store has the nodes."""
    person = Person(home).init("Ada")
    with LocalStore.open(local_store_path(person.home)) as local:
        local.add(nodes)
    return person


def all_bytes(path: Path) -> bytes:
    """What is in a file or folder, unpacked."""
    if path.is_dir():
        tables = [pq.ParquetFile(file) for file in sorted(path.rglob("*.parquet"))]
        rows = json.dumps(
            [(str(table.metadata.metadata), table.read().to_pylist()) for table in tables], default=str
        )
        return rows.encode() + (path / "_export.json").read_bytes()
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".tape" else data


@pytest.mark.parametrize("kind", ["tape", "json", "ndjson", "md", "html", "parquet"])
def test_no_format_lets_a_secret_or_its_hash_out(kind: str, tmp_path: Path) -> None:
    """Wherever in a turn a secret stands, no export has it; nor any hash of before that would confirm a guess at it."""
    places = ("text", "thinking", "input", "key", "output", "raw")
    nodes = path_with([block_of(name, place) for name in SECRETS for place in places])
    root = turn(phrase("token"), None)  # its hash is also that of a conversation
    person = person_with(tmp_path / "home", [*nodes, root, turn("after", root)])
    out = tmp_path / f"x.{kind}"
    done = person.ok(
        "export",
        nodes[-1].hash,
        turn("after", root).hash,
        "-o",
        out,
        "--content",
        "redacted",
        "--format",
        kind,
    )
    written = all_bytes(out).replace(b"\\\\", b"\\")

    for name, secret in SECRETS.items():
        assert secret.splitlines()[0].encode() not in written, name
        assert secret.splitlines()[-1].encode() not in written, name
        assert f"[redacted:{name}]".encode() in written.replace(b"\\[", b"[").replace(b"\\]", b"]").replace(
            b"\\-", b"-"
        )
    for node in (*nodes[1:], root, turn("after", root)):
        assert node.hash[:12].encode() not in written
    assert "hid " in done.err


def test_a_redacted_bundle_is_a_bundle(tmp_path: Path) -> None:
    """Its hashes fit what is left, so it can be imported and verified; turns before the first hidden word keep theirs."""
    nodes = path_with([block_of("email", "text")])
    person = person_with(tmp_path / "home", nodes)
    person.ok("export", "--all", "-o", tmp_path / "x.tape", "--content", "redacted")
    reader = Person(tmp_path / "reader")
    reader.ok("import", "bundle", tmp_path / "x.tape")
    [session] = reader.json("sessions")["sessions"]
    shown = reader.json("show", session["id"])["nodes"]

    assert shown[0]["hash"] == nodes[0].hash
    assert [node["hash"] for node in shown[1:]] != [node.hash for node in nodes[1:]]
    assert all(era_of(node["bucket"], node.get("parent_hash"), node["hash"]) for node in shown)
    assert [node["source"]["extra"]["redacted"]["hidden"] for node in shown[1:]] == [1, 0]


def test_equal_sessions_give_equal_exports(tmp_path: Path) -> None:
    """Twice the same: but for when it was written, no byte differs."""
    person = person_with(tmp_path / "home", path_with([block_of(name, "text") for name in SECRETS]))
    bodies = []
    for name in ("a", "b"):
        person.ok("export", "--all", "-o", tmp_path / f"{name}.tape", "--content", "redacted")
        bodies.append(gzip.decompress((tmp_path / f"{name}.tape").read_bytes()).splitlines()[1:])

    assert bodies[0] == bodies[1]


def test_the_commitment_is_the_logs(tmp_path: Path) -> None:
    """What a redacted turn says of its original is what the log's leaf was made of: the leaf's batch root is over it."""
    store = StrictStore()
    ana = Laptop(founded(store, tmp_path / "ana"), tmp_path / "ana")
    try:
        ana.provider.put([turn(phrase("email"), None)])
        ana.provider.sync()
        [(_, manifest)] = list(applied_manifests(ana.client))
        with open_source(ana.local, ana.client) as source:
            sessions = list_sessions(source).sessions
            loader = RedactedLoader(source, sessions, RULES, salts(ana.client, ana.client.identity))
            [node] = loader.nodes(loader.sessions[0].id)
    finally:
        ana.close()
    assert node.source is not None

    said = bytes.fromhex(node.source.extra["redacted"]["commitment"])
    assert batch_root([said]) == manifest.leaves[0].batch_root
    assert (loader.hidden_parts, loader.hidden_turns) == (1, 1)


def test_forks_that_differ_in_a_secret_alone_stay_two(tmp_path: Path) -> None:
    """Two answers whose one difference is hidden are still two sessions, and neither says which secret was whose."""
    root = turn("ask", None)
    person = person_with(
        tmp_path / "home", [root, turn("AKIAIOSFODNN7EXAMPLE", root), turn("AKIAIOSFODNN8EXAMPLE", root)]
    )
    person.ok("export", "--all", "-o", tmp_path / "x.tape", "--content", "redacted")
    reader = Person(tmp_path / "reader")
    reader.ok("import", "bundle", tmp_path / "x.tape")

    assert len(reader.json("sessions")["sessions"]) == 2


json_values = st.recursive(
    st.text(max_size=8) | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(json_values, st.sampled_from(sorted(SECRETS)), st.text(max_size=10))
def test_whatever_surrounds_it_is_kept_and_the_secret_is_not(value: Any, name: str, key: str) -> None:
    """In any JSON the secret goes; JSON without one stays as it is, and counts nothing."""
    clean, dirty = Hiding(RULES), Hiding(RULES)

    assert clean.value(value) == value or clean.hidden
    assert SECRETS[name] not in json.dumps(dirty.value([value, {key: {phrase(name): phrase(name)}}]))
    assert dirty.hidden > clean.hidden


def test_nested_and_opaque_values_are_hidden_whole() -> None:
    """What is too deep to look at, or cannot be looked into, does not pass; two keys that hide alike stay two."""
    deep: Any = "x"
    for _ in range(150):
        deep = [deep]
    hiding = Hiding(RULES)

    assert "[redacted:nested]" in json.dumps(hiding.value(deep))
    assert hiding.value({"image_base64": "A" * 100}) == {"image_base64": "[redacted:opaque]"}
    assert hiding.value({"password": "x"}) == {"password": "[redacted:named]"}
    assert len(hiding.value({"a@b.example": 1, "c@d.example": 2})) == 2


def test_rules_of_ones_own(tmp_path: Path) -> None:
    """A file adds patterns and keeps some of the house's; the home's own file holds without being named."""
    person = person_with(tmp_path / "home", [turn("ACME-123 by a@b.example", None)])
    (person.home / "redactions.toml").write_text("keep = ['email']\n[hide]\nticket = 'ACME-\\d+'\n")
    person.ok("export", "--all", "-o", tmp_path / "x.json", "--content", "redacted")
    written = (tmp_path / "x.json").read_text()
    about = json.loads(written)["export"]["redaction"]

    assert "[redacted:ticket] by a@b.example" in written
    assert (about["parts"], about["turns"]) == (1, 1)
    assert "ticket" in about["rules"]
    assert "email" not in about["rules"]


NO_RULES = [
    "x",
    "keep = 1",
    "keep = ['nobody']",
    "[hide]\nX = 'a'",
    "[hide]\nemail = 'a'",
    "[hide]\na = '('",
    "[hide]\na = ''",
    "[hide]\na = 'x*'",
    "other = 1",
]


@pytest.mark.parametrize("text", NO_RULES)
def test_rules_that_mean_nothing_are_usage_errors(text: str) -> None:
    """Unknown names, broken patterns and patterns of nothing are refused, naming the file; never silently left out."""
    with pytest.raises(UsageError, match="my rules"):
        read_rules(text, "my rules")

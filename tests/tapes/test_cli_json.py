"""`--json`: every command answers as docs/json.md says, field by field."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tapes.cli import COMMANDS
from tests.command_line import HOUSE, SAMPLE, Person
from tests.device_linking import link
from tests.tapes_db import GoDatabase

_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "boolean": bool,
    "array": list,
    "object": dict,
    "open object": dict,
    "null": type(None),
}


def _documented() -> dict[str, dict[str, str]]:
    """`{command: {field path: type}}` of docs/json.md."""
    commands: dict[str, dict[str, str]] = {}
    for section in re.split(r"^## ", (HOUSE / "docs" / "json.md").read_text(), flags=re.MULTILINE)[1:]:
        name = section.splitlines()[0].removeprefix("tapes ")
        commands[name] = dict(re.findall(r"^\| `([^`]+)` \| ([a-z ]+?) \|", section, re.MULTILINE))
    commands["storage sync"] = commands["storage status"] | commands["storage sync"]
    return commands


def _fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field path of an answer with its value; array items share one path."""
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}.{name}" if path else name
            yield here, inner
            yield from _fields(inner, here)
    elif isinstance(value, list):
        for item in value:
            yield from _fields(item, f"{path}[]")


def _fits(value: Any, said: str) -> bool:
    kinds = said.split(" or ")
    return any(
        isinstance(value, _TYPES[kind]) and not (kind == "integer" and isinstance(value, bool))
        for kind in kinds
    )


def _hold(command: str, answer: dict[str, Any]) -> None:
    """The answer has exactly the documented fields, each of its type."""
    said = _documented()[command]
    open_ones = [path for path, kind in said.items() if kind.startswith("open object")]
    for path, value in _fields(answer):
        if any(path.startswith(f"{opened}.") for opened in open_ones):
            continue
        assert path in said, f"{command}: {path} is not in docs/json.md"
        assert _fits(value, said[path]), f"{command}: {path} is {value!r}, said to be {said[path]}"
    top = {path for path in said if "." not in path and "[]" not in path}
    assert top == set(answer), command


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """One answer of every command, from two people's first day."""
    folder = tmp_path_factory.mktemp("answers")
    ada, bob = Person(folder / "ada"), Person(folder / "bob")
    given: dict[str, Any] = {}
    given["init"] = ada.json("init", "--yes", "--name", "Ada", "--kit-out", folder / "ada.kit")
    given["import claude"] = ada.json("import", "claude", SAMPLE)
    for agent in ("codex", "gemini", "opencode"):
        given[f"import {agent}"] = ada.json("import", agent, SAMPLE.parent / agent, "--dry-run")
    GoDatabase(folder / "tapes.sqlite").conversation(2)
    given["import tapes-db"] = ada.json("import", "tapes-db", folder / "tapes.sqlite", "--dry-run")
    given["import all"] = ada.json("import", "all", "--dry-run")
    bob.init("Bob")
    given["storage configure"] = ada.json("storage", "configure", "--bucket", (folder / "bucket").as_uri())
    given["storage set-provider"] = ada.json("storage", "set-provider", "hybrid")
    given["config set"] = ada.json("config", "set", "default-visibility", "team")
    given["config get"] = ada.json("config", "get", "default-visibility")
    given["config unset"] = ada.json("config", "unset", "storage.region")
    given["config list"] = ada.json("config", "list")
    given["team create"] = ada.json("team", "create", "Engine")
    given["dry run"] = ada.json("storage", "sync", "--dry-run")
    given["storage sync"] = ada.json("storage", "sync")
    given["storage status"] = ada.json("storage", "status")
    given["watch"] = ada.json("watch", "--once")
    given["storage status after a watch"] = ada.json("storage", "status")
    given["watch --install"] = ada.json("watch", "--install", "--systemd", "--dry-run")
    given["team invite"] = ada.json("team", "invite")
    (folder / "link").write_text(given["team invite"]["link"])
    given["team join"] = bob.json("team", "join", "--link-file", folder / "link")
    given["team members"] = bob.json("team", "members")
    given["sessions"] = ada.json("sessions")
    given["search"] = ada.json("search", "test*", "--limit", "3")
    given["filter save"] = ada.json("filter", "save", "costly", "cost:>1 kite")
    given["filter list"] = ada.json("filter", "list")
    given["filter rename"] = ada.json("filter", "rename", "costly", "dear")
    given["filter remove"] = ada.json("filter", "remove", "dear")
    given["reprice"] = ada.json("reprice", "--dry-run")
    given["reindex"] = ada.json("reindex")
    given["show"] = ada.json("show", given["sessions"]["sessions"][0]["id"][:16])
    given["export"] = ada.json("export", "--all", "-o", folder / "all.tape")
    given["import bundle"] = Person(folder / "reader").json("import", "bundle", folder / "all.tape")
    given["sql"] = ada.json("sql", "SELECT id, name FROM members")
    given["stats"] = ada.json("stats", "--members")
    given["doctor"] = ada.json("doctor")
    given["verify"] = ada.json("verify")
    given["gc"] = ada.json("gc")
    lost = min(path for path in (folder / "bucket" / "packs").rglob("*") if path.is_file())
    name, data = lost.relative_to(folder / "bucket").as_posix(), lost.read_bytes()
    lost.unlink()
    given["storage give-up"] = ada.json("storage", "give-up", name)
    lost.write_bytes(data)
    kits = ("--yes", "--kit", ada.home.with_suffix(".kit"), "--kit-out", folder / "new.kit")
    return (
        given
        | _ends(ada, bob, folder)
        | _devices(ada, folder)
        | {"member rekey": ada.json("member", "rekey", *kits)}
    )


def _ends(ada: Person, bob: Person, folder: Path) -> dict[str, Any]:
    """Invites and members, to their end."""
    given: dict[str, Any] = {}
    ada.ok("team", "invite")
    given["team invites"] = ada.json("team", "invites")
    given["team uninvite"] = ada.json("team", "uninvite", given["team invites"]["invites"][0]["id"])
    given["team role"] = ada.json("team", "role", _member_id(ada, "Bob"), "owner")
    given["team leave"] = bob.json("team", "leave", "--yes")
    cat = Person(folder / "cat").init("Cat")
    ada.ok("storage", "sync")
    cat.ok("team", "join", "-", stdin=ada.json("team", "invite")["link"])
    given["team remove"] = ada.json("team", "remove", _member_id(ada, "Cat"))
    return given


def _member_id(person: Person, name: str) -> str:
    """A member's id; after a join it is known once the log was read on."""
    person.ok("storage", "sync")
    [found] = [member["id"] for member in person.json("team", "members")["members"] if member["name"] == name]
    return str(found)


def _devices(ada: Person, folder: Path) -> dict[str, Any]:
    """Devices that come, go, and come back from paper."""
    given: dict[str, Any] = {}
    joined, linked = link(ada, Person(folder / "phone"), "--json")
    given["device join"], given["device link"] = joined.json, linked.json
    given["device list"] = ada.json("device", "list")
    given["device revoke"] = ada.json("device", "revoke", linked.json["device_id"], "--lost-since", "0")
    bucket, kit = (folder / "bucket").as_uri(), folder / "ada.kit"
    given["recover"] = Person(folder / "again").json("recover", "--kit", kit, "--bucket", bucket)
    given["rescue"] = Person(folder / "nobody").json("rescue", bucket, "--kit", kit, "-o", folder / "rescued")
    return given


@pytest.mark.parametrize("command", [command.words for command in COMMANDS])
def test_every_command_answers_as_documented(command: str, answers: dict[str, Any]) -> None:
    """No field more, none less at the top, each of its type; the schema names command and version."""
    _hold(command, answers[command])
    shown = _documented()[command]
    assert "string" == shown["schema"]
    assert re.fullmatch(r"tapes/[a-z-]+/0", answers[command]["schema"])


def test_a_watch_shows_in_the_status_as_documented(answers: dict[str, Any]) -> None:
    """After a watch `storage status` tells of it, and the answer of --install is documented too."""
    _hold("storage status", answers["storage status after a watch"])
    _hold("watch --install", answers["watch --install"])
    watch = answers["storage status after a watch"]["watch"]

    assert (False, {"import", "sync"}) == (watch["running"], set(watch["services"]))


def test_a_dry_run_lists_its_plan_and_changes_nothing(answers: dict[str, Any]) -> None:
    """Each conversation with its space, nodes and bytes; afterwards all of it is still to be pushed."""
    _hold("storage sync", answers["dry run"])
    plan = answers["dry run"]["plan"]

    assert sum(each["nodes"] for each in plan) == answers["import claude"]["nodes_new"]
    assert {"team"} == {each["space"] for each in plan}
    assert answers["dry run"]["pending_push"] == answers["import claude"]["nodes_new"]
    assert answers["storage sync"]["pushed"]["nodes"] == answers["import claude"]["nodes_new"]


def test_no_json_command_speaks_on_stdout_before_it_has_an_answer(tmp_path: Path) -> None:
    """A failed command leaves stdout empty: a script never parses half an answer."""
    nobody = Person(tmp_path / "nobody")
    for words in (["show", "0123"], ["storage", "sync"], ["team", "invite"], ["verify"]):
        done = nobody.tapes(*words, "--json")
        assert ("", True) == (done.out, done.code > 0)

"""Every example of the commands that answer questions, in their help and in the documents, run as it stands there."""

import re
import shlex
import subprocess
import sys

import pytest

from store.local import LocalStore
from store.local_path import local_store_path
from tapes.cli import COMMANDS
from tests.command_line import HOUSE, SAMPLE, Person
from tests.laptops import turn
from tests.tmux import environ_of

ASKING = frozenset({"sessions", "show", "search", "filter", "reprice", "reindex", "export", "stats", "sql"})
DOCUMENTS = ("README.md", "docs/search.md", "docs/analysts.md")
_FENCED = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)


def _documented() -> list[str]:
    """The lines of the fenced blocks that ask something, without their remarks."""
    text = "\n".join((HOUSE / name).read_text() for name in DOCUMENTS)
    lines = "\n".join(_FENCED.findall(text)).splitlines()
    return [re.split(r" {2,}# ", line)[0].strip() for line in lines if line.startswith("tapes ")]


def _examples() -> list[str]:
    told = [example for command in COMMANDS for example in (command.example, *command.more)]
    asking = [
        line for line in (*told, *_documented()) if line.split()[1] in ASKING or "import bundle" in line
    ]
    return [
        line for line in dict.fromkeys(asking) if " -i" not in line
    ]  # tests/tapes/test_finder.py types into those


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Ada, who has what the examples speak of; the folder she stands in holds the files that they read."""
    person = Person(tmp_path_factory.mktemp("examples") / "ada").init("Ada")
    person.ok("import", "claude", SAMPLE)
    with LocalStore.open(local_store_path(person.home)) as local:
        local.add([turn("debugging: refactor the retry", None)])
    folder = person.home.parent
    person.ok("export", "--all", "-o", folder / "feb-14.tape")
    person.ok("export", "--all", "--format", "parquet", "-o", folder / "export")
    blocks = _FENCED.findall((HOUSE / "docs" / "analysts.md").read_text())
    [contract] = [block for block in blocks if "[[price]]" in block]
    (folder / "contract.toml").write_text(contract)
    return person


def test_there_are_examples() -> None:
    """Each command that answers questions has one, and the documents have some."""
    shown = {line.split()[1] for line in _examples()}

    assert ASKING <= shown
    assert len(_documented()) >= 15


@pytest.mark.parametrize("example", _examples())
def test_an_example_runs_as_it_stands(example: str, ada: Person) -> None:
    """It ends well, for somebody who has such sessions, filters and files; an id is one of hers."""
    (ada.home / "filters.json").write_text('{"format": 0, "filters": {"costly": "cost:>1 since:7d"}}')
    some = ada.json("sessions", "--limit", "1")["sessions"][0]["id"]
    line = re.sub(r"\b3f2a[0-9a-f]*\b", some[:8], example)
    if "|" in shlex.split(line) or ("--format" in line and " -o " not in line):  # files on stdout are bytes
        tapes = f'tapes() {{ {shlex.quote(sys.executable)} -m tapes "$@"; }}; set -o pipefail'
        done = subprocess.run(
            ["bash", "-c", f"{tapes}; {line}"],
            env={**environ_of(ada.home), "PATH": "/usr/bin:/bin", "PYTHONPATH": str(HOUSE)},
            cwd=ada.home.parent,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout or " -o " in line
    else:
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(ada.home.parent)
            ada.ok(*shlex.split(line)[1:])

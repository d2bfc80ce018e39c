"""What a command must not load: a process that ends in half a second cannot import what it does not use."""

import subprocess
import sys

import pytest

from tests.command_line import HOUSE, SAMPLE, Person

CLOUDS = {"boto3", "botocore", "keyring", "cryptography"}  # a bucket that is a folder, a vault that is a file
RARE = {"mnemonic", "tomlkit", "prompt_toolkit", "genai_prices", "asyncio", "multiprocessing"}
LIGHT = CLOUDS | RARE
KERNELS = {"pyarrow.compute"}  # a thirtieth of a second: every name of Arrow's is made a function
QUERIES = {"duckdb", "query.engine", "apsw"}
ARROW = {"pyarrow", "numpy"}
STORES = {"sqlite3", "nacl", "sync.client", "pydantic"}
# In a home that is in a team and has nothing new. Who reads manifests needs Arrow; who asks the log, or nothing, does not.
BARRED = {
    ("config", "list"): LIGHT | QUERIES | ARROW | STORES,
    ("sessions", "--help"): LIGHT | QUERIES | ARROW | STORES,
    ("search", "--help"): LIGHT | QUERIES | ARROW | STORES,
    ("stats", "--help"): LIGHT | QUERIES | ARROW | STORES,
    ("show", "--help"): LIGHT | QUERIES | ARROW | {"sync.client"},
    ("sql", "--help"): LIGHT | QUERIES | ARROW | STORES,
    ("filter", "list"): LIGHT | QUERIES | ARROW | (STORES - {"pydantic"}),
    ("import", "claude", str(SAMPLE)): LIGHT | QUERIES | ARROW | {"sync.client", "zstandard", "tenacity"},
    ("storage", "status"): LIGHT | QUERIES | ARROW,
    ("storage", "sync"): LIGHT | QUERIES | ARROW,
    ("team", "members"): LIGHT | QUERIES | ARROW,
    ("device", "list"): LIGHT | QUERIES | ARROW,
    ("sessions",): LIGHT | KERNELS,
    ("search", "kite"): LIGHT | KERNELS,
    ("stats", "--period", "3000d"): LIGHT | KERNELS,
    ("show", "ID"): LIGHT | {"apsw"},
    ("sql", "SELECT 1"): LIGHT | {"apsw"},
}


@pytest.fixture(scope="module")
def ada(tmp_path_factory: pytest.TempPathFactory) -> Person:
    """Somebody in a team of one, with everything imported and pushed."""
    folder = tmp_path_factory.mktemp("light")
    (folder / "bucket").mkdir()
    person = Person(folder / "home")
    person.ok("init", "--yes", "--name", "Ada", "--kit-out", folder / "kit")
    person.ok("import", "claude", SAMPLE)
    person.ok("storage", "configure", "--bucket", (folder / "bucket").as_uri())
    person.ok("storage", "sync")
    person.ok("search", "kite")
    person.ok("filter", "save", "flown", "kite")
    return person


@pytest.mark.parametrize("words", BARRED, ids=" ".join)
def test_a_command_loads_only_what_it_uses(ada: Person, words: tuple[str, ...]) -> None:
    """Heavy libraries are imported by the commands that use them, and by no others."""
    barred = BARRED[words]
    if "ID" in words:
        words = (words[0], ada.json("sessions", "--limit", "1")["sessions"][0]["id"])
    loaded = ada.loaded(*words)

    assert "tapes.cli" in loaded
    assert set() == loaded & barred


def test_the_table_bars_what_is_there_to_be_loaded() -> None:
    """A name that nothing bears would bar nothing."""
    code = f"import importlib; [importlib.import_module(name) for name in {sorted(set().union(*BARRED.values()))!r}]"

    subprocess.run([sys.executable, "-c", code], cwd=HOUSE, check=True)

"""The house rules that no linter knows."""

import ast
import subprocess
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

HOUSE = Path(__file__).parent.parent
ROOMS = ("crypto", "store", "sync", "query", "tapes")
file_lines_max = 500
function_lines_max = 60


def _sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (HOUSE / folder).rglob("*.py"))


def test_no_dependency_bears_the_name_of_a_room() -> None:
    """Site-packages is one flat street: on macOS and Windows, pycryptodome's `Crypto` would be our `crypto`."""
    neighbours = {
        name: owners
        for name, owners in packages_distributions().items()
        if name.casefold() in ROOMS and set(owners) != {"tapes-sync"}
    }

    assert neighbours == {}


def test_every_module_has_a_caption() -> None:
    """The first line of a file says what it is; that line is its name on the plan of the house."""
    bare = [
        str(path.relative_to(HOUSE))
        for path in _sources(*ROOMS)
        if not ast.get_docstring(ast.parse(path.read_text()))
    ]

    assert bare == []


def test_every_test_says_what_it_proves() -> None:
    """A test without its sentence cannot be judged, neither when it passes nor when it fails."""
    silent = [
        f"{path.relative_to(HOUSE)}:{node.lineno} {node.name}"
        for path in _sources("tests")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]

    assert silent == []


@pytest.mark.parametrize("folder", [*ROOMS, "tests", "bench"])
def test_files_and_functions_stay_small(folder: str) -> None:
    """A file over 500 lines or a function over 60 holds more than one idea."""
    too_long = [
        str(path.relative_to(HOUSE))
        for path in _sources(folder)
        if path.read_text().count("\n") > file_lines_max
    ]
    for path in _sources(folder):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > function_lines_max:
                    too_long.append(f"{path.relative_to(HOUSE)}:{node.lineno} {node.name} {lines} lines")

    assert too_long == []


def test_nothing_committed_names_this_machine() -> None:
    """No registry host and no path of the machine that built it stands in a tracked file."""
    hosts = ["pypi" + ".org", "pythonhosted" + ".org", "registry" + ".npmjs.org", "deb.debian" + ".org"]
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=HOUSE, capture_output=True, check=False).stdout
    if not tracked:
        pytest.skip("not a git checkout")
    found = [
        f"{name}: {host}"
        for name in tracked.decode().split("\0")
        if name and (HOUSE / name).is_file()
        for host in hosts
        if host.encode() in (HOUSE / name).read_bytes()
    ]

    assert found == []

"""docs/attacks.md speaks only of tests that exist."""

import ast
import re
from pathlib import Path

HOUSE = Path(__file__).parents[2]
_REFERENCE = re.compile(r"`([a-z0-9_/]+\.py)::(test_\w+)`")


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


def test_every_test_in_the_table_of_attacks_exists() -> None:
    """A rule whose test was renamed or removed would otherwise look proven."""
    named = _REFERENCE.findall((HOUSE / "docs" / "attacks.md").read_text())
    missing = [f"{file}::{name}" for file, name in named if name not in functions(HOUSE / "tests" / file)]

    assert len(named) > 50
    assert [] == missing


def test_every_attack_under_test_is_in_the_table() -> None:
    """An attack that is carried out but not listed is one that nobody can look up."""
    listed = {name for _, name in _REFERENCE.findall((HOUSE / "docs" / "attacks.md").read_text())}
    carried_out = {
        name
        for file in ("test_bucket_attacks.py", "test_member_attacks.py", "test_secrets_stay_secret.py")
        for name in functions(HOUSE / "tests" / "attacks" / file)
        if name.startswith("test_")
    }

    assert carried_out <= listed

"""A team that has talked a little, with a hostile member in it."""

from pathlib import Path

import pytest

from tests.actors import founded, joined
from tests.attacks.honest import ANAS_PRIVATE, Team
from tests.fakes.strict_store import StrictStore
from tests.faults.worlds import hurried, impatient
from tests.laptops import Laptop, conversation


@pytest.fixture
def team(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A team that has talked a little."""
    impatient(monkeypatch.setitem)
    store = StrictStore()
    ana = hurried(founded(store, tmp_path / "ana", "ana"))
    ben = hurried(joined(ana, store, tmp_path / "ben", "ben"))
    eve = hurried(joined(ana, store, tmp_path / "eve", "eve"))
    laptops = [
        Laptop(made, tmp_path / name, {"secret"}) for name, made in (("ana", ana), ("ben", ben), ("eve", eve))
    ]
    made = Team(store, tmp_path, *laptops)
    made.ana.provider.put([*conversation("first", 3), *ANAS_PRIVATE])
    for laptop in laptops:
        laptop.provider.sync()
    return made

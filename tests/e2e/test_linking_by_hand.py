"""Chapter 1 of docs/recovery.md at two real terminals: its two linking blocks, typed, pasted and answered as a person would."""

import re
from pathlib import Path

from tests.command_line import SAMPLE, Person
from tests.e2e.test_recovery_chapters import BLOCKS
from tests.tmux import environ_of, needs_tmux, terminal

wide = 900  # columns: the code on one line, as a terminal's selection would take it


@needs_tmux
def test_a_new_machine_is_linked_by_hand(tmp_path: Path) -> None:
    """The code that one shows is pasted into the other; both show one fingerprint; after the `y` both say so and end well."""
    old, new = Person(tmp_path / "ada" / "home").init("Ada"), Person(tmp_path / "new" / "home")
    old.ok("import", "claude", SAMPLE)
    old.ok("storage", "configure", "--bucket", (tmp_path / "bucket").as_uri())
    old.ok("team", "create", "Engine")
    old.ok("storage", "sync")
    with (
        terminal(BLOCKS["lost-laptop/other-device"].strip(), environ_of(old.home), wide) as here,
        terminal(BLOCKS["lost-laptop/new-machine-linking"].strip(), environ_of(new.home), wide) as there,
    ):
        code = re.search(r"tapes://link#\S+", here.wait(r"tapes://link#\S+"))
        assert code is not None
        there.type(code[0], "Enter")
        shown = re.search(r"fingerprint: (.+)", there.wait("waiting for the other device"))
        asked = re.search(r"fingerprint: (.+)", here.wait(r"\[y/N\]"))
        assert shown is not None
        assert asked is not None
        here.type("y", "Enter")
        here.wait("LEFT 0")
        there.wait("LEFT 0")

    assert shown[1].strip() == asked[1].strip()
    new.ok("storage", "sync")
    assert old.listed()["sessions"] == new.listed()["sessions"]
    assert 2 == len(old.json("device", "list")["devices"])

"""The main job on one machine: two people, a folder as the bucket, the same sessions on both sides, nothing readable between.

`python -m tapes.demo`. Every step is a real `tapes` command in a process of its own; anything that differs ends it with 1.
"""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

SAMPLE: Final = Path(__file__).parent / "samples" / "claude"
command_seconds_max: Final = 120
words_searched_max: Final = 5_000
word_chars_min: Final = 8
_WORD: Final = re.compile(rf"[A-Za-z0-9_./@-]{{{word_chars_min},80}}")


class Differs(Exception):
    """Something was not as it must be."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a laptop: one home."""

    name: str
    home: Path

    def tapes(self, *words: str, quiet: bool = False) -> str:
        """Run one command and give its stdout; both channels are shown unless `quiet`."""
        shown = " ".join(shlex.quote(word) for word in words)
        _print(f"\n{self.name}$ tapes {shown}")
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "tapes", *words],
            env=self._environment(),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=command_seconds_max,
            check=False,
        )
        if not quiet:
            _print(_inset(done.stdout) + _inset(done.stderr), end="")
        if done.returncode:
            raise Differs(f"exit code {done.returncode}:\n{done.stderr}")
        return done.stdout

    def json(self, *words: str) -> Any:
        """As `tapes`, decoded and not shown."""
        return json.loads(self.tapes(*words, "--json", quiet=True))

    def _environment(self) -> dict[str, str]:
        """Nothing of the user's own settings leaks in."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TAPES_")}
        return {**kept, "TAPES_HOME": str(self.home), "PYTHONIOENCODING": "utf-8"}


def main() -> int:
    """Run the demo in a fresh temporary folder."""
    began = time.monotonic()
    try:
        with tempfile.TemporaryDirectory(prefix="tapes-demo-") as folder:
            _play(Path(folder))
    except (Differs, subprocess.TimeoutExpired) as error:
        sys.stderr.write(f"\nTHE DEMO FAILED: {error}\n")
        return 1
    _print(f"\nAll of it in {time.monotonic() - began:.0f} s, and nothing left behind.")
    return 0


def _play(folder: Path) -> None:
    ada, bob = Person("ada", folder / "ada"), Person("bob", folder / "bob")
    bucket = folder / "bucket"
    _heading("Two people, each with an identity of their own and a recovery kit")
    for person in (ada, bob):
        kit = str(folder / f"{person.name}.kit")
        person.tapes("init", "--yes", "--name", person.name.title(), "--kit-out", kit, quiet=True)
    _heading("Ada's agent logs become tapes, on her laptop")
    ada.tapes("import", "claude", str(SAMPLE))
    _heading("A bucket, a team, a first push: all of it sealed before it leaves")
    ada.tapes("storage", "configure", "--bucket", bucket.as_uri())
    ada.tapes("config", "set", "default-visibility", "team")
    ada.tapes("team", "create", "Analytical Engine")
    ada.tapes("storage", "sync")
    _heading("Bob joins with a link, and pulls")
    link = folder / "link"
    link.write_text(ada.tapes("team", "invite", quiet=True))
    bob.tapes("team", "join", "--link-file", str(link))
    bob.tapes("storage", "sync")
    bob.tapes("team", "members")
    _heading("The same sessions on both sides")
    _compare(ada, bob)
    _heading("What the bucket sees")
    _look_into(bucket)
    _heading("Every object and commit, fetched and checked again")
    bob.tapes("verify")


def _compare(ada: Person, bob: Person) -> None:
    bob.tapes("search", "lighthouse", "--limit", "3")  # what was said comes with the first search: titles too
    bob.tapes("sessions")
    here, there = ada.json("sessions"), bob.json("sessions")
    if here != there or not here["sessions"]:
        raise Differs("ada and bob do not see the same sessions")
    shortest = min(here["sessions"], key=lambda session: session["turns"])["id"]
    shown = [person.tapes("show", shortest, "--json", quiet=True) for person in (ada, bob)]
    if shown[0] != shown[1]:
        raise Differs(f"session {shortest} is not the same on both sides")
    _print(
        f"same: {len(here['sessions'])} sessions, {here['totals']['nodes']} nodes, and every byte of one shown"
    )
    bob.tapes("show", shortest[:12])


def _look_into(bucket: Path) -> None:
    """Names, sizes, and a search for every word of the sample."""
    stored = {path: path.read_bytes() for path in sorted(bucket.rglob("*")) if path.is_file()}
    for path, data in stored.items():
        _print(f"  {len(data):>9}  {path.relative_to(bucket)}")
    words = sorted(set(_words_of_sample()))[:words_searched_max]
    if not words:
        raise Differs("the sample has no words to search for")
    whole = b"\n".join([*stored.values(), *(str(path.relative_to(bucket)).encode() for path in stored)])
    found = [word for word in words if word.encode() in whole]
    if found:
        raise Differs(f"the bucket holds readable words: {found[:5]}")
    _print(f"  searched for {len(words)} words of the logs, project names and paths: none is there")


def _words_of_sample() -> Iterator[str]:
    for path in sorted(SAMPLE.rglob("*")):
        yield path.stem
        if path.is_file():
            yield from _WORD.findall(path.read_text(encoding="utf-8", errors="replace"))


def _heading(text: str) -> None:
    _print(f"\n── {text} ──")


def _inset(text: str) -> str:
    return "".join(f"  {line}\n" for line in text.splitlines())


def _print(text: str, end: str = "\n") -> None:
    sys.stdout.write(text + end)
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())

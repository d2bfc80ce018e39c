"""Whoever can write a file, an object or a slot tries to crash, hang or bloat its reader, and gets one of our errors.

Long run: `pytest tests/attacks/test_parsers.py -m long --hypothesis-seed=N`.
"""

import json
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from crypto.errors import TapesError
from store import commits
from store.commits import NewerFormat
from store.limits import MIB, commit_bytes_max
from sync.keychain import Keychain
from sync.team import InviteTerms, inviting
from sync.validity import judge
from tests.actors import Book, person
from tests.attacks.mutations import mutated
from tests.attacks.readers import READERS, Reader
from tests.node_strategies import json_values, small_numbers

deadline = timedelta(seconds=10)  # of one input: a few KiB; generous, since the machine is shared
long_examples_factor = 40


def attack(reader: Reader, folder: Path, examples: int) -> None:
    """Give the reader `examples` damaged inputs; anything but an answer or one of our errors is its failure."""

    @settings(
        max_examples=examples, deadline=deadline, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(mutated(reader.seeds()))
    @example(b"")
    def one(data: bytes) -> None:
        place = folder / token_hex(16)  # of four bytes two are alike among some tens of thousands
        place.mkdir()
        with suppress(TapesError):
            reader.read(data, place)

    one()


@pytest.mark.parametrize("name", READERS)
def test_damaged_bytes_get_one_of_our_errors(name: str, tmp_path: Path) -> None:
    """Flipped, cut, spliced, repeated, with lying lengths and JSON traps: an answer or a TapesError, soon, and nothing else."""
    attack(READERS[name], tmp_path, READERS[name].examples)


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", READERS)
def test_much_more_damage(name: str, tmp_path: Path) -> None:
    """As above, for minutes."""
    attack(READERS[name], tmp_path, READERS[name].examples * long_examples_factor)


@dataclass(frozen=True)
class SignedLie:
    """A valid commit's fields with one changed, signed by the device the commit is by."""

    path: list[str | int]
    value: Any


def paths_of(value: Any, above: list[str | int] | None = None) -> list[list[str | int]]:
    """Where every value below stands."""
    here = above or []
    if isinstance(value, dict):
        below: list[tuple[str | int, Any]] = list(value.items())
    else:
        below = list(enumerate(value)) if isinstance(value, list) else []
    deeper = [path for name, item in below for path in paths_of(item, [*here, name])]
    return [*([here] if here else []), *deeper]


def put(fields: Any, path: list[str | int], value: Any) -> None:
    """Change one value deep inside."""
    for step in path[:-1]:
        fields = fields[step]
    fields[path[-1]] = value


@pytest.fixture(scope="module")
def book() -> Book:
    """A team with one member, who turns hostile."""
    return Book(person("eve"))


@settings(max_examples=100, deadline=deadline, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_member_may_sign_any_json(book: Book, data: st.DataObject) -> None:
    """A hostile owner signs a commit with any field replaced by any JSON value: void or valid, the same twice, never a crash."""
    eve = book.owner
    honest = inviting(book.context(eve), Keychain([eve.identity.device]), bytes(32), InviteTerms(1, None))
    fields = json.loads(honest)
    del fields["sig"]
    path = data.draw(st.sampled_from(paths_of(fields)))
    put(fields, path, data.draw(json_values(small_numbers)))
    try:
        lie = commits.encode(fields, eve.identity.device.sign_seed)
    except ValueError:
        return  # no canonical JSON: it cannot be signed, and unsigned bytes are the other test's

    answers = []
    for _ in range(2):
        try:
            verdict = judge(book.point, book.memory.__class__(), len(book.slots), lie)
            answers.append(verdict.void_reason or "valid")
        except NewerFormat as newer:
            answers.append(newer.problem)
    assert answers[0] == answers[1]


@dataclass(frozen=True)
class WorstCase:
    """An input made to cost much, and how much memory reading it may take at most, in bytes."""

    reader: str
    data: Callable[[], bytes]
    peak_bytes_max: int = 24 * MIB


def _deep(opening: bytes, size_bytes: int) -> Callable[[], bytes]:
    return lambda: (opening * size_bytes)[:size_bytes]


WORST = {
    "a commit of a million brackets": WorstCase("commit", _deep(b"[", commit_bytes_max)),
    "a commit of nested objects": WorstCase("slot", _deep(b'{"a":', commit_bytes_max), 64 * MIB),
    "a commit of half a million members": WorstCase(
        "commit", lambda: b"[" + b"0," * (commit_bytes_max // 2 - 1) + b"0]"
    ),
    "a commit that is one number": WorstCase("commit", _deep(b"9", commit_bytes_max)),
    "a node of a million brackets": WorstCase("node", _deep(b"[", MIB)),
    "a node of a hundred thousand empty lists": WorstCase(
        "node", lambda: b'{"bucket":[' + b"[]," * (MIB // 8) + b"[]]}", 48 * MIB
    ),
    "a segment that claims four billion commits": WorstCase(
        "segment", lambda: b"TAPESEG\x00" + bytes(8) + b"\xff" * 8 + bytes(4096)
    ),
    "a footer that claims four billion frames": WorstCase("inside footer", lambda: b"\xff" * 4096),
    "a frame that claims four billion nodes": WorstCase("inside frame", lambda: b"\xff" * 4096),
    "settings of nested lists": WorstCase("config.toml", lambda: b"a = " + b"[" * 100_000),
    "settings of nested tables": WorstCase("config.toml", lambda: b"[" + b"a." * 20_000 + b"a]\nb = 'c'\n"),
    "an identity of nested lists": WorstCase("identity.json", _deep(b"[", MIB)),
    "a link of a megabyte": WorstCase("invite link", lambda: b"tapes://join#" + b"A" * MIB),
    "a kit of a million words": WorstCase("kit words", lambda: b"abandon " * (MIB // 8)),
    "a Claude log of one bracket line": WorstCase("claude log", _deep(b"[", 4 * MIB), 64 * MIB),
    "a Codex rollout of one bracket line": WorstCase("codex log", _deep(b'{"payload":', 4 * MIB), 64 * MIB),
    "a Gemini chat of one bracket line": WorstCase("gemini legacy chat", _deep(b"[", 4 * MIB), 64 * MIB),
    "a log of twenty thousand bad lines": WorstCase("claude log", lambda: b"{\n" * 20_000),
}


@pytest.mark.parametrize("case", WORST)
def test_the_worst_inputs_cost_little(case: str, tmp_path: Path) -> None:
    """Depth, huge counts and sheer number: refused or skipped, in memory of the order of the input's size."""
    worst = WORST[case]
    reader, data = READERS[worst.reader], worst.data()

    tracemalloc.start()
    try:
        if reader.refuses:
            with pytest.raises(TapesError):
                reader.read(data, tmp_path)
        else:
            reader.read(data, tmp_path)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak_bytes < worst.peak_bytes_max


@pytest.mark.parametrize(
    "name",
    [name for name in READERS if name not in {"device request", "identity.json", "gemini legacy chat"}],
)
def test_the_seeds_are_whole(name: str, tmp_path: Path) -> None:
    """The damage begins at bytes that their reader takes: else only its first check would be under attack."""
    READERS[name].read(READERS[name].seeds()[0], tmp_path)

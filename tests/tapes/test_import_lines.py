"""Reading log lines: offsets that resume, bad lines that are only reasons, memory that stays bounded."""

import io
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from store.limits import MIB
from store.local import LocalStore
from tapes.importers import lines
from tapes.importers.claude.run import import_claude
from tapes.importers.lines import BadLine, Line, decode, read_lines
from tests.claude_logs import stored


def _read(data: bytes, start: int = 0, number: int = 1) -> list[Line]:
    return list(read_lines(io.BytesIO(data), start, number))


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text(), max_size=3), max_size=6), st.data())
def test_any_cut_resumes_at_the_same_lines(records: list[dict[str, object]], data: st.DataObject) -> None:
    """Reading up to a cut and going on from the last whole line gives every line once, with its number."""
    whole = b"".join(json.dumps(record).encode() + b"\n" for record in records)
    cut = data.draw(st.integers(0, len(whole)))

    first = _read(whole[:cut])
    end, number = (first[-1].end, first[-1].number + first[-1].closed) if first else (0, 1)
    rest = _read(whole, end, number)

    assert records == [line.record for line in first + rest]
    assert list(range(1, len(records) + 1)) == [line.number for line in first + rest]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"{", "not JSON"),
        (b"[]", "not an object"),
        (b'"text"', "not an object"),
        (b"\xff{}", "not UTF-8"),
        (b'{"a":NaN}', "NaN"),
        (b'{"a":-Infinity}', "NaN"),
        (b'{"a":1e400}', "too large"),
        (b'{"a":' + b"9" * 5_000 + b"}", "too large"),
        (b'{"a":' * 200 + b"1" + b"}" * 200, "nested"),
        (b"[" * 100_000, "nested"),
        (b'{"a":"\x00"}', "not JSON"),
    ],
)
def test_a_hostile_line_is_a_reason(raw: bytes, reason: str) -> None:
    """Each hostile line becomes a short reason that quotes nothing of it, and the next line is read."""
    bad, good = _read(raw + b'\n{"ok":1}\n')

    assert bad.record is None
    assert reason in bad.problem
    assert len(bad.problem) < 100
    assert (good.record, good.number) == ({"ok": 1}, 2)


_numbers = st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False)
_values = st.recursive(
    _numbers | st.text() | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.dictionaries(st.text(), _values, max_size=3))
def test_the_quick_reader_reads_what_the_standard_one_does(record: dict[str, Any]) -> None:
    """Every number keeps its value and its type, integers beyond 64 bits too, in whichever spelling."""
    for text in (json.dumps(record), json.dumps(record, ensure_ascii=False, separators=(",", ":"))):
        assert repr(decode(text.encode())) == repr(json.loads(text))


def test_the_last_of_two_equal_keys_counts() -> None:
    """A key that stands twice is read as JSON.parse and the standard library read it."""
    assert decode(b'{"a":1,"b":2,"a":{"c":3,"c":4}}') == {"a": {"c": 4}, "b": 2}


def test_blank_padded_and_crlf_lines_are_read() -> None:
    """A crashed filesystem leaves NULs, Windows leaves CRs, editors leave a BOM and blank lines."""
    found = _read(b'\xef\xbb\xbf{"a":1}\r\n\n\0\0\0{"b":2}\n   \n{"c":3}')

    assert [(line.number, line.record) for line in found] == [(1, {"a": 1}), (3, {"b": 2}), (5, {"c": 3})]
    assert [line.closed for line in found] == [True, True, False]


def test_lone_surrogates_become_replacement_characters() -> None:
    """A lone surrogate is no text: neither SQLite nor UTF-8 could hold it. Pairs stay what they are."""
    record = decode(rb'{"a\ud800":["\uD83E\uDD9C","x\udc00y",{"k":1}]}')

    assert record == {"a\ufffd": ["🦜", "x\ufffdy", {"k": 1}]}


def test_a_line_without_end_is_stepped_over_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """100 MB without a newline cost a few MB, one reason, and nothing of the line after them."""
    monkeypatch.setattr(lines, "line_bytes_max", 2 * MIB)
    raw = io.BytesIO(b'{"a":"' + b"x" * (100 * MIB) + b'"}\n{"ok":1}\n')
    tracemalloc.start()

    found = list(read_lines(raw, 0, 1))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [line.record for line in found] == [None, {"ok": 1}]
    assert "longer than 2 MiB" in found[0].problem
    assert peak < 16 * MIB


def test_depth_is_measured_not_guessed() -> None:
    """Many brackets side by side are fine, and so are brackets inside text; only depth is refused."""
    wide = {"a": [{"b": []} for _ in range(1_000)], "code": "{[" * 1_000}

    assert decode(json.dumps(wide).encode()) == wide
    with pytest.raises(BadLine, match="nested"):
        decode(b'{"a":' + b"[" * 128 + b"]" * 128 + b"}")


def _odd_rows() -> list[dict[str, Any]]:
    """Lines of every kind with every field once of every wrong type, between two good ones."""
    odd: list[Any] = [
        None,
        7,
        True,
        "x" * 300,
        [],
        {},
        [[]],
        {"a": 1},
        -1,
        1.5,
        "\ud800",
        "2026-13-99T",
        10**400,
    ]
    fields = ("parentUuid", "sessionId", "timestamp", "cwd", "agentId", "requestId", "isSidechain", "costUSD")
    inner = ("id", "model", "content", "usage", "stop_reason")
    rows: list[dict[str, Any]] = []
    for kind in ("user", "assistant", "system", "attachment"):
        for value in odd:
            counts = {"input_tokens": value, "output_tokens": value, "cache_creation": value}
            message = {"content": "", "usage": {"output_tokens": 3}}
            rows += [{"type": kind, "message": message, field: value} for field in fields]
            rows += [{"type": kind, "message": {**message, field: value}} for field in inner]
            rows.append({"type": kind, "message": {"content": [value, {"type": value}]}})
            rows.append({"type": kind, "message": {"content": "", "usage": counts}})
            rows.append({"type": kind, "attachment": value, "uuid": value, "message": message})
    good = {"type": "user", "message": {"role": "user", "content": "hello"}}
    return [{"uuid": f"u{number}", **row} for number, row in enumerate([good, *rows, good])]


def test_wrong_typed_fields_never_stop_an_import(tmp_path: Path) -> None:
    """Whatever type a field has, its line is stored or reported, and the lines around it are kept."""
    rows = _odd_rows()
    file = tmp_path / "s.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    with LocalStore.open(tmp_path / "tapes.db") as store:
        report = import_claude(store, [file])
        nodes = [store.get(facts.hash) for facts in stored(store)]

    hello = [node for node in nodes if node and node.bucket["content"] == [{"type": "text", "text": "hello"}]]
    assert len(hello) == 2
    assert report.nodes_new > len(rows) // 3
    assert 0 < report.skipped_lines < len(rows) // 4
    assert all(problem.path == str(file) and problem.line > 1 for problem in report.errors)

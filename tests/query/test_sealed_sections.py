"""A file of sealed sections: any part of any section, and nothing that was not written there."""

import random
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crypto.sealing import BLOCK_BYTES, Kind
from query.sealed_sections import Sections, SectionsBroken, writing
from tests.sealing_keys import OTHER_KEYS, TEAM_KEY

BLOCK = BLOCK_BYTES[Kind.PROJECTION]
PLAIN = random.Random(5).randbytes(3 * BLOCK + 17)


def written(path: Path, **sections: bytes) -> Path:
    """A file with these sections."""
    with writing(path, TEAM_KEY) as out:
        for name, data in sections.items():
            with out.section(name) as sink:
                sink.write(data)
        out.end({"of": len(sections)})
    return path


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, len(PLAIN) + 5), st.integers(-1, 2 * BLOCK)), min_size=1, max_size=8)
)
def test_any_range_is_what_was_written(ranges: list[tuple[int, int]]) -> None:
    """Reads here and there, over edges of blocks and past the end, of one open section."""
    with TemporaryDirectory() as folder:
        path = written(Path(folder) / "file", other=b"x", it=PLAIN, none=b"")
        with Sections(path, TEAM_KEY) as sections:
            file = sections.file("it")
            for start, length in ranges:
                file.seek(start)
                assert file.read(length) == PLAIN[start : start + length if length >= 0 else None]
            assert (sections.about, sections.read("none"), sections.read("other")) == ({"of": 3}, b"", b"x")


def test_a_section_of_another_file_is_refused(tmp_path: Path) -> None:
    """Bytes of the same name, length and key, from a file that was written before: not opened, and the file is gone."""
    older, newer = written(tmp_path / "older", it=PLAIN), written(tmp_path / "newer", it=PLAIN[::-1])
    data = bytearray(newer.read_bytes())
    with Sections(newer, TEAM_KEY) as sections:
        length = sections._places["it"][1]
    data[:length] = older.read_bytes()[:length]
    newer.write_bytes(data)

    with Sections(newer, TEAM_KEY) as sections, pytest.raises(SectionsBroken):
        sections.read("it")
    assert not newer.exists()


def test_another_key_opens_nothing(tmp_path: Path) -> None:
    """A file of another device is refused as a whole."""
    path = written(tmp_path / "file", it=PLAIN)

    with pytest.raises(SectionsBroken):
        Sections(path, next(iter(OTHER_KEYS.values())))


def test_what_was_opened_stays_what_it_was(tmp_path: Path) -> None:
    """A file that another process replaces meanwhile is read on to its end; a refusal of the old one leaves the new one alone."""
    path = written(tmp_path / "file", it=PLAIN)
    with Sections(path, TEAM_KEY) as sections:
        written(path, it=b"new")
        assert sections.read("it") == PLAIN
        sections.refuse("it", "was altered")
    assert Sections(path, TEAM_KEY).read("it") == b"new"

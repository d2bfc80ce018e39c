"""Reads the worked examples of a formats chapter, so that what the chapter shows is what the code does."""

import re
from pathlib import Path

_DATA_CHAPTER = Path(__file__).parent.parent / "docs" / "formats-data.md"


def data_example(name: str) -> dict[str, dict[str, bytes]]:
    """The tables of one example: for each ```` ```hex NAME PART ```` block, its `field: hex` lines in order."""
    tables = {}
    for part, body in re.findall(rf"```hex {name} (\w+)\n(.*?)```", _DATA_CHAPTER.read_text(), re.DOTALL):
        pairs = (line.split(":") for line in body.strip().splitlines())
        tables[part] = {field.strip(): bytes.fromhex(value) for field, value in pairs}
    return tables

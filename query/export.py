"""Exports as text: JSON, newline-delimited JSON, CSV. Each says where it comes from (query/records.About)."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import BinaryIO, Final, Literal

from query.answers import Session
from query.records import About, about_record, node_record, session_record
from query.table_rows import Loader
from store.nodes import Json, Node

Content = Literal["none", "redacted", "full"]
# A spreadsheet takes a cell that begins so for a formula: a project called =HYPERLINK(…) would phone home.
_FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r")
_CSV_FIELDS: Final = (
    "id",
    "conversation",
    "project",
    "agent",
    "models",
    "member",
    "started_at",
    "ended_at",
    "turns",
    "input_uncached",
    "cache_read",
    "cache_write",
    "output",
    "cost_usd_micro",
    "unpriced_turns",
    "export_tool",
    "export_filter",
    "export_price_tables",
    "export_schema_version",
)


def write_json(
    loader: Loader, sessions: Sequence[Session], about: About, content: Content, out: BinaryIO
) -> None:
    """One JSON object: `export`, `sessions[]`, each with all nodes of its path, root first. One session at a time in memory."""
    out.write(b'{"export":' + _compact(about_record(about)) + b',"sessions":[')
    for number, session in enumerate(sessions):
        nodes = [node_record(node, content=content != "none") for node in loader.nodes(session.id)]
        out.write(b",\n" if number else b"\n")
        out.write(_compact({**session_record(session), "nodes": nodes}))
    out.write(b"\n]}\n")


def write_ndjson(
    loader: Loader, sessions: Sequence[Session], about: About, content: Content, out: BinaryIO
) -> None:
    """One JSON object per line, `record` says which: `export` first; before each `session` its `node`s that are new."""
    out.write(_line("export", about_record(about)))
    for session, fresh in each_node_once(loader, sessions):
        out.writelines(_line("node", node_record(node, content=content != "none")) for node in fresh)
        out.write(_line("session", session_record(session)))


def write_csv(sessions: Iterable[Session], about: About, out: BinaryIO) -> None:
    """One row per session, metadata only (RFC 4180, UTF-8, LF). What an export says of itself stands in its last columns."""
    text = io.TextIOWrapper(out, encoding="utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV_FIELDS)
    for session in sessions:
        row = {**session_record(session), **_csv_about(about)}
        row.update(row.pop("tokens"), models=" ".join(row["models"]))
        writer.writerow([_cell(row[name]) for name in _CSV_FIELDS])
    text.detach()


def each_node_once(loader: Loader, sessions: Iterable[Session]) -> Iterator[tuple[Session, list[Node]]]:
    """Each session with those of its nodes, root first, that no earlier one had."""
    seen: set[bytes] = set()
    for session in sessions:
        fresh = [node for node in loader.nodes(session.id) if bytes.fromhex(node.hash) not in seen]
        seen.update(bytes.fromhex(node.hash) for node in fresh)
        yield session, fresh


def _csv_about(about: About) -> dict[str, Json]:
    return {
        "export_tool": about.tool,
        "export_filter": json.dumps(about.filter),
        "export_price_tables": " ".join(about.price_tables),
        "export_schema_version": about.schema_version,
    }


def _cell(value: Json) -> Json:
    if isinstance(value, str):
        clean = value.encode("utf-8", "replace").decode()
        return "'" + clean if clean.startswith(_FORMULA_STARTS) else clean
    return value


def _line(record: str, fields: dict[str, Json]) -> bytes:
    return _compact({"record": record, **fields}) + b"\n"


def _compact(value: Json) -> bytes:
    """ASCII: what is in it can neither drive a terminal nor break a line."""
    return json.dumps(value, separators=(",", ":")).encode()

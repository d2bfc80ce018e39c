"""What every export says of itself and of a session, whatever its format: one spelling, stable names."""

from dataclasses import asdict, dataclass
from typing import Any, Final

from query.answers import Session
from query.source import Source
from store.nodes import Json, Node, node_to_dict

export_schema_version: Final = 1  # raised when a field or column changes its meaning or goes
SESSION_FIELDS: Final = (
    "id",
    "conversation",
    "project",
    "agent",
    "models",
    "member",
    "started_at",
    "ended_at",
    "turns",
    "tokens",
    "cost_usd_micro",
    "unpriced_turns",
)
# Metadata of a node that quotes neither what was said nor where on somebody's disk; `source.extra` and `usage.raw` do.
_BARE_BUCKET: Final = ("type", "role", "model", "provider", "agent_name")
_BARE_SOURCE: Final = ("harness", "session", "usage_id")


@dataclass(frozen=True, slots=True)
class About:
    """Where an export comes from. `filter` is what chose the sessions, as JSON; `price_tables` those of its costs."""

    tool: str  # name and version
    filter: Json
    price_tables: tuple[str, ...]
    exported_at: str  # RFC 3339 UTC
    exported_by: str | None  # member id, hex; None: a home in no team
    redaction: Json = None  # the rules that hid parts, and how many; None: nothing was looked for
    schema_version: int = export_schema_version


def about_record(about: About) -> dict[str, Json]:
    """The JSON object that stands at the head of an export."""
    record = {**asdict(about), "price_tables": list(about.price_tables)}
    return (
        record
        if about.redaction is not None
        else {name: record[name] for name in record if name != "redaction"}
    )


def session_record(session: Session) -> dict[str, Json]:
    """A session's metadata as JSON. Without `space` and `synced`: those are the exporter's state, not the session's."""
    fields = asdict(session)
    return {name: list(fields[name]) if name == "models" else fields[name] for name in SESSION_FIELDS}


def node_record(node: Node, *, content: bool) -> dict[str, Json]:
    """A node as it is stored, or only its metadata; `content` absent then, so the hash can no longer be recomputed."""
    stored = node_to_dict(node)
    return stored if content else _bare(stored)


def price_tables(source: Source) -> tuple[str, ...]:
    """The price tables that any cost of the source was computed with."""
    found = source.engine.all(
        "SELECT DISTINCT cost_table FROM rows WHERE cost_table IS NOT NULL ORDER BY ALL"
    )
    return tuple(row[0] for row in found)


def _bare(stored: dict[str, Json]) -> dict[str, Json]:
    bare = {**stored, "bucket": _only(stored["bucket"], _BARE_BUCKET)}
    if "usage" in bare:
        bare["usage"] = {name: count for name, count in bare["usage"].items() if name != "raw"}
    if "source" in bare:
        bare["source"] = _only(bare["source"], _BARE_SOURCE)
    return bare


def _only(fields: dict[str, Any], names: tuple[str, ...]) -> dict[str, Json]:
    return {name: fields[name] for name in names if name in fields}

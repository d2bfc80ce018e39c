"""The `.tape` bundle: sessions in one gzip file that is one JSON document, laid out so that it streams.

    {"version":1,"format":"tape-bundle","exported_at":…,"exported_by":…,"tool":…,
    "filter":…,
    "sessions":[
    {"id":…,…,"nodes":[
    {…a node as it is stored…},
    {…}
    ]}
    ],
    "price_tables":[…],
    "proofs":[…],
    "checksum":"sha256:…"}

Any JSON reader takes it whole; ours takes a line at a time and accepts no other layout, so a gigabyte never stands in memory and
a node's bytes are hashed as they came. The body is every line but the first and the last, line ends included; `checksum` is its
SHA-256. What differs between two exports of the same sessions (when, by whom, with what) stands in the first line, outside it.

Sessions stand in order of their id. A node stands once: in the first session that has it, parents first. A session's own path is
found from its `id` upwards by `parent_hash`. `docs/bundle.schema.json` is generated from the models here.
"""

from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from store.limits import node_bytes_max

FORMAT: Final = "tape-bundle"
VERSION: Final = 1
bundle_nodes_max: Final = 2_000_000  # each costs the reader's duplicate check about 100 bytes of memory
bundle_sessions_max: Final = 500_000
bundle_raw_bytes_max: Final = 16 * 1024**3  # uncompressed; gzip can claim a thousand times its size
line_bytes_max: Final = (
    node_bytes_max + 2
)  # the largest node that may leave a device, its comma, its line end

Hash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**63 - 1)]


class _Record(BaseModel):
    """Strict in the types it knows; a later version may add fields."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class BundledTokens(_Record):
    """Tokens by class; nothing overlaps."""

    input_uncached: Count
    cache_read: Count
    cache_write: Count
    output: Count


class BundledSession(_Record):
    """A session: its head, and what its whole path used. `nodes` are those that no earlier session of the bundle has."""

    id: Hash
    conversation: Hash
    project: str | None = None
    agent: str | None = None
    models: list[str] = Field(default_factory=list)
    member: Hash | None = None
    started_at: str | None = None
    ended_at: str | None = None
    turns: Count
    tokens: BundledTokens
    cost_usd_micro: Count
    unpriced_turns: Count
    facets: dict[str, Any] | None = Field(default=None, description="Labels somebody gave; never required.")
    nodes: list[dict[str, Any]] = Field(
        description="Stored nodes, parents first: hash, parent_hash, bucket, …; see docs/formats-data.md."
    )


class BundleStart(_Record):
    """The first line: what this is, and what is outside the checksum."""

    version: Literal[1]
    format: Literal["tape-bundle"]
    exported_at: str = Field(description="RFC 3339, UTC.")
    exported_by: Hash | None = Field(default=None, description="The member who exported it.")
    tool: str


class Bundle(BundleStart):
    """A whole bundle."""

    filter: Any = Field(description="What chose the sessions.")
    sessions: list[BundledSession]
    price_tables: list[str]
    proofs: list[dict[str, Any]] = Field(
        description="Room for audit proofs; readers skip kinds they do not know."
    )
    checksum: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")]


def bundle_schema() -> dict[str, Any]:
    """The JSON Schema of an unpacked bundle (draft 2020-12)."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Bundle.model_json_schema()}

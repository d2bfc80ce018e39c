"""Costs that were computed again: a projection beside the rows, laid over them when they are read, deletable at any time.

No node and no manifest changes: what was pushed says what its author's price table said then. The file is sealed under a key of
this device's, since it names the team's turns; a kill while it is written leaves the former one.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa

from crypto.errors import FormatBroken, StoreError
from crypto.identities import derive_seed
from crypto.sealing import Kind, SealKey, open_sealed, seal
from query.engine import Engine
from store.limits import MIB
from store.manifest_schema import count_max
from store.parquet import TableFormat, read_table, write_table
from sync.identity import Identity

COSTS: Final = pa.schema(
    [
        pa.field("hash", pa.binary(32), nullable=False),
        pa.field("usd_micro", pa.int64()),
        pa.field("source", pa.string(), nullable=False),
        pa.field("price_table", pa.string(), nullable=False),
    ]
)
costs_bytes_max: Final = 1024 * MIB
_FORM: Final = TableFormat(
    schema=COSTS,
    row_group_rows=122_880,
    dictionary=("source", "price_table"),
    rows_max=16_000_000,
    raw_bytes_max=4096 * MIB,
)
_KEY_LABEL: Final = b"tapes/v0/costs"
# What an agent itself recorded is nobody's to compute; a row that is no model call has no cost to lay over.
_LAY_OVER: Final = """
UPDATE rows SET cost_usd_micro = costs.usd_micro, cost_source = costs.source, cost_table = costs.price_table
FROM costs WHERE rows.hash = costs.hash AND rows.cost_source IN ('computed', 'unpriced', 'override')
"""


@dataclass(frozen=True, slots=True)
class NewCost:
    """What a turn costs by another table. `usd_micro` None: unpriced."""

    hash: bytes
    usd_micro: int | None
    source: str  # computed, override
    price_table: str


def costs_table(costs: Sequence[NewCost]) -> pa.Table:
    """New costs as a table of COSTS; an amount that no row may hold is unpriced."""
    columns = [
        [one.hash for one in costs],
        [
            one.usd_micro if one.usd_micro is not None and one.usd_micro <= count_max else None
            for one in costs
        ],
        [one.source for one in costs],
        [one.price_table for one in costs],
    ]
    return pa.table(
        [pa.array(values, entry.type) for values, entry in zip(columns, COSTS, strict=True)], COSTS
    )


def lay_over(engine: Engine, costs: pa.Table) -> None:
    """Give the rows of `rows` their new costs."""
    with engine.table("costs", costs):
        engine.run(_LAY_OVER)


def write_costs(path: Path, identity: Identity, costs: pa.Table) -> None:
    """Keep them in place of former ones. StoreError when the disk refuses."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(seal(_key(identity), Kind.PROJECTION, write_table(costs, _FORM)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:
        raise StoreError(f"{path} cannot be written: {error.strerror}", hint="check the disk") from error
    finally:
        beside.unlink(missing_ok=True)


def read_costs(path: Path, identity: Identity) -> pa.Table:
    """What `write_costs` kept. SealBroken or FormatBroken for what it did not write, StoreError for a disk that refuses."""
    try:
        if path.stat().st_size > costs_bytes_max:
            raise FormatBroken(str(path), "is larger than it can be")
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}", hint="check the disk") from error
    table, _ = read_table(open_sealed(_key(identity), Kind.PROJECTION, data, str(path)), _FORM, str(path))
    return table


def _key(identity: Identity) -> SealKey:
    """Of no team and no space: it never leaves this home."""
    return SealKey(bytes(32), bytes(16), 1, derive_seed(identity.device.box_seed, _KEY_LABEL))

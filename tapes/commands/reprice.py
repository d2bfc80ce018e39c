"""`tapes reprice`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from crypto.errors import UsageError
from query.costs import costs_table, write_costs
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.price_table import read_price_table
from tapes.prices import table_name
from tapes.progress import progress
from tapes.render import figures
from tapes.repricing import Repricing
from tapes.repricing import reprice as reprice_all

table_bytes_max = 16 * 1024 * 1024


def reprice(
    *,
    table: Annotated[
        Path | None,
        Parameter(help="Prices of your own (docs/analysts.md); what it has not, today's list has."),
    ] = None,
    reset: Annotated[bool, Parameter(help="Back to the costs as they were computed first.")] = False,
    dry_run: Annotated[bool, Parameter(help="Only say what would change.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Compute costs again; what an agent recorded itself stays, and nothing that was pushed changes."""
    run = begin(flags)
    if reset and (table is not None or dry_run):
        raise UsageError("--reset takes no other flag", hint="tapes reprice --reset")
    own = read_price_table(_bytes(table), str(table)) if table is not None else None
    with Desk(run) as desk:
        if desk.is_cloud:
            raise UsageError(
                "a home of provider cloud keeps no costs", hint="tapes storage set-provider hybrid"
            )
        if reset:
            run.home.costs.unlink(missing_ok=True)
            found = Repricing()
        else:
            identity = desk.identity  # its key seals the result
            with progress(run.out) as tell:
                found = reprice_all(desk.source(repriced=False), own, tell)
            if not dry_run:
                write_costs(run.home.costs, identity, costs_table(found.costs))
    name = None if reset else own.name if own is not None else table_name()
    if flags.json:
        run.out.answer("reprice", {**_fields(found), "price_table": name, "dry_run": dry_run, "reset": reset})
    else:
        run.out.say("costs are as they were computed first" if reset else _said(found, dry_run=dry_run))
    return 0


def _fields(found: Repricing) -> dict[str, object]:
    return {
        "calls": found.calls,
        "changed": len(found.costs),
        "by_tokens_alone": found.by_tokens_alone,
        "before": {"cost_usd_micro": found.before_usd_micro, "unpriced_turns": found.unpriced_before},
        "after": {"cost_usd_micro": found.after_usd_micro, "unpriced_turns": found.unpriced_after},
        "price_tables": sorted(found.tables),
    }


def _said(found: Repricing, *, dry_run: bool) -> str:
    before = figures.money(found.before_usd_micro, found.unpriced_before)
    after = figures.money(found.after_usd_micro, found.unpriced_after)
    verb = "would change" if dry_run else "changed"
    alone = f" · {found.by_tokens_alone} of others by their tokens alone" if found.by_tokens_alone else ""
    return f"{len(found.costs)} of {found.calls} computed costs {verb}: {before} → {after}{alone}"


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(table_bytes_max + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}", hint="name a price table") from None
    if len(data) > table_bytes_max:
        raise UsageError(f"{path} is too large for a price table", hint=f"at most {table_bytes_max} bytes")
    return data

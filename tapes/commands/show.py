"""`tapes show`."""

from typing import Annotated, Any

from cyclopts import Parameter

from store.nodes import Node, node_to_dict
from tapes.commands.context import Flags, begin, no_flags
from tapes.commands.desk import Desk
from tapes.render.blocks import ALL, Folding
from tapes.render.transcript import render_transcript

_SHOWN_EVEN_IF_NULL = (
    "hash",
    "hash_version",
    "verified",
    "withheld",
    "parent_hash",
    "bucket",
    "usage",
    "cost",
    "stop_reason",
    "project",
    "created_at",
    "source",
)


def show(
    session: Annotated[
        str, Parameter(help="Any unique beginning of a session's, conversation's or agent session's id.")
    ],
    /,
    *,
    full: Annotated[bool, Parameter(help="Do not fold thinking, tool inputs and results.")] = False,
    flags: Flags = no_flags,
) -> int:
    """Read one session."""
    from query.sessions import check_length, resolve  # noqa: PLC0415 - `show --help` needs no engine
    from query.transcript import load  # noqa: PLC0415 - as above

    run = begin(flags)
    check_length(session)
    with Desk(run) as desk:
        source = desk.source(about=session)
        head = resolve(source, session)
        nodes = load(source, head)
    if flags.json:
        run.out.answer("show", {"session": head, "nodes": [node_fields(node) for node in nodes]})
    else:
        run.out.show(*render_transcript(head, nodes, ALL if full else Folding()))
    return 0


def node_fields(node: Node) -> dict[str, Any]:
    """A node as `show --json` gives it: the stored form, nulls spelled out; whether its hash holds, and its content is known."""
    stored = {**node_to_dict(node), "verified": node.verified, "withheld": node.withheld}
    return {name: stored.get(name) for name in _SHOWN_EVEN_IF_NULL}

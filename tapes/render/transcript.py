"""A session to read: a heading, then every turn with who spoke, when, with what, and what it cost."""

from collections.abc import Iterable, Iterator, Sequence

from rich.console import RenderableType
from rich.rule import Rule
from rich.text import Text

from store.nodes import Node
from tapes.render import figures
from tapes.render.blocks import WITHHELD, Folding, blocks_of, render_block
from tapes.render.safe import safe_line

_STYLE_OF_ROLE = {
    "user": "bold green",
    "assistant": "bold blue",
    "system": "bold yellow",
    "tool": "bold magenta",
}


def render_transcript(session: str, nodes: Sequence[Node], folding: Folding) -> Iterator[RenderableType]:
    """The parts of a transcript, root first; `nodes` is the path of the session."""
    yield from _heading(session, nodes)
    number = 0
    for node in nodes:
        number += _is_turn(node)
        yield Text()
        yield _turn_line(str(number) if _is_turn(node) else "·", node)
        for block in blocks_of(node.bucket):
            yield from render_block(block, folding)


def _heading(session: str, nodes: Sequence[Node]) -> Iterator[RenderableType]:
    yield Rule(Text(f"session {figures.short_id(session)}", style="bold"), align="left", characters="─")
    times = sorted(
        node.created_at for node in nodes if node.created_at
    )  # clocks go back, subagents run beside
    begin, end = (times[0], times[-1]) if times else (None, None)
    output = sum(node.usage.output for node in nodes if node.usage)
    facts = {
        "project": _first(node.project for node in nodes),
        "agent": _first(
            _field(node, "agent_name") or (node.source.harness if node.source else None) for node in nodes
        ),
        "models": ", ".join(dict.fromkeys(filter(None, (_field(node, "model") for node in nodes)))),
        "started": f"{figures.stated_moment(begin)}, took {figures.duration(begin, end)}",
        "turns": f"{sum(map(_is_turn, nodes))}, {figures.count(output)} output tokens",
    }
    for name, value in facts.items():
        if value:
            yield Text(f"{name:<8}", style="dim").append(safe_line(value), style="not dim")
    if withheld := sum(node.withheld for node in nodes):
        yield Text(f"{withheld} of {len(nodes)} turns are metadata only: {WITHHELD}", style="yellow")
    if broken := sum(not node.verified and not node.withheld for node in nodes):
        yield Text(
            f"{broken} of {len(nodes)} turns are unverified: their hash fits no known era", style="yellow"
        )


def _turn_line(number: str, node: Node) -> Text:
    role = safe_line(_field(node, "role") or _field(node, "type") or "turn")
    line = Text(f"{number:>3} ", style="dim").append(role, style=_STYLE_OF_ROLE.get(role, "bold"))
    for detail in _details(node):
        line.append(f" · {safe_line(detail)}", style="dim not bold")
    line.append(f" · {figures.short_id(node.hash)}", style="dim not bold")
    if node.withheld:
        line.append(" · METADATA ONLY", style="yellow")
    elif not node.verified:
        line.append(" · UNVERIFIED", style="yellow")
    return line


def _details(node: Node) -> Iterator[str]:
    if when := figures.clock(node.created_at):
        yield when
    if model := _field(node, "model"):
        yield model
    if node.usage is not None:
        read = node.usage.input_uncached + node.usage.cache_read + node.usage.cache_write
        yield f"{figures.count(read)} in, {figures.count(node.usage.output)} out"
    if node.cost is not None:
        yield figures.money(node.cost.usd_micro, 0 if node.cost.usd_micro is not None else 1)
    if node.stop_reason not in {None, "", "end_turn", "tool_use", "stop"}:
        yield f"stopped: {node.stop_reason}"


def _is_turn(node: Node) -> bool:
    """A root that only names a session is a node, and nobody's turn."""
    return node.bucket.get("type") == "message"


def _field(node: Node, name: str) -> str | None:
    value = node.bucket.get(name)
    return value if isinstance(value, str) and value else None


def _first(values: Iterable[str | None]) -> str:
    return next((value for value in values if value), "")

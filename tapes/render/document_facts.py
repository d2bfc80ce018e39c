"""What stands above a session in a document, as names and plain texts; each document escapes them in its own way."""

from query.answers import Session
from query.titles import title_of_nodes
from store.nodes import Node
from tapes.render import figures


def session_facts(session: Session, nodes: list[Node]) -> dict[str, str]:
    """In the order they are shown, without those that are not known."""
    facts = {
        "title": title_of_nodes(nodes),
        "id": session.id,
        "began": session.started_at,
        "ended": session.ended_at,
        "models": ", ".join(session.models),
        "turns": str(session.turns),
        "cost": figures.money(session.cost_usd_micro, session.unpriced_turns),
    }
    return {name: value for name, value in facts.items() if value}

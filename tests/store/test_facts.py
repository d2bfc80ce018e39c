"""What a row says of a turn's tools: their names, bounded, whatever a log invents."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from store.eras import make_node
from store.facts import facts_of, tool_name_chars_max
from store.limits import label_bytes_max


def tools_of(*names: Any) -> str | None:
    """The `tools` of a turn that calls tools of these names."""
    content = [{"type": "tool_use", "tool_name": name, "tool_input": {}} for name in names]
    bucket = {"type": "message", "role": "assistant", "content": content, "model": "", "provider": ""}
    return facts_of(make_node(bucket, None)).tools


def test_each_tool_is_named_once_in_the_order_of_its_first_call() -> None:
    """One name a line, a name's own line breaks blanked; a turn without a named call has none."""
    assert tools_of("Bash", "Read", "Bash", "a\nb") == "Bash\nRead\na b"
    assert tools_of() is None
    assert tools_of("", " \n") is None


def test_only_whole_names_are_kept() -> None:
    """What would not fit into a label is left out as a whole, never cut into another tool's name; a long one is cut by itself."""
    many = [f"tool-{number:03}" for number in range(100)]
    kept = str(tools_of(*many)).split("\n")

    assert kept == many[: len(kept)]
    assert len("\n".join(many[: len(kept) + 1])) + 1 > label_bytes_max
    assert tools_of("x" * 1000) == "x" * tool_name_chars_max


@given(st.lists(st.text(max_size=200), max_size=30))
def test_any_names_fit_into_a_label(names: list[str]) -> None:
    """Whatever a log calls its tools: at most a label's bytes, distinct lines, all of them called."""
    lines = (tools_of(*names) or "").split("\n")

    assert len("\n".join(lines).encode("utf-8", "surrogatepass")) <= label_bytes_max
    assert len(set(lines)) == len(lines)

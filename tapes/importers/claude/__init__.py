"""Claude Code's session logs: found, read, grouped into messages, mapped to nodes, imported step by step (agents.md §4.1)."""

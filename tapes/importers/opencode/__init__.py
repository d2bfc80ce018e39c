"""opencode sessions: its SQLite database and the JSON files it kept before, mapped to turns (agents.md §4.4)."""

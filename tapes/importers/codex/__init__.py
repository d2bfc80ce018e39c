"""OpenAI Codex CLI rollouts: found, unpacked, read line by line into turns, imported step by step (agents.md §4.2)."""

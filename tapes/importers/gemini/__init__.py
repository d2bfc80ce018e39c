"""Gemini CLI chats: found, their event log folded, their messages mapped to turns (agents.md §4.3)."""

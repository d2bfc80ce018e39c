"""The Go tool's own database: its nodes taken over as they are, every hash kept and its era named (tapes.md §2.1)."""

"""Numbered SQL of the local store: applied in order, never edited once shipped."""

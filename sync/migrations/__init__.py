"""Numbered SQL of the replica: applied in order, never edited once shipped."""

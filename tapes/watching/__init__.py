"""`tapes watch`: one process per home that imports and syncs in the background, made of small services."""

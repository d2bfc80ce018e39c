"""Nodes and their hashes, the local store, blob stores, packs, manifests and the commit log's bytes."""

"""Importers: the logs agents leave on disk, read into nodes. One folder per agent."""

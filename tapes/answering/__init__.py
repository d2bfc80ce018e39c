"""The resident process that answers searches, lists and dashboards from memory, and how commands ask it."""

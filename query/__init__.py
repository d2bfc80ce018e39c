"""DuckDB over manifest rows: sessions and their totals."""

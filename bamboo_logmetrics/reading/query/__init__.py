"""The lines of logs in DuckDB: which files are read, and the views that queries and summaries use."""

"""DuckDB: the engine that builds and serves the marts."""

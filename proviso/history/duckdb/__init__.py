"""The history on DuckDB: the engine behind the operations of `proviso.history`."""

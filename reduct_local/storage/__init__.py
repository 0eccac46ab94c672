"""How buckets, entries and records are kept in one SQLite database; see `reduct_local.engine`."""

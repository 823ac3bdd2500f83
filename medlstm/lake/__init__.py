"""Where everything lies: Parquet tables, one file per table and date, replaced atomically.

In: Arrow tables and dates. Out: files that a reader sees whole or not at all, a lock per date, a line per change.
Begin with `Workspace` in files.py, then schemas.py, which names every column that crosses from one room to the next.
"""

"""SQL over the lake's files: DuckDB in this process, within a memory limit."""

from typing import TYPE_CHECKING

from medlstm.lake.files import Workspace

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection


def connect(workspace: Workspace, memory_limit_gb: float = 1.0) -> "DuckDBPyConnection":
    """An in-process DuckDB that never fetches extensions, stays within the limit and spills below lake/.scratch."""
    # A module that refers to duckdb and outlives it in a flow's context makes it print its leaks at exit.
    import duckdb

    return duckdb.connect(
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{memory_limit_gb}GB",
            "temp_directory": str(workspace.scratch),
        }
    )

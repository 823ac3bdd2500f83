"""What the commands share: options, the workspace they name, the last line for programs."""

import json
from datetime import date
from pathlib import Path
from typing import Annotated, Any

import typer

from medlstm.lake.files import Workspace
from medlstm.lake.format import require_format
from medlstm.settings.workspace import load_config, parse_date
from medlstm.values.plain_data import plain

WorkspaceOption = Annotated[Path, typer.Option("--workspace", help="Folder with a medlstm.toml.")]
AsOfOption = Annotated[str | None, typer.Option("--as-of", help="The night, such as 2026-11-22.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Last line of standard output: one JSON object.")]


def root_of(workspace: Path) -> str:
    """The workspace's absolute path, its configuration and its lake's format checked before anything runs."""
    root = workspace.resolve()
    load_config(root)
    require_format(Workspace(root))
    return str(root)


def date_of(text: str | None) -> date | None:
    """The date asked for, if one was. Raises ConfigError."""
    return None if text is None else parse_date(text)


def print_json(result: Any) -> None:
    """The result as one line of JSON."""
    print(json.dumps(plain(result), allow_nan=False))

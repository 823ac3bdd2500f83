"""What others rely on, as text: deployments, commands, tables. The texts beside this file are what review has seen.

    python -m tests.unit.surface.surface    # writes them anew
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import typer
import yaml

from flows.command_line.app import app
from medlstm.ingest.landing_to_raw import FILES_SCHEMA
from medlstm.lake.schemas import PREDICTIONS_SCHEMA, admitted_schema, quarantine_schema, raw_columns, raw_schema
from medlstm.scoring.export_meds import LABEL_SCHEMA

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]
_NUMERIC, _CATEGORICAL = ["age"], ["ward"]


def deployments() -> Iterator[str]:
    """prefect.yaml: what is deployed, from where, when, with which parameters and limits."""
    content = yaml.safe_load((ROOT / "prefect.yaml").read_text(encoding="utf-8"))
    for one in content["deployments"]:
        yield f"{one['name']}: {one['entrypoint']}"
        yield from (f"  {key}: {one[key]}" for key in sorted(one) if key not in ("name", "entrypoint"))


def command_line() -> Iterator[str]:
    """Every command with its help, its arguments and its options."""
    yield from _command("medlstm", typer.main.get_command(app))


def _command(name: str, command: Any) -> Iterator[str]:
    yield f"{name}: {' '.join((command.help or '').split())}"
    for one in command.params:
        if one.name == "help":
            continue
        shown = ", ".join(one.opts) if one.param_type_name == "option" else one.name.upper()
        default = "required" if one.required else f"default {one.default}"
        yield f"  {shown} ({default}): {' '.join((getattr(one, 'help', None) or '').split())}"
    for inner, its in getattr(command, "commands", {}).items():
        yield from _command(f"{name} {inner}", its)


def tables() -> Iterator[str]:
    """The lake's tables, with one numeric and one categorical feature."""
    for table in ("stays", "observations"):
        raw = raw_schema(raw_columns(table, _NUMERIC, _CATEGORICAL))
        yield from _schema(f"raw {table}", raw)
        yield from _schema(f"admitted {table}", admitted_schema(table, _NUMERIC, _CATEGORICAL))
        yield from _schema(f"quarantine {table}", quarantine_schema(raw.names))
    yield from _schema("quarantine files", FILES_SCHEMA)
    yield from _schema("predictions", PREDICTIONS_SCHEMA)
    yield from _schema("export meds", LABEL_SCHEMA)


def _schema(name: str, schema: pa.Schema) -> Iterator[str]:
    yield f"{name}:"
    yield from (f"  {one.name}: {one.type}{'' if one.nullable else ' not null'}" for one in schema)


SURFACES: dict[str, Callable[[], Iterator[str]]] = {
    "deployments": deployments,
    "command_line": command_line,
    "tables": tables,
}


def text_of(name: str) -> str:
    """A surface as it is now."""
    return "".join(f"{line.rstrip()}\n" for line in SURFACES[name]())


def main() -> None:
    """Write the texts anew."""
    for name in SURFACES:
        (FOLDER / f"{name}.txt").write_text(text_of(name), encoding="utf-8")


if __name__ == "__main__":
    main()

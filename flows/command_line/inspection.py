"""`medlstm inspect`: what files seem to say, before there is a workspace."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command_line.options import JsonOption, date_of
from medlstm.errors import ConfigError


def inspect(
    files: Annotated[list[Path], typer.Argument(help="Files, or folders of files, as they would land.")],
    try_it: Annotated[bool, typer.Option("--try", help="Take them in, in a folder that is removed after.")] = False,
    settings: Annotated[
        Path | None, typer.Option("--settings", help="With --try: this medlstm.toml in place of the proposal.")
    ] = None,
    as_of: Annotated[
        str | None, typer.Option("--as-of", help="With --try: the night; by default that of the newest row.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look at files and print a proposed medlstm.toml with reasons and questions, or what it makes of them."""
    from flows.command_line.proposals import print_proposal, print_trial

    if not try_it and (settings or as_of or as_json):
        raise ConfigError("--settings, --as-of and --json belong to --try")
    if try_it:
        print_trial(files, settings, date_of(as_of), as_json)
    else:
        print_proposal(files)

"""What `medlstm inspect` prints: a proposal for files, or what it makes of them, without a value of a row."""

import os
import tomllib
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from rich.console import RenderableType

from flows.command_line.options import print_json
from flows.command_line.printing import narrow_table, printable, table, terminal, text
from medlstm.errors import ConfigError
from medlstm.ingest.landing_to_raw import shown_name
from medlstm.onboarding.propose_mapping import inspect_files, landing_names
from medlstm.onboarding.try_mapping import Trial, try_mapping
from medlstm.settings.workspace import parse_config

_MAX_WARNINGS = 12


def print_proposal(files: Sequence[Path]) -> None:
    """The proposal as TOML on standard output. Raises ConfigError for a path that is not there."""
    print(inspect_files(_found(files)).toml, end="")


def print_trial(files: Sequence[Path], settings: Path | None, as_of: date | None, as_json: bool) -> None:
    """What the proposal, or the settings given, make of the files. Raises ConfigError where they are not settings."""
    paths = _found(files)
    proposal = None if settings else inspect_files(paths)
    if proposal and "[[source.files]]" not in proposal.toml and 'format = "csv"' in proposal.toml:
        raise ConfigError("nothing to try: " + "; ".join(proposal.questions))
    origin = str(settings) if settings else "the proposal"
    content = proposal.toml if proposal else _read(settings or Path())
    try:
        config = parse_config(tomllib.loads(content), dict(os.environ), origin)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{origin}: not valid TOML: {error}") from error
    console = terminal()
    trial = try_mapping(landing_names(paths), config, as_of)
    for number, one in enumerate(proposal.questions if proposal else (), start=1):
        console.print(printable(f"question {number}: {one}"))
    for part in _rendered(trial):
        console.print(printable(part) if isinstance(part, str) else part)
    if as_json:
        print_json(trial)


def _found(files: Sequence[Path]) -> list[Path]:
    """The files, and those below folders; hidden ones are left alone."""
    missing = [path for path in files if not path.exists()]
    if missing:
        raise ConfigError(f"{missing[0]}: no such file or folder")
    below = [path for one in files if one.is_dir() for path in one.rglob("*")
             if path.is_file() and not any(part.startswith(".") for part in path.relative_to(one).parts)]  # fmt: skip
    return sorted({*(one for one in files if one.is_file()), *below})


def _read(settings: Path) -> str:
    try:
        return settings.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{settings}: cannot be read ({type(error).__name__})") from error


def _rendered(trial: Trial) -> Iterable[RenderableType]:
    yield f"As the night of {trial.as_of} would take them in:"
    for one in trial.ingest.unreadable:
        yield f"not readable: {shown_name(one.source_file)}: {one.reason}"
    rows = [(one.table, text(one.rows_in), text(one.admitted), text(one.quarantined), text(one.exact_duplicates))
            for one in trial.reports]  # fmt: skip
    yield table(("table", "rows in", "= admitted", "+ quarantined", "+ duplicates"), rows)
    left_out = [(what, text(count)) for what, count in sorted(trial.ingest.left_out.items())]
    if left_out:
        yield table(("left out by the settings, and not in rows in", "rows"), left_out)
    rules = [(one.table, rule.rule, rule.action, text(rule.rows))
             for one in trial.reports for rule in one.rules if rule.rows]  # fmt: skip
    if rules:
        yield table(("table", "rule", "action", "rows"), rules, text_columns=3)
    if trial.would_stop:
        yield f"A night would stop here: {trial.would_stop}"
    if trial.problems:
        yield table(("problems", "column and reason", "looks like", "rows"),
                    [(one.table, one.reason, one.shape or "", text(one.rows)) for one in trial.problems],
                    text_columns=3)  # fmt: skip
    yield (f"A model would see {trial.stays:,} stays, {trial.open_stays:,} of them open; "
           f"{trial.admitted_in_no_stay:,} admitted observations meet no known stay")  # fmt: skip
    features = [(one.name, f"{one.stays_share:.0%}", text(one.different)) for one in trial.features]
    if features:
        yield table(("feature", "stays that have it", "different values"), features)
    seen = [(one.name or "(a name that is not in the settings)",
             f"{one.observations_per_stay:.1f}", f"{one.stays_share:.0%}", f"{one.median_bin_coverage:.0%}")
            for one in trial.variables]  # fmt: skip
    if seen:
        yield narrow_table(("variable", "observations a stay", "stays that have it", "bins with it (median)"), seen)
    yield from (f"warning: {one}" for one in trial.ingest.warnings[:_MAX_WARNINGS])
    if len(trial.ingest.warnings) > _MAX_WARNINGS:
        yield f"… and {len(trial.ingest.warnings) - _MAX_WARNINGS} more warnings"

"""Why nobody was scored on a night, told from what the lake holds, and what a person can do about it."""

from collections.abc import Sequence
from datetime import date

import pandas as pd

from medlstm.contracts.results import ContractReport
from medlstm.lake.files import Workspace, partitions_until, row_count
from medlstm.registry.versions import champion
from medlstm.report.content import NothingScored
from medlstm.sequences.cohort import Cohort
from medlstm.settings.workspace import Config

_CORRECT_THE_FILES = (
    "The section on unreadable files, and lake/quarantine/files, say why: correct them or the mapping, and run the "
    "night again."
)


def why_nothing(
    workspace: Workspace,
    as_of: date,
    config: Config,
    cohort: Cohort,
    contracts: Sequence[ContractReport],
    unreadable_files: int,
) -> NothingScored:
    """The first reason of a night without a prediction; `contracts` and `unreadable_files` are those of its date."""
    stays = cohort.frame
    if stays.empty:
        return _no_stay(workspace, as_of, contracts, unreadable_files)
    if not stays["is_open"].astype(bool).any():
        return _nobody_in_bed(stays, unreadable_files)
    if champion(workspace, as_of) is not None:
        return NothingScored("waiting", "the night did not get to its scoring step", "Run the night again.")
    if not _rows(workspace, "observations", as_of):
        return NothingScored(
            "input",
            "no observation is known, so that no model could be trained",
            'Look at the mapping of the files of observations (pattern, table = "observations"), and at the '
            "quarantine; then run the night again.",
        )
    ended = int((~stays["is_open"].astype(bool)).sum())
    return NothingScored(
        "waiting",
        f"there is no model yet, of {ended:,} ended stays so far",
        f"A training needs {config.training.min_stays:,} of them in its training split (training.min_stays): "
        "wait for more nights, or begin with what is known of past stays (medlstm bootstrap).",
    )


def _no_stay(
    workspace: Workspace, as_of: date, contracts: Sequence[ContractReport], unreadable_files: int
) -> NothingScored:
    received = next((one for one in contracts if one.table == "stays"), None)
    if received is not None and received.quarantined and not received.admitted:
        return NothingScored(
            "contract",
            f"no stay is known: all {received.quarantined:,} rows of stays that arrived are in quarantine",
            f"`medlstm quarantine ls --as-of {as_of}` lists the rules and reasons: correct the source, the mapping or "
            "the limit, and run the night again.",
        )
    if unreadable_files:
        return NothingScored(
            "input",
            f"no stay is known: {unreadable_files:,} of the night's files could not be read in full",
            _CORRECT_THE_FILES,
        )
    if _rows(workspace, "stays", as_of):
        return NothingScored(
            "input",
            "no stay is known that was admitted before the night's cutoff and not taken back",
            "Look at admitted_at, its time zone and retracted_when in the mapping of stays, and at the night's date.",
        )
    return NothingScored(
        "input",
        "no stay is known: no row of stays has arrived up to this night",
        'Look whether a mapping with table = "stays" matches the files by their names, whether keep and drop leave '
        "rows, and whether the files hold any; then run the night again.",
    )


def _nobody_in_bed(stays: pd.DataFrame, unreadable_files: int) -> NothingScored:
    known = f"nobody is in a bed: all {len(stays):,} known stays have ended"
    if unreadable_files:
        return NothingScored(
            "input",
            f"{known}, and {unreadable_files:,} of the night's files could not be read in full",
            _CORRECT_THE_FILES,
        )
    return NothingScored(
        "empty",
        known,
        "If the hospital is not empty, its open stays do not arrive: they are sent with the discharge empty, and "
        "discharged_at must be the discharge, not a plan for it.",
    )


def _rows(workspace: Workspace, table: str, as_of: date) -> int:
    return sum(row_count(path) for path in partitions_until(workspace.admitted(table), as_of))

"""The comparison of all models as files beside a night's report: its table as JSON, its plot as SVG."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import date

import numpy as np

from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace, write_bytes, write_json
from medlstm.report.plots import errors_by_model
from medlstm.sequences.stay_sequences import load_sequences, stored_scope
from medlstm.settings.workspace import Config
from medlstm.training.compare_models import REFERENCE, Comparison, compare_models


def compare_night(
    workspace: Workspace,
    as_of: date,
    config: Config,
    names: Sequence[str] | None = None,
    on_model: Callable[[int, int], None] | None = None,
) -> Comparison:
    """Compare on the built sequences of `as_of`, and write comparison.json and comparison.svg beside its report.

    Raises MedlstmError when the sequences are missing or hold open stays only.
    """
    folder = workspace.sequences(as_of)
    if stored_scope(folder) != "all":
        raise MedlstmError(f"{folder}: no sequences of all stays; run `medlstm preprocess --as-of {as_of}` first")
    comparison = compare_models(load_sequences(folder), config, as_of, config.cutoff_instant(as_of), names, on_model)
    write_json(_finite(asdict(comparison)), workspace.report(as_of) / "comparison.json")
    write_bytes(draw(comparison), workspace.report(as_of) / "comparison.svg")
    return comparison


def draw(comparison: Comparison) -> bytes:
    """The plot of a comparison as an SVG file."""
    rows = [
        (one.name, one.difference_days, one.difference_lower_days, one.difference_upper_days)
        for one in comparison.models
    ]
    return base64.b64decode(errors_by_model(rows, REFERENCE).split(",", 1)[1])


def _finite(value: object) -> object:
    """The same for JSON: dates as text, and null for what is infinite or has no value."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    return None if isinstance(value, float) and not np.isfinite(value) else value

"""Score every open stay as of a date: days that remain, between which bounds, and why."""

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from medlstm.contracts.output_checks import check_predictions
from medlstm.errors import ModelUnavailable
from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.lake.schemas import PREDICTIONS_SCHEMA
from medlstm.models.ensemble import Ensemble
from medlstm.models.predict import Predictions, predict
from medlstm.registry.records import ModelRecord
from medlstm.registry.versions import champion, load_network, training_due, unusable_models
from medlstm.scoring.occlusion import largest_reasons, occlusion_contributions
from medlstm.sequences.batches import Stays, arrange
from medlstm.sequences.nightly_points import NightlyPoints, last_points
from medlstm.sequences.stay_sequences import StaySequences, input_hashes, load_sequences
from medlstm.settings.workspace import Config
from medlstm.training.devices import choose_device, cpu_threads
from medlstm.training.known_points import groups_at, within_horizon


@dataclass(frozen=True)
class ScoreSummary:
    """What a scoring step made: counts only."""

    as_of: date
    scored: int
    model_version: str
    stale: bool


def score_night(workspace: Workspace, as_of: date, config: Config) -> ScoreSummary:
    """Score the open stays of the built sequences of `as_of` with that date's champion; replace the partition.

    Raises ModelUnavailable when no model was promoted up to that date, and ContractStopped, before anything is
    written, for predictions that break their contract.
    """
    record = champion(workspace, as_of)
    if record is None:
        raise ModelUnavailable(f"{as_of}: {_why_none(workspace)}, so nothing was scored")
    stale = training_due(workspace, as_of, config.training.retrain_every_days)
    sequences = load_sequences(workspace.sequences(as_of))
    sequences = sequences.select(sequences.stays["is_open"].to_numpy(dtype=bool))
    with cpu_threads(config.training.cpu_threads):
        table = score_stays(workspace, record, sequences, as_of, config, stale)
    check_predictions(table, as_of, config, workspace.root)
    write_table(table, partition_file(workspace.predictions, as_of, key="as_of"))
    return ScoreSummary(as_of, table.num_rows, record.version, stale)


def _why_none(workspace: Workspace) -> str:
    unusable = unusable_models(workspace)
    if not unusable:
        return "no model has been trained yet"
    models = "; ".join(f"{one.version}: {one.why}" for one in unusable)
    return f"no model up to this date can be used ({models}); restore it from a backup, or retrain"


@dataclass(frozen=True)
class OpenStays:
    """n open stays as a model sees them, and what it says `since` the night's cutoff; `elapsed_days` [n] since
    admission, of which `passed_days` [n] after the step that the model saw last."""

    network: Ensemble
    stays: Stays
    points: NightlyPoints
    device: torch.device
    elapsed_days: np.ndarray
    passed_days: np.ndarray
    since: Predictions


def predict_open(workspace: Workspace, record: ModelRecord, sequences: StaySequences, config: Config) -> OpenStays:
    """What the model of a record says of open stays (one at least)."""
    network, device = load_network(workspace, record), choose_device(config.training.device)
    stays, points = arrange(sequences, record.spec), last_points(sequences)
    elapsed = sequences.stays["duration_hours"].to_numpy(dtype=np.float64) / 24
    # A stay of one step is predicted at its admission: what has passed since is known.
    passed = elapsed if sequences.single_step else np.zeros_like(elapsed)
    since = predict(network, stays, points, device).after(passed)
    return OpenStays(network, stays, points, device, elapsed, passed, since)


def score_stays(
    workspace: Workspace, record: ModelRecord, sequences: StaySequences, as_of: date, config: Config, stale: bool
) -> pa.Table:
    """Predictions for open stays, sorted by stay_id, nobody's where nobody is in a bed; a bound that calibration could
    not tell is null."""
    if not len(sequences):
        return PREDICTIONS_SCHEMA.empty_table()
    spec = record.spec
    open_stays = predict_open(workspace, record, sequences, config)
    since, elapsed, points = open_stays.since, open_stays.elapsed_days, open_stays.points
    lower, upper = record.interval.bounds(since, elapsed, groups_at(points, sequences, spec))
    remaining = since.days
    columns = {
        "stay_id": pa.array(sequences.stays["stay_id"], pa.string()),
        "as_of": pa.array([as_of] * len(sequences), pa.date32()),
        "elapsed_days": elapsed,
        "remaining_los_days": remaining,
        "remaining_los_days_mean": since.mean_days(),
        "remaining_los_days_lower": lower,
        "remaining_los_days_upper": pa.array(upper, mask=~np.isfinite(upper)),
        "interval_coverage": np.full(len(sequences), record.interval.coverage),
        "los_days": elapsed + remaining,
        **{f"p_discharge_{24 * days}h": _leaves_within(since, days) for days in (1, 2, 3)},
        "mortality_risk": since.mortality if since.mortality is not None else [None] * len(sequences),
        "model_version": pa.array([record.version] * len(sequences), pa.string()),
        "stale": pa.array([stale] * len(sequences), pa.bool_()),
        "reasons": _reasons(open_stays, config.scoring.top_reasons),
        "input_hash": pa.array(
            input_hashes(open_stays.stays.sequences, list(spec.numeric), list(spec.categories)), pa.string()
        ),
        "median_remaining_days": np.maximum(record.baseline_median_days - open_stays.passed_days, 0.0),
        "baseline_remaining_days": _baseline_days(record, sequences, elapsed),
    }
    return _as_table(columns)


def _reasons(of: OpenStays, count: int) -> list[list[dict[str, object]]]:
    if count == 0:
        return [[] for _ in of.points.stay]
    return largest_reasons(*occlusion_contributions(of.network, of.stays, of.points, of.device), count)


def _baseline_days(record: ModelRecord, sequences: StaySequences, elapsed_days: np.ndarray) -> np.ndarray | list[None]:
    """What the Kaplan-Meier baseline says remains [m]; nothing with a model of an earlier version, that has none."""
    if record.baseline is None:
        return [None] * len(sequences)
    days = record.baseline.remaining(sequences.stays, elapsed_days).median()
    return within_horizon(days, record.spec)


def _leaves_within(predictions: Predictions, days: int) -> np.ndarray | list[None]:
    """The probability [m] of a discharge within so many days, or nothing where the head gives a point only."""
    if predictions.remaining is None:
        return [None] * len(predictions.days)
    return predictions.remaining.ended_within(days)


def _as_table(columns: dict[str, Any]) -> pa.Table:
    table = pa.table([pa.array(columns[field.name], field.type) for field in PREDICTIONS_SCHEMA],
                     schema=PREDICTIONS_SCHEMA)  # fmt: skip
    return table.sort_by("stay_id")

"""Rolling origin: models trained as of past dates, the nights that followed scored by what each of them knew.

The same functions as those of the nights do it, over the workspace's lake; what they make lies in a folder of its own,
so that neither the models nor the predictions of the workspace are touched.
"""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from medlstm.errors import MedlstmError
from medlstm.evaluation.judged_nights import (
    DistributionScore,
    NightScore,
    SettledError,
    follow_up_of,
    score_distributions,
    score_nights,
    settled_error,
)
from medlstm.evaluation.stored_nights import judged_predictions
from medlstm.lake.date_lock import backtest_lock
from medlstm.lake.files import Workspace, partition_dates
from medlstm.registry.nightly_training import train_night
from medlstm.registry.records import ModelRecord
from medlstm.registry.versions import champion, load_records, night_scope, training_due
from medlstm.scoring.score_night import predict_open, score_night
from medlstm.sequences.build import build_sequences
from medlstm.sequences.cohort import load_cohort
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import Config
from medlstm.training.train_loop import Progress

AT_DAYS = np.arange(1.0, 15.0)


@dataclass(frozen=True)
class BacktestWorkspace(Workspace):
    """The lake of a workspace, and in `outputs` what is made from it."""

    outputs: Path = field(default_factory=Path)

    def sequences(self, as_of: date) -> Path:
        return self.outputs / "sequences" / f"as_of={as_of.isoformat()}"

    @property
    def predictions(self) -> Path:
        return self.outputs / "predictions"

    @property
    def backtest(self) -> Path:
        return self.outputs / "backtest.json"

    @property
    def models(self) -> Path:
        return self.outputs / "models"

    @property
    def audit(self) -> Path:
        return self.outputs / "audit.jsonl"


@dataclass(frozen=True)
class BacktestModel:
    """A training of a backtest."""

    version: str
    trained_as_of: date
    promoted: bool
    training_stays: int
    promised_mae_days: float | None
    note: str


@dataclass(frozen=True)
class RollingBacktest:
    """What became of the predictions of the nights from `start` to `end`, as the date `known_as_of` knows.

    `settled` and `distribution` are None where no night is settled, or nobody was scored; `notes` say why nights were
    not scored.
    """

    start: date
    end: date
    every_days: int
    known_as_of: date
    folder: str
    models: tuple[BacktestModel, ...]
    nights: tuple[NightScore, ...]
    settled: SettledError | None
    distribution: DistributionScore | None
    notes: tuple[str, ...] = ()


@dataclass
class _Curves:
    """Of each prediction the probabilities that the stay has ended by `AT_DAYS`, the model's and the baseline's."""

    keys: list[pd.DataFrame] = field(default_factory=list)
    model: list[np.ndarray] = field(default_factory=list)
    baseline: list[np.ndarray] = field(default_factory=list)


def rolling_backtest(
    workspace: Workspace,
    start: date,
    end: date,
    every_days: int,
    config: Config,
    on_night: Callable[[int, int], None] | None = None,
    on_epoch: Progress | None = None,
) -> RollingBacktest:
    """Run the nights from `start` to `end` anew, with a training every so many days from `start` on, and judge them by
    what the newest date of the lake knows. What an earlier backtest of the same dates left is replaced.

    `on_night(done, nights)` is called after each night, `on_epoch` as in `train_night`. Raises MedlstmError where the
    lake has no date up to `start`, or `start` is after `end`.
    """
    dates = partition_dates(workspace.admitted("stays"))
    if start > end:
        raise MedlstmError(f"a backtest from {start} to {end} has no night; give a --start that is not after --end")
    if not dates or dates[0] > start:
        first = f"its first date is {dates[0]}" if dates else "it has none: run `medlstm ingest` and `medlstm validate`"
        raise MedlstmError(f"the lake holds no stays of a date up to {start}; {first}")
    outputs = workspace.root / "backtests" / f"{start.isoformat()}_{end.isoformat()}"
    place, settings = BacktestWorkspace(workspace.root, outputs), _of_backtest(config, every_days)
    nights = [start + timedelta(days=offset) for offset in range((end - start).days + 1)]
    curves, notes = _Curves(), []
    with backtest_lock(workspace, outputs.name):
        shutil.rmtree(outputs, ignore_errors=True)
        outputs.mkdir(parents=True)
        for done, night in enumerate(nights, start=1):
            notes += _run_night(place, night, settings, curves, on_epoch)
            if on_night:
                on_night(done, len(nights))
        return _judged(place, (start, end), every_days, max(dates[-1], end), settings, curves, notes)


def _of_backtest(config: Config, every_days: int) -> Config:
    """Reasons are most of a night's scoring, and change no prediction."""
    training = config.training.model_copy(update={"retrain_every_days": every_days})
    scoring = config.scoring.model_copy(update={"top_reasons": 0})
    return config.model_copy(update={"training": training, "scoring": scoring})


def _run_night(
    place: BacktestWorkspace, night: date, config: Config, curves: _Curves, on_epoch: Progress | None
) -> list[str]:
    """Sequences, a training if one is due, predictions and their curves; the sequences go with the night."""
    every_days = config.training.retrain_every_days
    due, notes = training_due(place, night, every_days), []
    build_sequences(place, night, config, night_scope(place, night, every_days))
    if due:
        trained = train_night(place, night, config, on_epoch)
        if trained.version is None:
            notes.append(f"{night}: not trained: {trained.note}")
    record = champion(place, night)
    if record is not None:
        score_night(place, night, config)
        _note_curves(place, record, night, config, curves)
    shutil.rmtree(place.sequences(night))
    return notes


def _note_curves(
    place: BacktestWorkspace, record: ModelRecord, night: date, config: Config, curves: _Curves
) -> None:
    sequences = load_sequences(place.sequences(night))
    sequences = sequences.select(sequences.stays["is_open"].to_numpy(dtype=bool))
    if not len(sequences) or record.baseline is None:
        return
    said = predict_open(place, record, sequences, config)
    usual = record.baseline.remaining(sequences.stays, said.elapsed_days)
    curves.keys.append(pd.DataFrame({"stay_id": sequences.stays["stay_id"], "as_of": night}))
    since = said.since
    curves.model.append(np.stack([
        since.days <= day if since.remaining is None else since.remaining.ended_within(day) for day in AT_DAYS
    ], axis=1).astype(np.float64))  # fmt: skip
    curves.baseline.append(np.stack([usual.ended_within(day) for day in AT_DAYS], axis=1))


def _judged(
    place: BacktestWorkspace,
    span: tuple[date, date],
    every_days: int,
    known_as_of: date,
    config: Config,
    curves: _Curves,
    notes: list[str],
) -> RollingBacktest:
    records = load_records(place, span[1])
    promised = {record.version: record.promised_mae_days for record in records}
    cohort = load_cohort(place, known_as_of, config)
    judged = judged_predictions(place, partition_dates(place.predictions), cohort, promised, config)
    nights = score_nights(judged) if len(judged) else ()
    return RollingBacktest(
        start=span[0],
        end=span[1],
        every_days=every_days,
        known_as_of=known_as_of,
        folder=str(place.outputs),
        models=tuple(_model(record) for record in records),
        nights=tuple(_without_few(night, config.report.min_group_size) for night in nights),
        settled=settled_error(judged, nights) if nights else None,
        distribution=_distribution(judged, curves) if nights and curves.keys else None,
        notes=tuple(notes),
    )


def _without_few(night: NightScore, smallest: int) -> NightScore:
    """The mean error of a few stays is close to a single patient's."""
    if night.predictions >= smallest:
        return night
    return replace(night, mae_days=None, baseline_mae_days=None, coverage=None)


def _model(record: ModelRecord) -> BacktestModel:
    return BacktestModel(
        record.version, record.trained_as_of, record.promoted, record.training_stays, record.promised_mae_days,
        record.note,
    )  # fmt: skip


def _distribution(judged: pd.DataFrame, curves: _Curves) -> DistributionScore:
    """The scores of all predictions; days that nobody was followed up beyond are left out."""
    keys = pd.concat(curves.keys, ignore_index=True)
    place = pd.MultiIndex.from_frame(keys).get_indexer(pd.MultiIndex.from_frame(judged[["stay_id", "as_of"]]))
    rows = judged[place >= 0].reset_index(drop=True)
    place = place[place >= 0]
    follow_up = follow_up_of(rows)
    told = np.array([follow_up.is_told(day) for day in AT_DAYS])
    model, baseline = (np.concatenate(one)[place][:, told] for one in (curves.model, curves.baseline))
    return score_distributions(rows, model, baseline, AT_DAYS[told])

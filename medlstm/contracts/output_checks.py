"""Contracts of what the night itself makes: the sequences that go into training, and the predictions."""

from collections import Counter
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from medlstm.contracts.results import ContractReport, RuleOutcome, stop_if_told
from medlstm.contracts.suites import Suite, applicable, failing_rows, load_suite
from medlstm.errors import ConfigError
from medlstm.lake.files import Workspace, read_json
from medlstm.lake.schemas import SEQUENCES_MANIFEST
from medlstm.settings.workspace import Config


def check_predictions(predictions: pa.Table, as_of: date, config: Config, workspace_root: Path) -> ContractReport:
    """Hold a night's predictions against the suite `predictions`, before they are written.

    Raises ContractStopped for a rule with the action stop. Predictions are never quarantined: each open stay has one.
    """
    suite = load_suite("predictions", config, workspace_root)
    named = sorted({column for one in suite.expectations for column in one.columns} & set(predictions.column_names))
    # A column that no head fills is as good as absent.
    filled = [name for name in named if predictions.column(name).null_count < predictions.num_rows or not predictions]
    report = _checked("predictions", predictions.select(filled).to_pandas(), suite)
    stop_if_told(report, as_of)
    return report


def check_sequences(workspace: Workspace, as_of: date, config: Config) -> ContractReport:
    """Hold the sequences of `as_of`, one row a stay, against the suite `sequences`, before a training uses them.

    Beside the static frame's columns there are `observed_steps` and `last_step` (from 0, missing without
    observations). Raises ContractStopped for a rule with the action stop.
    """
    suite = load_suite("sequences", config, workspace.root)
    folder = workspace.sequences(as_of)
    shards = sorted(read_json(folder / SEQUENCES_MANIFEST)["shards"])
    frame = pd.concat([_stays(folder, shard) for shard in shards], ignore_index=True)
    report = _checked("sequences", frame, suite)
    stop_if_told(report, as_of)
    return report


def _stays(folder: Path, shard: str) -> pd.DataFrame:
    stays = pq.ParquetFile(folder / f"stays-{shard}.parquet").read().to_pandas()
    observed, last = Counter[str](), dict[str, int]()
    with pq.ParquetFile(folder / f"steps-{shard}.parquet", read_dictionary=["stay_id"]) as file:
        for batch in file.iter_batches(columns=["stay_id", "step"]):
            ids, codes = batch.column(0).dictionary.to_pylist(), batch.column(0).indices.to_numpy()
            counts = np.bincount(codes, minlength=len(ids))
            highest = np.full(len(ids), -1)
            np.maximum.at(highest, codes, batch.column(1).to_numpy())
            for name, count, step in zip(ids, counts.tolist(), highest.tolist(), strict=True):
                observed[name] += count
                last[name] = max(last.get(name, -1), step)
    names = stays["stay_id"]
    return stays.assign(
        observed_steps=[observed[name] for name in names],
        last_step=pd.Series([last.get(name) for name in names], dtype="float64"),
    )


def _checked(table: str, frame: pd.DataFrame, suite: Suite) -> ContractReport:
    expectations = applicable(suite, frame)
    for one in expectations:
        if one.meta.action not in ("stop", "warn"):
            raise ConfigError(f"suite {table}: rule {one.meta.rule}: rows that the night made are neither quarantined "
                              "nor changed; its action must be stop or warn")  # fmt: skip
    named = sorted({column for one in expectations for column in one.columns})
    failing = failing_rows(frame[named], expectations)
    rules = tuple(
        RuleOutcome(one.meta.rule, one.meta.action, int(rows.sum()), one.meta.description)
        for one, rows in zip(expectations, failing, strict=True)
    )
    return ContractReport(table, len(frame), len(frame), 0, 0, rules)

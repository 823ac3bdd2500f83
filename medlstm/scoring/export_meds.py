"""Predictions as MEDS 0.4 labels, for programs that evaluate them against a MEDS dataset."""

import hashlib
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa

from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace, partition_dates, partition_file, read_table, write_table
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import Config

# The standard's label schema (meds.LabelSchema): a subject, a time, and one value that is never null.
LABEL_SCHEMA = pa.schema(
    [
        pa.field("subject_id", pa.int64(), nullable=False),
        pa.field("prediction_time", pa.timestamp("us"), nullable=False),
        pa.field("float_value", pa.float32(), nullable=False),
    ]
)
TARGETS = (
    "remaining_los_days", "remaining_los_days_lower", "remaining_los_days_upper", "p_discharge_24h", "p_discharge_48h",
    "p_discharge_72h", "mortality_risk",
)  # fmt: skip
_INTEGER = re.compile(r"^(0|-?[1-9][0-9]{0,17})$")


@dataclass(frozen=True)
class ExportSummary:
    """What was written: rows by file, relative to the folder."""

    as_of: date
    rows: dict[str, int]


def export_meds(workspace: Workspace, as_of: date, config: Config, folder: Path) -> ExportSummary:
    """Write the predictions of `as_of` below `folder`, replacing that date's files.

    `predictions/<target>/<as_of>.parquet` holds each target that was predicted; `labels/remaining_los_days/…` what
    came true, for the stays that are known by now to have ended. Where patients' identifiers are no integers,
    `subjects/<as_of>.parquet` tells which subject_id stands for which. Raises MedlstmError when that night has no
    predictions.
    """
    if as_of not in partition_dates(workspace.predictions):
        raise MedlstmError(f"{as_of}: no predictions; `medlstm nightly --as-of {as_of}` makes them")
    table = read_table(partition_file(workspace.predictions, as_of, key="as_of"))
    newest = max(partition_dates(workspace.admitted("stays")))
    patients = _by_stay(load_cohort(workspace, as_of, config).frame)
    stays = table.column("stay_id").to_pylist()
    unknown = [stay for stay in stays if stay not in patients.index]
    if unknown:
        raise MedlstmError(f"{as_of}: {len(unknown)} predictions are of stays that the lake does not know; score again")
    predictions = table.to_pandas()
    subjects, hashed = subject_ids(patients["patient_id"].reindex(stays))
    # Without a zone, as MEDS has times: the workspace's local time.
    time = config.cutoff_instant(as_of).replace(tzinfo=None)
    written: dict[str, int] = {}
    for target in TARGETS:
        if target in predictions and predictions[target].notna().any():
            labels = _labels(subjects, time, predictions[target].to_numpy())
            written |= _write(labels, folder, f"predictions/{target}/{as_of}.parquet")
    later = _by_stay(load_cohort(workspace, max(newest, as_of), config).frame).reindex(stays)
    ended = later["end_at"].where(~later["is_open"].astype("boolean").fillna(True))
    cutoff = pd.Timestamp(config.cutoff_instant(as_of)).tz_convert("UTC")
    remaining = (ended - cutoff).dt.total_seconds() / 86400
    labels = _labels(subjects, time, remaining.to_numpy())
    written |= _write(labels, folder, f"labels/remaining_los_days/{as_of}.parquet")
    if hashed:
        pairs = dict(zip(subjects, patients["patient_id"].reindex(stays), strict=True))
        table = pa.table({"subject_id": sorted(pairs), "patient_id": [pairs[key] for key in sorted(pairs)]})
        written |= _write(table, folder, f"subjects/{as_of}.parquet")
    return ExportSummary(as_of, written)


def subject_ids(patient_ids: pd.Series) -> tuple[list[int], bool]:
    """64-bit identifiers [n], and whether they had to be made: whole numbers stay as they are; if any is something
    else, all are the first 63 bits of their SHA-256."""
    texts = patient_ids.astype("str").tolist()
    if all(_INTEGER.match(text) for text in texts):
        return [int(text) for text in texts], False
    return [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1 for text in texts], True


def _by_stay(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.set_index("stay_id")


def _labels(subjects: list[int], time: datetime, values: object) -> pa.Table:
    """Sorted by subject; rows without a value are left out."""
    rows = pa.table(
        {
            "subject_id": pa.array(subjects, pa.int64()),
            "prediction_time": pa.array([time] * len(subjects), pa.timestamp("us")),
            "float_value": pa.array(values, pa.float64(), from_pandas=True).cast(pa.float32()),
        }
    )
    return rows.drop_null().sort_by([("subject_id", "ascending"), ("float_value", "ascending")]).cast(LABEL_SCHEMA)


def _write(table: pa.Table, folder: Path, name: str) -> dict[str, int]:
    """Raises MedlstmError when the file does not hold the very rows that were to be exported."""
    write_table(table, folder / name)
    if not read_table(folder / name).equals(table):
        raise MedlstmError(f"{folder / name}: does not read back as it was written; export again to another folder")
    return {name: table.num_rows}

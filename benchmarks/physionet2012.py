"""PhysioNet/CinC Challenge 2012 sets as stay sequences: 48 hourly steps, with length of stay and death in hospital.

A set is `set-X.tar.gz` or a folder `set-X` of text files (Time,Parameter,Value), and `Outcomes-X.txt`.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from medlstm.sequences.stay_sequences import StaySequences

HOURS = 48
DESCRIPTORS = ("RecordID", "Age", "Gender", "Height", "ICUType")
_ADMITTED = pd.Timestamp("2012-01-01", tz="UTC").as_unit("us")


def read_sets(folder: Path, names: list[str]) -> StaySequences:
    """The stays of sets such as ["a", "b"]; a stay whose length is not known is open from hour 48 on.

    Raises ValueError naming the file that is missing.
    """
    records, statics = [], []
    for name in names:
        for text in _texts(folder, name):
            record, descriptors = _parse(text)
            records.append(record)
            statics.append(descriptors)
    outcomes = pd.concat([_outcomes(folder, name) for name in names]).set_index("RecordID")
    frame = pd.DataFrame(statics)
    found = outcomes.reindex(frame["RecordID"].astype(int))
    if found["Length_of_stay"].isna().any():
        raise ValueError(f"{folder}: a record of set {', '.join(names)} has no line in Outcomes")
    days = found["Length_of_stay"].to_numpy(dtype=np.float64)
    stays = pd.DataFrame(
        {
            "stay_id": frame["RecordID"].astype(int).astype(str),
            "patient_id": frame["RecordID"].astype(int).astype(str),
            "admitted_at": _ADMITTED,
            "duration_hours": np.maximum(days * 24, HOURS),
            "is_open": days < 0,
            "died": found["In-hospital_death"].to_numpy() == 1,
            "los_days": np.where(days < 0, np.nan, days),
            "age": _known(frame["Age"]),
            "height": _known(frame["Height"]),
            "gender": frame["Gender"].map({0: "female", 1: "male"}),
            "icu_type": "icu" + frame["ICUType"].astype(int).astype(str),
        }
    )
    return _sequences(stays, records)


def _texts(folder: Path, name: str) -> Iterator[str]:
    archive, extracted = folder / f"set-{name}.tar.gz", folder / f"set-{name}"
    if extracted.is_dir():
        for path in sorted(extracted.glob("*.txt")):
            yield path.read_text(encoding="ascii")
    elif archive.is_file():
        with tarfile.open(archive) as tar:
            for member in sorted((one for one in tar if one.name.endswith(".txt")), key=lambda one: one.name):
                handle = tar.extractfile(member)
                assert handle is not None
                yield handle.read().decode("ascii")
    else:
        raise ValueError(f"{archive}: no such file, and no folder {extracted.name} beside it")


def _outcomes(folder: Path, name: str) -> pd.DataFrame:
    path = folder / f"Outcomes-{name}.txt"
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    return pd.read_csv(path, usecols=["RecordID", "Length_of_stay", "In-hospital_death"])


def _parse(text: str) -> tuple[list[tuple[int, str, float]], dict[str, float]]:
    """Measurements (minute, parameter, value) in the file's order, and the descriptors; -1 stands for unknown."""
    measured, descriptors = [], {}
    for line in text.splitlines()[1:]:
        clock, parameter, value = line.split(",")
        minute = int(clock[:-3]) * 60 + int(clock[-2:])
        if minute == 0 and parameter in DESCRIPTORS:
            descriptors[parameter] = float(value)
        elif parameter and float(value) >= 0:
            measured.append((minute, parameter, float(value)))
    return measured, descriptors


def _known(column: pd.Series) -> pd.Series:
    return column.where(column >= 0)


def _sequences(stays: pd.DataFrame, records: list[list[tuple[int, str, float]]]) -> StaySequences:
    """The last value per stay, hour and parameter."""
    counts = np.array([len(record) for record in records])
    rows = [row for record in records for row in record]
    minute = np.array([row[0] for row in rows])
    parameters, parameter = np.unique([row[1] for row in rows], return_inverse=True)
    stay, step = np.repeat(np.arange(len(records)), counts), minute // 60
    inside = step < HOURS
    order = np.lexsort((np.arange(len(rows)), minute, stay))
    order = order[inside[order]]
    cells, cell = np.unique(stay[order] * HOURS + step[order], return_inverse=True)
    values = np.full((len(cells), len(parameters)), np.nan, dtype=np.float32)
    # Later assignments win, and rows are in the order of time.
    values[cell, parameter[order]] = np.array([row[2] for row in rows], dtype=np.float32)[order]
    return StaySequences(
        stays=stays,
        variables=tuple(str(name) for name in parameters),
        bin_hours=1,
        single_step=False,
        steps=np.full(len(stays), HOURS),
        first_bin=np.zeros(len(stays), dtype=np.int64),
        stay=cells // HOURS,
        step=cells % HOURS,
        values=values,
    )

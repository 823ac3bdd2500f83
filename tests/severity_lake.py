"""A lake whose stays have a variable that says what remains, and the settings of a small model for it."""

from datetime import date, datetime, timedelta

import numpy as np
import pyarrow as pa

from medlstm.lake import schemas as tables
from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.settings.workspace import parse_config

START = date(2026, 1, 1)
LAST = START + timedelta(days=29)


def severity_config(**sections):
    base = {
        "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
        "features": {"numeric": ["age"], "categorical": ["ward"]},
        "sequences": {"bin_hours": 6, "shards": 2},
        "model": {"name": "lstm", "members": 1, "hidden_units": 16, "layers": 1, "dropout": 0.0, "sharpness": 1.0},
        "training": {"min_stays": 20, "max_epochs": 12, "learning_rate": 0.01, "batch_size": 32},
    }
    return parse_config({name: section | sections.get(name, {}) for name, section in base.items()}, {}, "test")


def severity_lake(root, stays=400):
    """A lake in which the variable `severity` says at each moment how many days remain, with some noise."""
    generator = np.random.default_rng(3)
    place = Workspace(root)
    stay_rows, observation_rows = {}, {}
    for index in range(stays):
        admitted = datetime.combine(START, datetime.min.time()) + timedelta(hours=int(generator.integers(0, 28 * 24)))
        hours = float(generator.lognormal(4.2, 0.6))
        discharged = admitted + timedelta(hours=hours)
        age, ward = float(generator.normal(60, 10)), ("a", "b")[index % 2]
        known = [(admitted.date(), None)]
        if discharged.date() <= LAST:
            known.append((discharged.date(), discharged))
        for day, end in known:
            stay_rows.setdefault(day, []).append((f"s{index}", f"p{index}", admitted, end, None, age, ward))
        for hour in range(0, int(hours), 8):
            at = admitted + timedelta(hours=hour)
            if at.date() <= LAST:
                left = (hours - hour) / 24 + generator.normal(0, 0.3)
                observation_rows.setdefault(at.date(), []).append((f"s{index}", at, "severity", left))
    write_days(place, "stays", stay_rows, tables.stays_schema(["age"], ["ward"]))
    write_days(place, "observations", observation_rows, tables.OBSERVATIONS_SCHEMA)
    return place


def write_days(place, table, by_day, schema):
    for day, rows in by_day.items():
        records = [
            dict(zip(schema.names, (*row, day, "file", index), strict=True)) for index, row in enumerate(rows)
        ]
        write_table(pa.Table.from_pylist(records, schema=schema), partition_file(place.admitted(table), day))

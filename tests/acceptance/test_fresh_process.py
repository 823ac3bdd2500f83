"""What a process that has just begun does, beside what the one that trained has in memory."""

import subprocess
import sys
from datetime import date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from medlstm.lake import schemas as tables
from medlstm.lake.files import Workspace, partition_file, read_table, write_table
from medlstm.models.predict import predict
from medlstm.registry.versions import save_model
from medlstm.sequences.batches import arrange
from medlstm.sequences.build import build_sequences
from medlstm.sequences.nightly_points import last_points
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import load_config
from medlstm.training.fit_and_evaluate import train_model

ROOT = Path(__file__).resolve().parents[2]
NIGHT = date(2026, 3, 1)


def test_the_core_imports_neither_prefect_nor_dask():
    names = [
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")
        for path in sorted((ROOT / "medlstm").rglob("*.py"))
    ]
    program = f"import importlib, sys; [importlib.import_module(name) for name in {names!r}]"
    program += "; print([name for name in ('prefect', 'dask', 'distributed') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def _hospital(place):
    """Stays whose severity tells what remains, over a month, with two categories out of order."""
    generator = np.random.default_rng(4)
    rows = {"stays": {}, "observations": {}}
    for index in range(320):
        admitted = datetime(2026, 2, 1) + timedelta(hours=int(generator.integers(0, 28 * 24)))
        hours = float(generator.lognormal(4.2, 0.6))
        discharged = admitted + timedelta(hours=hours)
        statics = (float(generator.normal(60, 10)), ("b", "a")[index % 2], ("m", "f", "d")[index % 3])
        for day, end in ((admitted.date(), None), (discharged.date(), discharged)):
            if day <= NIGHT:
                rows["stays"].setdefault(day, []).append((f"s{index}", f"p{index}", admitted, end, None, *statics))
        for hour in range(0, int(hours), 8):
            at = admitted + timedelta(hours=hour)
            if at.date() <= NIGHT:
                left = (hours - hour) / 24 + generator.normal(0, 0.3)
                rows["observations"].setdefault(at.date(), []).append((f"s{index}", at, "severity", left))
    schemas = {"stays": tables.stays_schema(["age"], ["ward", "gender"]), "observations": tables.OBSERVATIONS_SCHEMA}
    for table, by_day in rows.items():
        names = schemas[table].names
        for day, some in by_day.items():
            records = [dict(zip(names, (*row, day, "f", at), strict=True)) for at, row in enumerate(some)]
            content = pa.Table.from_pylist(records, schema=schemas[table])
            write_table(content, partition_file(place.admitted(table), day))


TOML = """
[source]
format = "csv"
[[source.files]]
pattern = "*"
table = "stays"
[features]
numeric = ["age"]
categorical = ["ward", "gender"]
[sequences]
bin_hours = 6
[model]
name = "{name}"
members = 2
hidden_units = 8
[training]
min_stays = 20
max_epochs = 3
[scoring]
group_column = "ward"
"""
SCORE = """
import sys
from datetime import date
from pathlib import Path
from medlstm.settings.workspace import load_config
from medlstm.lake.files import Workspace
from medlstm.scoring.score_night import score_night
place = Workspace(Path(sys.argv[1]))
score_night(place, date.fromisoformat(sys.argv[2]), load_config(place.root))
"""


@pytest.mark.parametrize("name", ["blend", "lstm"])
def test_a_night_scored_in_a_fresh_process_says_what_the_model_in_memory_says(tmp_path, name):
    (tmp_path / "medlstm.toml").write_text(TOML.format(name=name), encoding="utf-8")
    place, config = Workspace(tmp_path), load_config(tmp_path)
    _hospital(place)
    build_sequences(place, NIGHT, config, "all")
    sequences = load_sequences(place.sequences(NIGHT))
    model = train_model(sequences, config, config.cutoff_instant(NIGHT))
    save_model(place, model, NIGHT, promoted=True, note="")
    subprocess.run([sys.executable, "-c", SCORE, str(tmp_path), NIGHT.isoformat()], check=True)
    stored = read_table(partition_file(place.predictions, NIGHT, key="as_of")).to_pandas()
    still_in = sequences.select(sequences.stays["is_open"].to_numpy(dtype=bool))
    said = predict(
        model.fitted.network, arrange(still_in, model.fitted.spec), last_points(still_in), torch.device("cpu")
    )
    order = np.argsort(still_in.stays["stay_id"].to_numpy())
    assert stored["stay_id"].tolist() == still_in.stays["stay_id"].to_numpy()[order].tolist()
    np.testing.assert_array_equal(stored["remaining_los_days"], said.days[order])
    np.testing.assert_array_equal(stored["remaining_los_days_mean"], said.mean_days()[order])
    for days in (1, 2, 3):
        np.testing.assert_array_equal(stored[f"p_discharge_{24 * days}h"], said.remaining.ended_within(days)[order])

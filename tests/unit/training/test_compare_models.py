from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace
from medlstm.report.comparison import compare_night, draw
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.workspace import parse_config
from medlstm.training.compare_models import compare_models

NIGHT = date(2026, 3, 1)
CUTOFF = datetime(2026, 3, 2, tzinfo=UTC)


@pytest.fixture(scope="module")
def config():
    return parse_config(
        {
            "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
            "sequences": {"bin_hours": 12},
            "model": {"members": 1, "hidden_units": 8, "layers": 1, "dropout": 0.0},
            "training": {"min_stays": 20, "max_epochs": 6, "learning_rate": 0.02, "batch_size": 32},
        },
        {},
        "test",
    )


@pytest.fixture(scope="module")
def sequences():
    """Stays in which `severity` tells the days that remain, with noise."""
    generator = np.random.default_rng(0)
    hours = np.clip(generator.lognormal(4.3, 0.7, 400), 24, 500)
    steps = (hours // 12).astype(int)
    stay = np.repeat(np.arange(400), steps)
    step = np.concatenate([np.arange(one) for one in steps])
    severity = np.log1p(hours[stay] - 12 * step) + generator.normal(0, 0.3, len(stay))
    frame = pd.DataFrame(
        {
            "stay_id": [f"s{index}" for index in range(400)],
            "patient_id": [f"p{index}" for index in range(400)],
            "admitted_at": pd.Timestamp("2026-01-02", tz="UTC").as_unit("us"),
            "duration_hours": hours,
            "is_open": False,
            "split": generator.choice(["train", "validation", "calibration", "test"], 400, p=[0.5, 0.15, 0.15, 0.2]),
        }
    )
    values = severity[:, None].astype(np.float32)
    return StaySequences(frame, ("severity",), 12, False, steps, np.zeros(400, dtype=int), stay, step, values)


def test_one_table_of_models_on_the_same_stays_beside_gradient_boosting(sequences, config):
    seen = []
    comparison = compare_models(
        sequences, config, NIGHT, CUTOFF, ["lstm", "median", "blend"], lambda done, total: seen.append((done, total))
    )
    by_name = {one.name: one for one in comparison.models}
    assert set(by_name) == {"gbm", "lstm", "aft", "extra_trees", "median", "blend"}
    assert seen == [(done, 6) for done in range(7)]
    assert [one.mae_days for one in comparison.models] == sorted(one.mae_days for one in comparison.models)
    assert by_name["gbm"].difference_days == by_name["gbm"].difference_upper_days == 0
    assert by_name["median"].difference_lower_days > 0
    assert by_name["median"].difference_days == pytest.approx(by_name["median"].mae_days - by_name["gbm"].mae_days)
    assert by_name["lstm"].mae_days < 0.7 * by_name["median"].mae_days
    assert by_name["lstm"].r2 > 0.3 > by_name["median"].r2
    assert by_name["blend"].seconds_train >= by_name["lstm"].seconds_train
    assert comparison.test_stays <= (sequences.stays["split"] == "test").sum()
    assert draw(comparison).startswith(b"<?xml")
    assert draw(comparison) == draw(comparison)


def test_unknown_names_and_missing_sequences_are_refused(sequences, config, tmp_path):
    with pytest.raises(MedlstmError, match=r"lsmt: known are"):
        compare_models(sequences, config, NIGHT, CUTOFF, ["lsmt"])
    with pytest.raises(MedlstmError, match="medlstm preprocess"):
        compare_night(Workspace(tmp_path), NIGHT, config)

import numpy as np
import pandas as pd
import pytest

from medlstm.sequences.batches import NightlyPoints
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.workspace import parse_config
from medlstm.training.input_statistics import fit_spec
from medlstm.training.sizes import Sizes

_COUNT = 200


def _spec(deaths, mortality=None):
    """Of stays of which so many are known to have ended in death."""
    stays = pd.DataFrame(
        {
            "stay_id": [f"s{index}" for index in range(_COUNT)],
            "patient_id": [f"p{index}" for index in range(_COUNT)],
            "admitted_at": pd.Timestamp("2026-01-01", tz="UTC").as_unit("us"),
            "duration_hours": np.linspace(30, 300, _COUNT),
            "is_open": False,
            "died": np.arange(_COUNT) < deaths,
        }
    )
    sequences = StaySequences(
        stays=stays, variables=("hr",), bin_hours=24, single_step=False, steps=np.ones(_COUNT, dtype=np.int64),
        first_bin=np.zeros(_COUNT, dtype=np.int64), stay=np.arange(_COUNT), step=np.zeros(_COUNT, dtype=np.int64),
        values=np.ones((_COUNT, 1), dtype=np.float32),
    )  # fmt: skip
    model = {} if mortality is None else {"model": {"mortality": mortality}}
    config = parse_config({"source": {"format": "physionet2012"}, **model}, {}, "test")
    first = np.zeros(_COUNT, dtype=np.int64)
    points = NightlyPoints(np.arange(_COUNT), first, stays["duration_hours"].to_numpy() / 24 - 1)
    return fit_spec(sequences, points, config, Sizes(1, 8, 1, 100))


@pytest.mark.parametrize(
    ("deaths", "mortality", "learnt"),
    [(20, None, True), (19, None, False), (_COUNT - 19, None, False), (50, False, False), (50, True, True)],
)
def test_death_and_discharge_are_two_ends_where_the_risk_of_dying_is_learnt(deaths, mortality, learnt):
    spec = _spec(deaths, mortality)
    assert (spec.mortality, spec.two_ends) == (learnt, learnt)

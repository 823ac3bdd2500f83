"""What a workspace of a layout's template has admitted, in the words in which the truth is told."""

from datetime import date, datetime
from pathlib import Path

import pytest

from medlstm.settings.workspace import Config
from tests.unit.night import admitted


def moment(at: datetime | None) -> str | None:
    return at.strftime("%Y-%m-%dT%H:%M") if at else None


def admitted_stays(root: Path, day: date, config: Config) -> dict[str, tuple]:
    """stay: patient, admission, discharge, died, then the features in the order of the settings."""
    features = (*config.features.numeric, *config.features.categorical)
    rows = admitted(root, "stays", day)
    assert len({row["stay_id"] for row in rows}) == len(rows)
    return {
        row["stay_id"]: (row["patient_id"], moment(row["admitted_at"]), moment(row["discharged_at"]), row["died"],
                         *(row[name] for name in features))
        for row in rows
    }  # fmt: skip


def require_observations(root: Path, day: date, expected: dict[tuple[str, str, str], float]) -> None:
    """All of the truth and nothing else."""
    rows = admitted(root, "observations", day)
    found = {(row["stay_id"], moment(row["observed_at"]), row["variable"]): row["value"] for row in rows}
    assert len(found) == len(rows)
    assert found == pytest.approx(expected)

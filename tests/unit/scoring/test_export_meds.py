import json
from datetime import date, datetime

import meds
import pandas as pd
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from flows.command_line.app import app
from medlstm.errors import MedlstmError
from medlstm.lake.files import Workspace, partition_file, read_table, write_table
from medlstm.lake.schemas import PREDICTIONS_SCHEMA
from medlstm.scoring.export_meds import export_meds, subject_ids
from medlstm.settings.workspace import load_config
from tests.unit.night import take_in_and_validate

NIGHT, LATER = date(2026, 3, 28), date(2026, 3, 30)
TOML = """[workspace]
timezone = "Europe/Berlin"
[source]
format = "csv"
[[source.files]]
pattern = "stays*"
table = "stays"
"""
HEADER = "stay_id,patient_id,admitted_at,discharged_at\n"


@pytest.fixture
def workspace(tmp_path):
    """Two open stays on the first night, of which one has ended on the later date."""
    (tmp_path / "medlstm.toml").write_text(TOML)
    rows = {NIGHT: "a,7,2026-03-27T10:00,\nb,9,2026-03-28T10:00,\n", LATER: "a,7,2026-03-27T10:00,2026-03-30T12:00\n"}
    for day, text in rows.items():
        folder = tmp_path / "landing" / day.isoformat()
        folder.mkdir(parents=True)
        (folder / "stays.csv").write_text(HEADER + text)
        take_in_and_validate(tmp_path, day, load_config(tmp_path))
    columns = {name: [None, None] for name in PREDICTIONS_SCHEMA.names} | {
        "stay_id": ["a", "b"], "as_of": [NIGHT, NIGHT], "remaining_los_days": [1.5, 2.5],
        "remaining_los_days_lower": [0.5, 1.0], "remaining_los_days_upper": [4.0, None],
    }  # fmt: skip
    table = pa.table({field.name: pa.array(columns[field.name], field.type) for field in PREDICTIONS_SCHEMA})
    write_table(table, partition_file(Workspace(tmp_path).predictions, NIGHT, key="as_of"))
    return Workspace(tmp_path)


def test_predictions_and_what_came_true_satisfy_the_published_label_schema(workspace, tmp_path):
    out = tmp_path / "out"
    summary = export_meds(workspace, NIGHT, load_config(workspace.root), out)
    assert summary.rows == {
        "predictions/remaining_los_days/2026-03-28.parquet": 2,
        "predictions/remaining_los_days_lower/2026-03-28.parquet": 2,
        "predictions/remaining_los_days_upper/2026-03-28.parquet": 1,
        "labels/remaining_los_days/2026-03-28.parquet": 1,
    }
    for name in summary.rows:
        meds.LabelSchema.validate(read_table(out / name))
    rows = read_table(out / "predictions/remaining_los_days/2026-03-28.parquet").to_pylist()
    assert [(row["subject_id"], row["float_value"]) for row in rows] == [(7, 1.5), (9, 2.5)]
    assert rows[0]["prediction_time"] == datetime(2026, 3, 29)
    (label,) = read_table(out / "labels/remaining_los_days/2026-03-28.parquet").to_pylist()
    # From midnight to noon of the next day, in a night in which the clock skipped an hour.
    assert label["float_value"] == pytest.approx(35 / 24)


def test_identifiers_that_are_no_integers_get_stable_ones_and_a_table_that_tells_which(workspace, tmp_path):
    path = partition_file(workspace.admitted("stays"), NIGHT)
    stays = read_table(path)
    named = stays.set_column(stays.column_names.index("patient_id"), "patient_id", pa.array(["p-7", "p-9"]))
    write_table(named, path)
    out = tmp_path / "out"
    export_meds(workspace, NIGHT, load_config(workspace.root), out)
    subjects = read_table(out / "subjects/2026-03-28.parquet").to_pydict()
    assert sorted(subjects["patient_id"]) == ["p-7", "p-9"]
    exported = read_table(out / "predictions/remaining_los_days/2026-03-28.parquet")
    assert sorted(exported.column("subject_id").to_pylist()) == sorted(subjects["subject_id"])
    assert subject_ids(pd.Series(["p-7"]))[0] == subject_ids(pd.Series(["p-9", "p-7"]))[0][1:]


@pytest.mark.parametrize("text", ["007", "1.0", " 7", "99999999999999999999", "", "-0"])
def test_only_texts_that_an_integer_gives_back_count_as_integers(text):
    assert subject_ids(pd.Series([text]))[1]


def test_a_night_without_predictions_is_refused_and_the_command_tells_the_counts(workspace, tmp_path):
    with pytest.raises(MedlstmError, match="2026-03-30: no predictions"):
        export_meds(workspace, LATER, load_config(workspace.root), tmp_path / "out")
    arguments = ["export", "meds", str(tmp_path / "out"), "--as-of", "2026-03-28", "--workspace", str(workspace.root)]
    result = CliRunner().invoke(app, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["rows"]["predictions/remaining_los_days/2026-03-28.parquet"] == 2


def test_an_export_that_does_not_read_back_as_written_is_refused(workspace, tmp_path, monkeypatch):
    def half(table, path):
        write_table(table.slice(1), path)

    monkeypatch.setattr("medlstm.scoring.export_meds.write_table", half)
    with pytest.raises(MedlstmError, match="does not read back as it was written"):
        export_meds(workspace, NIGHT, load_config(workspace.root), tmp_path / "out")

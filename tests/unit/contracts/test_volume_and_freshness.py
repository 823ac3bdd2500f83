"""A feed that is silent, or far smaller than usual, is a warning or a stop, as configured."""

from datetime import date, timedelta

import pyarrow as pa
import pytest

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.errors import ContractStopped
from medlstm.lake.files import Workspace, partition_file, write_table
from medlstm.lake.schemas import raw_schema
from medlstm.settings.workspace import parse_config

DAYS = [date(2026, 3, day) for day in range(1, 7)]


def _config(**contracts):
    source = {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]}
    return parse_config({"source": source, "contracts": contracts}, {}, "test")


def _land(root, day, rows, hours_before_end=2):
    end = f"{day - timedelta(days=int(hours_before_end // 24))}T{23 - int(hours_before_end % 24):02}"
    records = [
        {"stay_id": "a", "observed_at": f"{end}:{index % 60:02}:00", "variable": f"v{index // 60}", "value": "1",
         "extract_date": day, "source_file": "f", "source_row": index + 1} for index in range(rows)
    ]  # fmt: skip
    place = Workspace(root)
    observations = raw_schema(["stay_id", "observed_at", "variable", "value"])
    write_table(pa.Table.from_pylist(records, observations), partition_file(place.raw("observations"), day))
    stays = raw_schema(["stay_id", "patient_id", "admitted_at"]).empty_table()
    write_table(stays, partition_file(place.raw("stays"), day))
    return place


def _warnings(place, day, **contracts):
    return validate_date(place, day, _config(**contracts)).warnings


def test_a_third_of_the_usual_rows_is_a_warning_or_a_stop(tmp_path):
    for day, rows in zip(DAYS, (100, 110, 90, 105, 30), strict=False):
        place = _land(tmp_path, day, rows)
    assert _warnings(place, DAYS[3]) == ()
    assert _warnings(place, DAYS[4]) == ("2026-03-05: observations has 30 rows, usual are 102",)
    assert _warnings(place, DAYS[4], min_volume_share=0.2) == ()
    assert _warnings(place, DAYS[4], volume_action="off") == ()
    with pytest.raises(ContractStopped, match="usual are 102; nothing of the date was admitted"):
        _warnings(place, DAYS[4], volume_action="stop")


def test_with_too_few_dates_before_nothing_is_usual_and_later_dates_do_not_count(tmp_path):
    for day, rows in zip(DAYS, (100, 1, 100, 100, 100), strict=False):
        place = _land(tmp_path, day, rows)
    assert _warnings(place, DAYS[1]) == ()


def test_a_feed_whose_newest_row_is_old_is_silent(tmp_path):
    place = _land(tmp_path, DAYS[0], 50, hours_before_end=50)
    assert _warnings(place, DAYS[0]) == (
        "2026-03-01: the newest of the observations is 50 hours older than the end of the date",
    )
    assert _warnings(place, DAYS[0], max_silence_hours=60) == ()
    with pytest.raises(ContractStopped, match="50 hours older"):
        _warnings(place, DAYS[0], freshness_action="stop")

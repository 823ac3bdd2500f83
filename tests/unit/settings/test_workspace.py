from datetime import UTC, date, datetime

import pytest

from medlstm.errors import ConfigError
from medlstm.settings.workspace import load_config, parse_config, parse_date

SOURCE = {"format": "csv", "files": [{"pattern": "*.csv", "table": "stays"}]}


def test_unknown_key_is_named_with_the_known_ones():
    with pytest.raises(ConfigError, match=r"training\.max_epoch = 3.*known keys here.*max_epochs"):
        parse_config({"source": SOURCE, "training": {"max_epoch": 3}}, {}, "medlstm.toml")


def test_value_out_of_range_names_key_value_and_bound():
    with pytest.raises(ConfigError, match=r"sequences\.max_hours = 0: .*greater than or equal to 1"):
        parse_config({"source": SOURCE, "sequences": {"max_hours": 0}}, {}, "medlstm.toml")


def test_unknown_time_unit_is_refused():
    source = {"format": "csv", "files": [{"pattern": "*", "table": "observations", "time_unit": "weeks"}]}
    with pytest.raises(ConfigError, match=r"'weeks'.*'minutes', 'hours' or 'days'"):
        parse_config({"source": source}, {}, "medlstm.toml")


@pytest.mark.parametrize(
    ("features", "message"),
    [
        ({"categorical": ["unit"]}, r"^medlstm\.toml: .*scoring\.group_column = 'ward' names no feature .*unit\)"),
        ({}, r"names no feature .*have: none\)"),
        ({"categorical": ["ward", "ward"]}, r"^medlstm\.toml: .*ward is listed twice"),
        ({"numeric": ["ward"], "categorical": ["ward"]}, r"ward is listed twice"),
        ({"categorical": ["ward"], "known_from": {"dx": "discharge"}}, r"known_from has 'dx', which names no feature"),
    ],
)
def test_a_name_that_fits_no_other_is_refused_before_anything_runs(features, message):
    raw = {"source": SOURCE, "features": features, "scoring": {"group_column": "ward"}}
    with pytest.raises(ConfigError, match=message) as refused:
        parse_config(raw, {}, "medlstm.toml")
    assert "*.csv" not in str(refused.value)


def test_unknown_timezone_is_refused():
    with pytest.raises(ConfigError, match=r"workspace\.timezone = 'Mars/Base'"):
        parse_config({"source": SOURCE, "workspace": {"timezone": "Mars/Base"}}, {}, "medlstm.toml")


@pytest.mark.parametrize(
    ("execution", "message"),
    [
        ({"task_runner": "dask"}, r"execution = .*needs dask_address = \"tcp://HOST:PORT\""),
        ({"task_runner": "dask", "dask_address": "scheduler:8786"}, r"execution\.dask_address = 'scheduler:8786'"),
        ({"task_runner": "ray"}, r"execution\.task_runner = 'ray': .*'local' or 'dask'"),
    ],
)
def test_execution_on_dask_needs_the_address_of_a_scheduler(execution, message):
    with pytest.raises(ConfigError, match=message):
        parse_config({"source": SOURCE, "execution": execution}, {}, "medlstm.toml")
    config = parse_config({"source": SOURCE, "execution": {"dask_address": "tcp://node-1:8786"}}, {}, "medlstm.toml")
    assert config.execution.task_runner == "local"


def test_environment_overrides_the_file():
    config = parse_config({"source": SOURCE}, {"MEDLSTM_TRAINING__MAX_EPOCHS": "3"}, "medlstm.toml")
    assert config.training.max_epochs == 3


def test_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(ConfigError, match="medlstm init"):
        load_config(tmp_path)


def test_cutoff_is_the_end_of_the_day_in_the_workspace_time_zone():
    config = parse_config({"source": SOURCE, "workspace": {"timezone": "Europe/Berlin"}}, {}, "medlstm.toml")
    assert config.cutoff_instant(date(2026, 11, 22)) == datetime(2026, 11, 22, 23, tzinfo=UTC)


def test_date_that_does_not_exist_is_refused():
    with pytest.raises(ConfigError, match="2026-02-30"):
        parse_date("2026-02-30")

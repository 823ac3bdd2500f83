import sqlite3
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from medlstm.errors import ConfigError, LandingError
from medlstm.lake.files import Workspace
from medlstm.settings.workspace import parse_config
from medlstm.sources import sql
from medlstm.sources.sql import as_received, database_url, fetch, is_fetched
from tests.unit.night import admitted, quarantined, raw, take_in_and_validate

DAY = date(2026, 3, 28)
STAYS = {
    "name": "stays", "table": "stays",
    "query": "select * from cases where changed = :extract_date order by stay_id",
}  # fmt: skip
RESULTS = {
    "name": "results", "table": "observations", "unit_column": "unit",
    "query": "select case_id, taken, analyte, result, unit from results order by case_id, taken, analyte",
    "columns": {"stay_id": "case_id", "observed_at": "taken", "variable": "analyte", "value": "result"},
}  # fmt: skip


def _config(*tables, **address):
    settings = {"format": "sql", "tables": list(tables or (STAYS, RESULTS))} | (address or {"url": "sqlite://"})
    limits = {"max_quarantined_share": 1.0}
    return parse_config({"source": settings, "features": {"numeric": ["age"]}, "contracts": limits}, {}, "test")


@pytest.fixture
def database(tmp_path):
    path = tmp_path / "his.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("""
            create table cases (stay_id integer, patient_id integer, admitted_at text, age real, changed text);
            insert into cases values (1, 7, '2026-03-27 10:00:00', 61.5, '2026-03-28'),
                                     (2, 8, '2026-03-27 11:00:00', null, '2026-03-28'),
                                     (3, 9, '2026-03-20 11:00:00', null, '2026-03-20');
            create table results (case_id integer, taken text, analyte text, result, unit text);
            insert into results values (1, '2026-03-27 12:00:00', 'glucose', 5.5, 'mmol/L'),
                                       (1, '2026-03-27 13:00:00', 'glucose', 99, 'mg/dL'),
                                       (2, '2026-03-27 13:00:00', 'glucose', 'haemolytic', 'mg/dL'),
                                       (2, '2026-03-27 14:00:00', 'glucose', x'0102', 'mg/dL');
        """)
    return f"sqlite:///{path}"


def _fetch(tmp_path, config):
    return fetch(Workspace(tmp_path), DAY, config.source, database_url(config.source, {}))


def test_queries_land_and_are_taken_in_by_their_mapping(tmp_path, database):
    config = _config(url=database)
    assert _fetch(tmp_path, config) == {"stays": 2, "results": 4}
    take_in_and_validate(tmp_path, DAY, config)
    assert [(row["stay_id"], row["patient_id"], row["age"]) for row in admitted(tmp_path, "stays", DAY)] == [
        ("1", "7", 61.5), ("2", "8", None),
    ]  # fmt: skip
    assert [row["value"] for row in admitted(tmp_path, "observations", DAY)] == [pytest.approx(99.0858), 99.0]
    found = quarantined(tmp_path, "observations", DAY)
    assert [(row["source_file"], row["source_row"], row["rule"]) for row in found] == [
        ("results.parquet", 3, "not_a_number"), ("results.parquet", 4, "not_a_number"),
    ]  # fmt: skip


def test_rows_are_streamed_in_chunks_and_a_night_that_is_run_again_reads_what_it_read(tmp_path, database, monkeypatch):
    monkeypatch.setattr(sql, "_CHUNK_ROWS", 1)
    config = _config(url=database)
    _fetch(tmp_path, config)
    take_in_and_validate(tmp_path, DAY, config)
    first = raw(tmp_path, "observations", DAY)
    assert len(first) == 4
    with sqlite3.connect(database.removeprefix("sqlite:///")) as connection:
        connection.execute("delete from results")
    assert is_fetched(Workspace(tmp_path), DAY, config.source)
    take_in_and_validate(tmp_path, DAY, config)
    assert raw(tmp_path, "observations", DAY) == first


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("select absent from cases order by 1", "refuses the query results .*no such column: absent"),
        ("selec order by", "refuses the query results .*syntax error"),
        ("select 1 as a, 2 as a order by 1", "the column a twice"),
        ("select * from cases where x = :y order by 1", "refuses the query results"),
    ],
)
def test_a_query_that_the_database_refuses_is_named_and_nothing_lands(tmp_path, database, query, message):
    config = _config(STAYS, RESULTS | {"query": query}, url=database)
    with pytest.raises(LandingError, match=message):
        _fetch(tmp_path, config)
    assert not is_fetched(Workspace(tmp_path), DAY, config.source)
    assert list(Workspace(tmp_path).landing(DAY).iterdir()) == []


def test_a_database_that_cannot_be_reached_may_be_tried_again_and_shows_no_address(tmp_path):
    config = _config(url=f"sqlite:///{tmp_path}/missing-folder/his.db")
    with pytest.raises(OSError, match="cannot be reached") as caught:
        _fetch(tmp_path, config)
    assert "his.db" not in str(caught.value)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ({"url": "postgresql://reader:geheim@host/his"}, "has a password; keep it in the environment"),
        ({"url": "postgresql://reader@host/his?password=geheim"}, "has a password; keep it in the environment"),
        ({"url": "sqlite://", "url_secret": "x"}, "say one of url, url_variable and url_secret"),
        ({"url_secret": "x", "password_variable": "y"}, "password_variable belongs to url"),
    ],
)
def test_an_address_with_a_password_or_none_at_all_is_refused(address, message):
    with pytest.raises(ConfigError, match=message) as caught:
        _config(**address)
    assert "geheim" not in str(caught.value)


def test_the_address_comes_from_the_environment_or_from_a_secret():
    variable = {"url_variable": "HIS"}
    named = {"url": "postgresql+psycopg://reader@host/his", "password_variable": "PW"}
    assert database_url(_config(**variable).source, {"HIS": "sqlite:///x.db"}).database == "x.db"
    assert database_url(_config(**named).source, {"PW": "geheim"}).password == "geheim"
    assert database_url(_config(url_secret="b").source, {}, "sqlite:///y.db").database == "y.db"
    for address, environment, message in (
        (variable, {}, "the environment variable HIS is not set"),
        (variable, {"HIS": "geheim"}, "the environment variable HIS is no address"),
        (named, {}, "the environment variable PW is not set"),
        ({"url_secret": "b"}, {}, "the Secret block b is not set"),
    ):
        with pytest.raises(ConfigError, match=message) as caught:
            database_url(_config(**address).source, environment)
        assert "geheim" not in str(caught.value)


def test_a_query_without_an_order_is_refused():
    with pytest.raises(ConfigError, match="needs an ORDER BY"):
        _config(STAYS | {"query": "select * from cases"})


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None), ("", None), ("a", "a"), (True, "true"), (3, "3"), (2.5, "2.5"), (Decimal("1E+2"), "100"),
        (Decimal("NaN"), "NaN"), (float("inf"), "inf"), (date(2026, 3, 28), "2026-03-28"),
        (datetime(2026, 3, 28, 1, tzinfo=UTC), "2026-03-28T01:00:00+00:00"), (time(1), "01:00:00"),
        (timedelta(minutes=90), "1.5"), (b"\x00", "1 bytes"), ({"a": 1}, "a dict"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    ],
)  # fmt: skip
def test_database_values_become_text(value, text):
    assert as_received(value) == text

"""The sql source on a real PostgreSQL server, which the tests start in a folder of their own."""

import os
import shutil
import subprocess
import tempfile
import threading
from datetime import date
from importlib import resources
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.errors import LandingError
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.settings.workspace import load_config
from medlstm.sources import sql
from medlstm.sources.sql import database_url, fetch
from tests.layouts import omop
from tests.layouts.truth import admitted_stays, require_observations

DAY = date(2026, 3, 28)
PASSWORD = "only for this test"
ROWS = 120_000
TOML = """
[workspace]
timezone = "Europe/Berlin"
[source]
format = "sql"
url = "postgresql+psycopg://reader@/his?host={folder}"
password_variable = "HIS_PASSWORD"
[[source.tables]]
name = "stays"
table = "stays"
query = "select * from cases where changed >= :extract_date and changed < :next_date order by stay_id"
[[source.tables]]
name = "results"
table = "observations"
query = "select * from results order by stay_id, observed_at, variable"
[features]
numeric = ["age"]
"""
SCHEMA = f"""
create table cases (stay_id uuid, patient_id bigint, admitted_at timestamptz, discharged_at timestamp, died boolean,
                    age numeric, changed timestamp);
insert into cases values ('00000000-0000-0000-0000-000000000001', 7, '2026-03-27 10:00+00', null, null, 61.5,
                          '2026-03-28 04:00'),
                         ('00000000-0000-0000-0000-000000000002', 8, '2026-03-26 10:00+00', '2026-03-28 09:00', true,
                          70, '2026-03-28 09:00'),
                         ('00000000-0000-0000-0000-000000000003', 9, '2026-03-20 10:00+00', null, null, null,
                          '2026-03-20 10:00');
create table results (stay_id uuid, observed_at timestamptz, variable text, value double precision);
insert into results select '00000000-0000-0000-0000-000000000001', timestamptz '2026-03-27 10:00+00' + n * interval
    '1 second', 'heart_rate', case when n = 5 then float8 'infinity' else 60 + n % 50 end
    from generate_series(1, {ROWS}) n;
create sequence counter;
create role reader login password '{PASSWORD}';
grant select on cases to reader;
grant select on results to reader;
grant usage on counter to reader;
"""


def _binary(name: str) -> str | None:
    """Debian keeps the server's programs out of the path."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return str(places[0]) if places else shutil.which(name)


@pytest.fixture(scope="module")
def server():
    """The socket folder of a server that asks for passwords; it never runs as root, which PostgreSQL refuses."""
    programs = {name: _binary(name) for name in ("initdb", "pg_ctl")}
    if not all(programs.values()):
        pytest.skip("PostgreSQL's initdb and pg_ctl are not installed (apt-get install postgresql)")
    as_root = os.geteuid() == 0
    if as_root and not shutil.which("runuser"):
        pytest.skip("PostgreSQL does not run as root, and runuser, to become the user postgres, is not installed")
    prefix = ["runuser", "-u", "postgres", "--"] if as_root else []
    folder = Path(tempfile.mkdtemp(prefix="medlstm-postgresql-"))

    def run(*command: str) -> None:
        subprocess.run([*prefix, *command], check=True, cwd=folder, capture_output=True, timeout=120)

    try:
        (folder / "password").write_text(PASSWORD)
        if as_root:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres")
        run(programs["initdb"], "-D", str(folder / "data"), "-U", "owner", "--auth=scram-sha-256", "--no-sync",
            f"--pwfile={folder / 'password'}")  # fmt: skip
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        run(programs["pg_ctl"], "-D", str(folder / "data"), "-o", options, "-l", str(folder / "log"), "-w", "start")
        try:
            owner = f"host={folder} user=owner password='{PASSWORD}'"
            with psycopg.connect(f"{owner} dbname=postgres", autocommit=True) as connection:
                connection.execute("create database his")
            with psycopg.connect(f"{owner} dbname=his") as connection:
                connection.execute(SCHEMA)
            yield folder
        finally:
            run(programs["pg_ctl"], "-D", str(folder / "data"), "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def workspace(server, tmp_path):
    (tmp_path / "medlstm.toml").write_text(TOML.format(folder=server))
    return Workspace(tmp_path)


def _fetch(workspace, config, password=PASSWORD):
    return fetch(workspace, DAY, config.source, database_url(config.source, {"HIS_PASSWORD": password}))


def test_a_night_is_fetched_in_chunks_by_a_reader_and_admitted(workspace, monkeypatch):
    chunks = []
    original = sql.as_received
    monkeypatch.setattr(sql, "_CHUNK_ROWS", 10_000)
    monkeypatch.setattr(sql, "as_received", lambda value: chunks.append(1) or original(value))
    config = load_config(workspace.root)
    assert _fetch(workspace, config) == {"stays": 2, "results": ROWS}
    landed = ingest_date(workspace, DAY, config)
    assert (landed.stays, landed.observations, landed.unreadable) == (2, ROWS, ())
    reports = {report.table: report for report in validate_date(workspace, DAY, config).reports}
    # An infinite number is a value in PostgreSQL, and none of a heart rate.
    assert (reports["observations"].admitted, reports["observations"].quarantined) == (ROWS - 1, 1)
    first, second = read_table(partition_file(workspace.admitted("stays"), DAY)).to_pylist()
    assert first["stay_id"] == "00000000-0000-0000-0000-000000000001"
    assert (first["age"], first["discharged_at"]) == (61.5, None)
    # The discharge has no zone: it is local time in Berlin.
    assert (second["discharged_at"].isoformat(), second["died"]) == ("2026-03-28T08:00:00+00:00", True)


def test_a_wrong_password_and_a_missing_right_are_told_without_showing_either(workspace):
    config = load_config(workspace.root)
    with pytest.raises(ConnectionError, match="cannot be reached") as caught:
        _fetch(workspace, config, "wrong one")
    assert "wrong one" not in str(caught.value)
    changed = (workspace.root / "medlstm.toml").read_text().replace("from results", "from pg_authid")
    (workspace.root / "medlstm.toml").write_text(changed.replace("stay_id, observed_at, variable", "1"))
    with pytest.raises(LandingError, match="InsufficientPrivilege 42501: permission denied"):
        _fetch(workspace, load_config(workspace.root))


def test_queries_cannot_write_and_a_value_that_cannot_be_cast_is_not_shown(workspace):
    text = (workspace.root / "medlstm.toml").read_text()
    for query, message in (
        ("select nextval('counter') order by 1", "ReadOnlySqlTransaction 25006"),
        ("select variable::int from results order by 1", "InvalidTextRepresentation"),
    ):
        (workspace.root / "medlstm.toml").write_text(
            text.replace("select * from results order by stay_id, observed_at, variable", query)
        )
        with pytest.raises(LandingError, match=message) as caught:
            _fetch(workspace, load_config(workspace.root))
        assert "heart_rate" not in str(caught.value)


def test_a_connection_that_breaks_within_a_query_lands_nothing_and_may_be_tried_again(server, workspace):
    config = load_config(workspace.root)
    text = (workspace.root / "medlstm.toml").read_text()
    slow = "select *, pg_sleep(case when variable is null then 0 else 0.01 end)::text as slept from results order by 1"
    (workspace.root / "medlstm.toml").write_text(
        text.replace("select * from results order by stay_id, observed_at, variable", slow)
    )

    def terminate_the_slow_query():
        with psycopg.connect(f"host={server} user=owner password='{PASSWORD}' dbname=his", autocommit=True) as owner:
            stop = """select pg_terminate_backend(pid) from pg_stat_activity
                      where usename = 'reader' and wait_event = 'PgSleep'"""
            while owner.execute(stop).fetchone() is None and not given_up.wait(0.05):
                pass

    given_up = threading.Event()
    thread = threading.Thread(target=terminate_the_slow_query)
    thread.start()
    try:
        with pytest.raises(ConnectionError, match="the query results broke off"):
            _fetch(workspace, load_config(workspace.root))
    finally:
        given_up.set()
        thread.join()
    assert list(workspace.landing(DAY).iterdir()) == []
    assert _fetch(workspace, config)["results"] == ROWS


def test_a_cdm_in_a_schema_of_its_own_is_read_by_the_template_as_it_is(server, tmp_path):
    with psycopg.connect(f"host={server} user=owner password='{PASSWORD}' dbname=his") as connection:
        connection.execute("create schema cdm; set search_path to cdm")
        for statement in omop.statements():
            connection.execute(statement)
        connection.execute("grant usage on schema cdm to reader; grant select on all tables in schema cdm to reader")
    shutil.copy(resources.files("medlstm.settings") / "examples" / "omop.toml", tmp_path / "medlstm.toml")
    config = load_config(tmp_path)
    address = f"postgresql+psycopg://reader:{quote(PASSWORD)}@/his?host={server}&options=-csearch_path%3Dcdm"
    place = Workspace(tmp_path)
    fetch(place, omop.DAY, config.source, database_url(config.source, {"OMOP_DATABASE_URL": address}))
    ingest_date(place, omop.DAY, config)
    validate_date(place, omop.DAY, config)
    assert admitted_stays(tmp_path, omop.DAY, config) == omop.STAYS
    require_observations(tmp_path, omop.DAY, omop.OBSERVATIONS)

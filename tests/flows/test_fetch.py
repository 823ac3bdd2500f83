import sqlite3
from datetime import date

import pytest

from medlstm.errors import ConfigError
from medlstm.lake.files import Workspace, partition_file, row_count

DAY = date(2026, 3, 28)
TOML = """
[source]
format = "sql"
url_secret = "{block}"
[[source.tables]]
name = "cases"
table = "stays"
query = "select * from cases where changed = :extract_date order by stay_id"
"""


@pytest.mark.filterwarnings("ignore:Logger")
def test_the_address_comes_from_a_secret_block_and_the_night_is_fetched_once(server, tmp_path):
    from prefect.blocks.system import Secret

    from tasks.ingest import ingest

    with sqlite3.connect(tmp_path / "his.db") as database:
        database.execute("create table cases (stay_id text, admitted_at text, changed text)")
        database.execute("insert into cases values ('a', '2026-03-27 10:00:00', '2026-03-28')")
    Secret(value=f"sqlite:///{tmp_path}/his.db").save("his-database", _sync=True)
    (tmp_path / "medlstm.toml").write_text(TOML.format(block="his-database"))
    (first,) = ingest.fn(str(tmp_path), [DAY])
    with sqlite3.connect(tmp_path / "his.db") as database:
        database.execute("delete from cases")
    (again,) = ingest.fn(str(tmp_path), [DAY])
    assert (first.stays, first.files_read) == (again.stays, again.files_read) == (1, 1)
    assert row_count(partition_file(Workspace(tmp_path).raw("stays"), DAY)) == 1


def test_a_block_that_does_not_exist_is_named(server, tmp_path):
    from tasks.ingest import ingest

    (tmp_path / "medlstm.toml").write_text(TOML.format(block="no-such-block"))
    with pytest.raises(ConfigError, match="'no-such-block': no such Secret block"):
        ingest.fn(str(tmp_path), [DAY])

"""A lake of the first version: every command names the one that converts it, and then it is as if written today."""

import json
import shutil
from datetime import date
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from flows.command_line.app import app
from flows.night_date import held_date
from medlstm.contracts.raw_to_admitted import dates_to_validate
from medlstm.errors import ConfigError, MedlstmError
from medlstm.ingest.landing_to_raw import dates_to_ingest, ingest_date
from medlstm.lake.audit_log import read_audit
from medlstm.lake.date_lock import DateLocked, date_lock, wait_for_runs
from medlstm.lake.files import Workspace, partition_file, read_table, write_table
from medlstm.lake.format import FORMAT, require_format
from medlstm.lake.schemas import PREDICTIONS_SCHEMA
from medlstm.settings.workspace import load_config
from medlstm.upkeep.inspection import verify_lake
from medlstm.upkeep.upgrade import UpgradeSummary, upgrade_lake
from tests.unit.small_hospital import (
    DAYS,
    NIGHTS,
    lake_files,
    partitions,
    run_nights,
    write_as_format_1,
    write_landing,
)

LATER = date(2026, 4, 1)


@pytest.fixture(scope="module")
def written_today(tmp_path_factory):
    root = tmp_path_factory.mktemp("today")
    write_landing(root)
    return run_nights(root)


@pytest.fixture(scope="module")
def written_before(written_today, tmp_path_factory):
    root = tmp_path_factory.mktemp("before") / "w"
    shutil.copytree(written_today.root, root)
    write_as_format_1(Workspace(root))
    return root


@pytest.fixture
def old(written_before, tmp_path):
    """A lake of format 1 to do with as a test likes."""
    shutil.copytree(written_before, tmp_path / "w")
    return Workspace(tmp_path / "w")


@pytest.mark.parametrize(
    "command",
    [
        *(f"{step} --as-of {NIGHTS[0]}" for step in ("nightly", "ingest", "validate", "preprocess", "train", "score",
                                                     "report", "compare", "explain --gates", "export meds out")),
        f"backfill --start {NIGHTS[0]} --end {NIGHTS[1]}", "demo", "deploy", "serve", "lake ls", "lake verify",
        f"lake diff {NIGHTS[0]} {NIGHTS[1]}", "quarantine ls", f"quarantine release HR_impossible --date {NIGHTS[1]}",
    ],
)  # fmt: skip
def test_every_command_refuses_it_and_names_the_one_that_converts_it(written_before, command):
    before = lake_files(written_before)
    result = CliRunner().invoke(app, [*command.split(), "--workspace", str(written_before)])
    assert isinstance(result.exception, ConfigError)
    assert f"`medlstm lake upgrade --workspace {written_before}`" in str(result.exception)
    assert lake_files(written_before) == before


def test_a_run_that_comes_from_a_schedule_refuses_it_too(written_before):
    with pytest.raises(ConfigError, match="medlstm lake upgrade"), held_date(str(written_before), LATER):
        pass
    assert not list((written_before / "lake" / ".locks").glob(f"as_of={LATER}*"))


def test_the_command_makes_it_the_lake_that_this_version_writes(old, written_today):
    paths = partitions(old)
    assert all("as_of" in pq.read_schema(path).names or "extract_date" in pq.read_schema(path).names for path in paths)
    assert verify_lake(old, load_config(old.root)).problems
    done = CliRunner().invoke(app, ["lake", "upgrade", "--workspace", str(old.root), "--json"])
    assert done.exit_code == 0, done.output
    assert f"{len(paths)} files converted, 0 were already" in done.stdout
    last = json.loads(done.stdout.splitlines()[-1])
    assert last == {"format": 2, "converted": len(paths), "already": 0, "unreadable": []}
    assert lake_files(old.root) == lake_files(written_today.root)
    check = verify_lake(old, load_config(old.root))
    assert (check.files, check.problems) == (len(paths), ())
    assert {line["event"] for line in read_audit(old)} == {"ingest", "validate", "build", "upgrade"}
    require_format(old)
    audit = old.audit.read_bytes()
    assert upgrade_lake(old) == UpgradeSummary(FORMAT, 0, 0, ())
    assert old.audit.read_bytes() == audit


def test_after_it_nothing_waits_and_past_nights_give_their_bytes_with_and_without_their_landing_folders(
    old, written_today
):
    upgrade_lake(old)
    assert dates_to_ingest(old, LATER) == [LATER]
    assert dates_to_validate(old, LATER) == [LATER]
    expected = _tables(written_today)
    run_nights(old.root)
    assert _tables(old) == expected
    shutil.rmtree(old.root / "landing")
    run_nights(old.root)
    assert _tables(old) == expected


def _tables(place):
    return {path.relative_to(place.root): path.read_bytes() for path in partitions(place)}


def test_a_file_that_another_program_changed_is_still_named_and_an_unreadable_one_is_left(old):
    changed, torn = (partition_file(old.admitted("stays"), day) for day in DAYS[:2])
    pq.write_table(pq.read_table(changed, partitioning=None).slice(1), changed)
    torn.write_bytes(torn.read_bytes()[:-10])
    name = torn.relative_to(old.root).as_posix()
    done = CliRunner().invoke(app, ["lake", "upgrade", "--workspace", str(old.root)])
    assert f"{name}: no readable footer, left as it is; run the date again" in done.stdout
    problems = {(one.path, one.problem.split(":")[0]) for one in verify_lake(old, load_config(old.root)).problems}
    assert (changed.relative_to(old.root).as_posix(), "not the bytes that the audit log says were written") in problems
    assert (name, "no readable footer; run the date again") in problems
    require_format(old)


def test_a_row_of_another_date_stops_it_and_it_goes_on_when_the_file_is_away(old):
    stray = partition_file(old.raw("stays"), DAYS[3])
    shutil.copy(partition_file(old.raw("stays"), DAYS[2]), stray)
    with pytest.raises(MedlstmError, match=rf"{DAYS[3]}/part-0.parquet: rows whose extract_date is not {DAYS[3]}"):
        upgrade_lake(old)
    with pytest.raises(ConfigError):
        require_format(old)
    stray.unlink()
    summary = upgrade_lake(old)
    assert summary.converted + summary.already == len(partitions(old))
    assert summary.already > 0


def test_predictions_get_the_columns_that_were_added_since(old):
    path = partition_file(old.predictions, NIGHTS[0], key="as_of")
    table = read_table(path)
    with patch("medlstm.lake.files.date_column", return_value=None):
        write_table(table.drop_columns(["baseline_remaining_days", "p_discharge_48h"]), path)
    upgrade_lake(old)
    found = read_table(path)
    assert found.schema.equals(PREDICTIONS_SCHEMA)
    assert found.column("p_discharge_48h").null_count == found.num_rows == table.num_rows
    assert found.column("remaining_los_days").equals(table.column("remaining_los_days"))


def test_it_waits_for_a_run_that_is_at_work(old):
    with date_lock(old, "as_of", DAYS[0]), pytest.raises(DateLocked, match=f"as_of {DAYS[0]} is held"):
        wait_for_runs(old, wait_seconds=0.2)
    waited = []
    with patch("medlstm.upkeep.upgrade.wait_for_runs", side_effect=waited.append):
        upgrade_lake(old)
    assert waited == [old]


def test_a_new_lake_is_marked_before_its_first_table(tmp_path):
    write_landing(tmp_path)
    place = Workspace(tmp_path)
    require_format(place)
    with date_lock(place, "extract_date", DAYS[0]):
        assert json.loads(place.format.read_text()) == {"format": 2}
    place.format.unlink()
    assert upgrade_lake(place) == UpgradeSummary(FORMAT, 0, 0, ())
    ingest_date(place, DAYS[0], load_config(tmp_path))
    require_format(place)
    place.format.unlink()
    with date_lock(place, "extract_date", DAYS[0]), pytest.raises(ConfigError, match="medlstm lake upgrade"):
        require_format(place)
    upgrade_lake(place)
    require_format(place)


@pytest.mark.parametrize("mark", ['{"format": 3}', '{"format": "2"}', '{"format": true}', "{}", "[2]", '{"format": 2'])
def test_a_mark_that_this_version_does_not_know_is_refused_and_left(tmp_path, mark):
    place = Workspace(tmp_path)
    place.format.parent.mkdir()
    place.format.write_text(mark)
    for refused in (lambda: require_format(place), lambda: upgrade_lake(place)):
        with pytest.raises(ConfigError, match=r"lake/format\.json"):
            refused()
    assert place.format.read_text() == mark


def test_an_older_number_is_refused_like_none(tmp_path):
    place = Workspace(tmp_path)
    place.format.parent.mkdir()
    place.format.write_text('{"format": 1}')
    with pytest.raises(ConfigError, match="medlstm lake upgrade"):
        require_format(place)
    assert upgrade_lake(place).format == FORMAT
    require_format(place)


def test_an_upgrade_that_ended_half_way_goes_on_with_what_is_left(old, written_today):
    half = partition_file(old.raw("stays"), DAYS[0])
    write_table(read_table(half), half)
    assert "extract_date" not in pq.read_schema(half).names
    summary = upgrade_lake(old)
    assert (summary.converted, summary.already) == (len(partitions(old)) - 1, 1)


def test_text_is_text_in_every_file(old):
    upgrade_lake(old)
    for path in partitions(old):
        assert not any(pa.types.is_dictionary(field.type) for field in pq.read_schema(path))

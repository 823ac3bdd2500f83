import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from medlstm.contracts.quarantine import list_quarantine, release
from medlstm.contracts.raw_to_admitted import dates_to_validate, validate_date
from medlstm.contracts.waivers import add_release
from medlstm.errors import MedlstmError
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.audit_log import read_audit
from medlstm.lake.files import Workspace, partition_file, read_table, write_table
from medlstm.settings.workspace import parse_config
from medlstm.upkeep.inspection import diff_extracts, list_lake, verify_lake
from tests.unit.night import take_in_and_validate
from tests.unit.test_late_and_corrected import CONFIG, DAYS, _drop, _lab, _stay


@pytest.fixture(scope="module")
def taken_in(tmp_path_factory):
    root = tmp_path_factory.mktemp("taken_in")
    workspace = Workspace(root)
    labs = [_lab(DAYS[0], 1, 80) + _lab(DAYS[0], 2, 81) + _lab(DAYS[0], 3, 900) + _lab(DAYS[0], 4, "x"),
            _lab(DAYS[0], 1, 90) + _lab(DAYS[0], 2, 81) + _lab(DAYS[1], 3, 82)]  # fmt: skip
    for day, text in zip(DAYS, labs, strict=False):
        _drop(workspace, day, stays=_stay(DAYS[0], end="" if day == DAYS[0] else f"{day}T01:00:00"), labs=text)
        ingest_date(workspace, day, CONFIG)
        validate_date(workspace, day, CONFIG)
    return root


@pytest.fixture
def place(taken_in, tmp_path):
    """A copy, for a test to damage."""
    return Workspace(shutil.copytree(taken_in, tmp_path / "copy"))


def test_the_lake_is_listed_with_its_rows(place):
    rows = {(one.layer, one.table, one.day): one.rows for one in list_lake(place)}
    assert rows[("raw", "observations", DAYS[0])] == 4
    assert rows[("admitted", "observations", DAYS[0])] == 2
    assert rows[("quarantine", "observations", DAYS[0])] == 2
    assert rows[("quarantine", "files", DAYS[1])] == 0


def test_two_extracts_differ_by_key_and_column(place):
    diff = diff_extracts(place, "observations", DAYS[0], DAYS[1], CONFIG)
    assert (diff.only_before, diff.only_after, diff.unchanged, diff.changed, diff.retracted) == (0, 1, 1, 1, 0)
    assert diff.changed_columns == {"value": 1}
    stays = diff_extracts(place, "stays", DAYS[0], DAYS[1], CONFIG)
    assert (stays.changed, stays.changed_columns["discharged_at"], stays.changed_columns["died"]) == (1, 1, 0)
    with pytest.raises(MedlstmError, match="nothing of 2026-01-05 was admitted"):
        diff_extracts(place, "stays", DAYS[0], DAYS[4], CONFIG)


def test_a_sound_lake_has_no_problems_and_each_kind_of_damage_is_named(place):
    check = verify_lake(place, CONFIG)
    assert (check.files, check.problems) == (14, ())
    admitted, raw = (partition_file(folder("observations"), DAYS[0]) for folder in (place.admitted, place.raw))
    write_table(read_table(admitted).slice(1), admitted)
    raw.write_bytes(raw.read_bytes()[:-10])
    stays = partition_file(place.admitted("stays"), DAYS[1])
    write_table(read_table(stays).drop_columns(["died"]).append_column("died", pa.array(["no"])), stays)
    (admitted.parent / ".part-0.parquet.abc.tmp").write_bytes(b"half")
    problems = verify_lake(place, CONFIG).problems
    found = {(one.path, one.problem.split(";")[0].split(":")[0]) for one in problems}
    observations, partition = "lake/observations", f"extract_date={DAYS[0]}/part-0.parquet"
    assert found == {
        (f"{observations}/{partition}", "not the bytes that the audit log says were written"),
        (f"{observations}/{partition}", "1 rows, but its contract report counts 2"),
        (f"lake/raw/observations/{partition}", "no readable footer"),
        (f"lake/stays/extract_date={DAYS[1]}/part-0.parquet", "the column died is string, not bool"),
        (f"lake/stays/extract_date={DAYS[1]}/part-0.parquet", "not the bytes that the audit log says were written"),
        (f"{observations}/extract_date={DAYS[0]}/.part-0.parquet.abc.tmp", "left behind by a killed run"),
    }


def test_a_file_that_holds_what_its_folder_tells_is_named(place):
    path = partition_file(place.admitted("stays"), DAYS[0])
    pq.write_table(read_table(path), path)
    problems = [one.problem for one in verify_lake(place, CONFIG).problems]
    assert "the column extract_date is in the file, though its folder tells it; run the date again" in problems


def test_a_release_admits_what_one_rule_held_leaves_a_trace_and_lasts(place):
    listed = [(one.table, one.extract_date, one.rule, one.rows) for one in list_quarantine(place)]
    assert listed == [("observations", DAYS[0], rule, 1) for rule in ("HR_impossible", "not_a_number")]
    with pytest.raises(MedlstmError, match="2026-01-01 is closed"):
        release(place, "observations", DAYS[0], "HR_impossible", CONFIG)
    summary = release(place, "observations", DAYS[0], "HR_impossible", CONFIG, run="me", reopen=True)
    assert (summary.released_rows, summary.report.admitted, summary.report.quarantined) == (1, 3, 1)
    validate_date(place, DAYS[0], CONFIG)
    values = read_table(partition_file(place.admitted("observations"), DAYS[0])).column("value").to_pylist()
    assert values == [80.0, 81.0, 900.0]
    (trace,) = (line for line in read_audit(place) if line["event"] == "release")
    assert (trace["run"], trace["rule"], trace["rows_held_before"]) == ("me", "HR_impossible", 1)
    assert verify_lake(place, CONFIG).problems == ()


@pytest.mark.parametrize("killed", ["before the report", "after a release"])
def test_a_kill_that_kept_a_date_from_its_report_or_its_release_has_the_next_night_judge_it_again(place, killed):
    night = DAYS[2]
    assert dates_to_validate(place, night) == [night]
    if killed == "before the report":
        (place.report(DAYS[0]) / "contract.json").unlink()
    else:
        add_release(place, "observations", DAYS[0], "HR_impossible")
    assert dates_to_validate(place, night) == [DAYS[0], night]
    validate_date(place, DAYS[0], CONFIG)
    assert dates_to_validate(place, night) == [night]


@pytest.mark.parametrize(
    ("table", "rule", "message"),
    [
        ("observations", "not_a_number", "cannot be admitted"),
        ("stays", "stay_id_missing", "cannot be admitted"),
        ("stays", "HR_impossible", "cannot be admitted"),
        ("observations", "Temp_impossible", "holds no row back"),
        ("labs", "HR_impossible", "must be one of"),
    ],
)
def test_what_cannot_be_released_is_refused(place, table, rule, message):
    with pytest.raises(MedlstmError, match=message):
        release(place, table, DAYS[0], rule, CONFIG, reopen=True)


def test_what_a_source_remembers_is_listed_and_looked_at(tmp_path):
    config = parse_config({"source": {"format": "fhir"}}, {}, "test")
    patient = {"resourceType": "Patient", "id": "p1", "gender": "female"}
    landing = tmp_path / "landing" / DAYS[0].isoformat()
    landing.mkdir(parents=True)
    (landing / "Patient.ndjson").write_text(json.dumps(patient) + "\n")
    take_in_and_validate(tmp_path, DAYS[0], config)
    workspace = Workspace(tmp_path)
    (facts,) = [one for one in list_lake(workspace) if one.layer == "remembered"]
    assert (facts.day, facts.rows) == (DAYS[0], 1)
    assert verify_lake(workspace, config).problems == ()
    path = partition_file(workspace.remembered, DAYS[0])
    write_table(read_table(path).drop_columns(["content"]), path)
    (problem,) = verify_lake(workspace, config).problems
    assert (problem.path, problem.problem.split(";")[0]) == (
        f"lake/remembered/extract_date={DAYS[0]}/part-0.parquet", "the column content is missing"
    )  # fmt: skip

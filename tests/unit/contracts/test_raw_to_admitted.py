import json
import re
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlstm.contracts.admission_times import no_admissions
from medlstm.contracts.check_rows import TableContract, judge
from medlstm.contracts.plausible_limits import load_limits
from medlstm.contracts.raw_chunks import RawPartition, raw_chunks
from medlstm.contracts.raw_to_admitted import StoppedDate, read_contract_reports, validate_date, validate_dates
from medlstm.contracts.results import ContractReport, DateCount
from medlstm.contracts.suites import load_suite
from medlstm.errors import ConfigError, ContractStopped
from medlstm.lake.files import Workspace, partition_file, read_table, write_table
from medlstm.lake.schemas import raw_schema
from medlstm.settings.workspace import parse_config
from medlstm.values.units import unit_table

DAY = date(2026, 3, 29)
STAY_COLUMNS = ["stay_id", "patient_id", "admitted_at", "discharged_at", "died", "age", "ward"]
OBSERVATION_COLUMNS = ["stay_id", "observed_at", "variable", "value"]


def _config(**contracts):
    return parse_config(
        {
            "workspace": {"timezone": "Europe/Berlin"},
            "source": {"format": "csv", "files": [{"pattern": "*", "table": "stays"}]},
            "features": {"numeric": ["age"], "categorical": ["ward"]},
            "contracts": contracts,
        },
        {},
        "test",
    )


def _raw(columns, rows, day=DAY):
    records = [
        dict(zip(columns, row, strict=True)) | {"extract_date": day, "source_file": "f.csv", "source_row": index + 1}
        for index, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(records, schema=raw_schema(columns))


def _land(root, day=DAY, stays=None, observations=None):
    place = Workspace(Path(root))
    tables = {"stays": _raw(STAY_COLUMNS, []) if stays is None else stays,
              "observations": _raw(OBSERVATION_COLUMNS, []) if observations is None else observations}  # fmt: skip
    for table, raw in tables.items():
        write_table(raw, partition_file(place.raw(table), day))
    return place


@dataclass
class Held:
    admitted: list
    quarantined: list
    report: ContractReport


def _held(place, table, day=DAY):
    files = (partition_file(folder(table), day) for folder in (place.admitted, place.quarantine))
    (report,) = (one for one in read_contract_reports(place, day) if one.table == table)
    return Held(*(read_table(file).to_pylist() for file in files), report)


@pytest.fixture
def hold_stays(tmp_path):
    def hold(rows, columns=STAY_COLUMNS, **contracts):
        place = _land(tmp_path, stays=_raw(columns, rows))
        validate_date(place, DAY, _config(**contracts))
        return _held(place, "stays")

    return hold


@pytest.fixture
def hold_observations(tmp_path):
    def hold(rows, **contracts):
        place = _land(tmp_path, observations=_raw(OBSERVATION_COLUMNS, rows))
        validate_date(place, DAY, _config(**contracts))
        return _held(place, "observations")

    return hold


def _values(rows, name):
    return [row[name] for row in rows]


GOOD = ("s1", "p1", "2026-03-28T10:00:00", None, None, "61", "a")


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ((None, *GOOD[1:]), "stay_id_missing"),
        (("s2", " ", *GOOD[2:]), "patient_id_missing"),
        (("s2", "p2", None, *GOOD[3:]), "admitted_at_missing"),
        (("s2", "p2", "yesterday", *GOOD[3:]), "not_a_timestamp"),
        (("s2", "p2", "2026-03-28T10:00:00", "2026-03-28T09:00:00", None, "61", "a"), "discharged_before_admission"),
        (("s2", "p2", "2026-04-02T10:00:00", *GOOD[3:]), "admitted_at_in_the_future"),
        (("s2", "p2", "2026-03", *GOOD[3:]), "not_a_timestamp"),
        (("s2", "p2", "2026-03-28T10:00:00", "2026", None, "61", "a"), "not_a_timestamp"),
    ],
)
def test_a_bad_stay_is_quarantined_with_its_rule_and_the_good_one_goes_through(hold_stays, row, rule):
    admission = hold_stays([GOOD, row])
    assert _values(admission.admitted, "stay_id") == ["s1"]
    assert _values(admission.quarantined, "rule") == [rule]
    assert _values(admission.quarantined, "reason")[0]
    assert {outcome.rule: outcome.rows for outcome in admission.report.rules}[rule] == 1


@pytest.mark.parametrize(
    ("row", "column", "rule"),
    [
        (("s2", *GOOD[1:4], "perhaps", "61", "a"), "died", "died_unreadable"),
        (("s2", *GOOD[1:5], "old", "a"), "age", "age_unreadable"),
        (("s2", *GOOD[1:5], "161", "a"), "age", "age_impossible"),
    ],
)
def test_a_static_that_cannot_be_is_missing_and_counted_and_its_stay_stays(hold_stays, row, column, rule):
    admission = hold_stays([GOOD, row])
    assert _values(admission.admitted, "stay_id") == ["s1", "s2"]
    assert not admission.quarantined
    assert admission.admitted[1][column] is None
    assert admission.admitted[0]["age"] == 61
    assert [(one.action, one.rows) for one in admission.report.rules if one.rule == rule] == [("set_missing", 1)]


def test_statics_that_are_unreadable_in_many_rows_are_a_warning(hold_stays):
    rows = [(f"s{number}", *GOOD[1:5], "old" if number < 12 else "61", "a") for number in range(20)]
    (warning,) = hold_stays(rows).report.warnings
    assert "12 of 20 rows: age: not a number; taken as missing" in warning


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (("s1", "2026-03-28T10:00:00", "HR", "fast"), "not_a_number"),
        (("s1", "2026-03-28T10:00:00", "HR", "nan"), "not_a_number"),
        (("s1", "2026-03-28T10:00:00", "HR", None), "value_missing"),
        (("s1", "2026-03-28T10:00:00", None, "80"), "variable_missing"),
        (("s1", "2026-03-28T10:00:00", "HR", "900"), "HR_impossible"),
        (("s1", "2026-03-31T10:00:00", "HR", "90"), "observed_at_in_the_future"),
        (("s1", "soon", "HR", "90"), "not_a_timestamp"),
    ],
)
def test_a_bad_observation_is_quarantined_with_its_rule(hold_observations, row, rule):
    good = [("s1", f"2026-03-28T{hour:02}:00:00", "Temp", "37") for hour in range(3)]
    admission = hold_observations([*good, row])
    assert len(admission.admitted) == 3
    assert _values(admission.quarantined, "rule") == [rule]


def test_a_row_that_breaks_two_rules_is_quarantined_once_with_both_reasons(hold_stays):
    admission = hold_stays([GOOD, ("s2", None, "2026-03-28T10:00:00", "2026-03-27T10:00:00", None, "4", "a")])
    assert admission.report.quarantined == 1
    assert _values(admission.quarantined, "reason")[0].count(";") == 1


def test_exact_duplicates_are_counted_and_the_first_stays(hold_stays):
    rows = [GOOD, ("s2", *GOOD[1:]), GOOD]
    admission = hold_stays(rows)
    assert admission.report.exact_duplicates == 1
    assert _values(admission.admitted, "source_row") == [1, 2]


def test_a_length_of_stay_stands_in_for_the_discharge(hold_stays):
    columns = ["stay_id", "admitted_at", "los_days"]
    rows = [(stay, "2026-03-20T00:00:00Z", days) for stay, days in (("a", "1.5"), ("b", None), ("c", "-1"))]
    admission = hold_stays(rows, columns)
    assert _values(admission.admitted, "discharged_at")[0].isoformat() == "2026-03-21T12:00:00+00:00"
    assert _values(admission.admitted, "discharged_at")[1] is None
    assert _values(admission.quarantined, "rule") == ["negative_length_of_stay"]


def test_a_missing_column_stops_with_its_name(hold_stays):
    with pytest.raises(ContractStopped, match="admitted_at is missing"):
        hold_stays([("a", "p")], ["stay_id", "patient_id"])


def test_a_large_share_stops_and_the_rows_can_still_be_looked_at(hold_observations, tmp_path):
    with pytest.raises(ContractStopped, match=r"12 of 30 rows \(40%\).*not_a_number 12"):
        hold_observations([("s1", "2026-03-28T10:00:00", "HR", f"{80 + index}" if index < 18 else f"x{index}")
                       for index in range(30)])  # fmt: skip
    assert read_table(partition_file(Workspace(tmp_path).quarantine("observations"), DAY)).num_rows == 12
    assert not partition_file(Workspace(tmp_path).admitted("observations"), DAY).exists()
    assert not partition_file(Workspace(tmp_path).admitted("stays"), DAY).exists()


def test_an_empty_table_goes_through(hold_observations):
    assert hold_observations([]).report.rows_in == 0


def test_a_tables_own_limit_goes_before_the_general_one(hold_observations):
    rows = [("s1", "2026-03-28T10:00:00", "HR", f"{80 + index}" if index < 18 else f"x{index}") for index in range(30)]
    held = hold_observations(rows, max_share_by_table={"observations": 0.5})
    assert (held.report.admitted, held.report.quarantined) == (18, 12)
    with pytest.raises(ContractStopped, match=r"max_share_by_table = 0\.1"):
        hold_observations(rows, max_quarantined_share=0.9, max_share_by_table={"observations": 0.1})


def _own_suite(root, table, *expectations):
    (root / "mine").mkdir(exist_ok=True)
    content = {"name": table, "expectations": list(expectations)}
    (root / "mine" / f"{table}.json").write_text(json.dumps(content))


def _expectation(type_, action, rule="r", **kwargs):
    meta = {"rule": rule, "action": action, "description": "d"}
    return {"type": type_, "kwargs": kwargs, "severity": "critical", "meta": meta}


def test_stop_and_warn_do_what_they_say_beside_the_packaged_rules(hold_stays, tmp_path):
    between = "expect_column_values_to_be_between"
    _own_suite(tmp_path, "stays", _expectation(between, "stop", column="age", max_value=50))
    with pytest.raises(ContractStopped, match="rule r stops the night: 1 rows"):
        hold_stays([GOOD], suites_folder="mine")
    _own_suite(tmp_path, "stays", _expectation(between, "warn", column="age", max_value=50))
    warned = hold_stays([GOOD, ("s2", *GOOD[1:5], "161", "a")], suites_folder="mine")
    assert warned.report.admitted == 2
    assert {one.rule: one.rows for one in warned.report.rules if one.rows} == {"r": 2, "age_impossible": 1}


def test_a_workspace_tightens_a_rule_and_a_limit(hold_observations, hold_stays, tmp_path):
    between = "expect_column_values_to_be_between"
    _own_suite(tmp_path, "stays", _expectation(between, "quarantine", "age_impossible", column="age", max_value=60))
    assert hold_stays([GOOD], suites_folder="mine").report.quarantined == 1
    limits = tmp_path / "mine" / "limits.csv"
    limits.write_text("variable,unit,lower,upper,source\nHR,bpm,20,90,our monitors\nPain,1,0,10,by definition\n")
    rows = [("s1", "2026-03-28T10:00:00", name, value) for name, value in (("HR", "80"), ("HR", "100"), ("Pain", "11"))]
    held = hold_observations(rows, suites_folder="mine")
    assert sorted(_values(held.quarantined, "reason")) == ["HR: not within 20 and 90 bpm", "Pain: not within 0 and 10"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("variable,unit\n", "header must be"),
        ("variable,unit,lower,upper,source\nHR,bpm,low,90,x\n", "line 2: lower and upper must be numbers"),
        ("variable,unit,lower,upper,source\nHR,bpm,90,80,x\n", "line 2: lower must be below upper"),
        ("variable,unit,lower,upper,source\nHR,bpm,70,80,\n", "needs a unit and a source"),
    ],
)
def test_a_wrong_limits_table_names_its_line(tmp_path, text, message):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "limits.csv").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_limits(_config(suites_folder="mine"), tmp_path)


def test_keys_with_two_values_in_one_delivery_are_counted(hold_observations, hold_stays):
    at, later = "2026-03-28T10:00:00", "2026-03-28T11:00:00"
    told = hold_observations([("s1", at, "HR", "80"), ("s1", at, "HR", "80"), ("s1", at, "HR", "80.0"),
                              ("s1", later, "HR", "80"), ("s1", later, "HR", "90"), ("s1", later, "HR", "900"),
                              ("s1", later, "Temp", "37"), ("s2", later, "HR", "91")])  # fmt: skip
    outcomes = {one.rule: (one.action, one.rows) for one in told.report.rules if one.rows}
    assert outcomes == {"key_with_several_values": ("warn", 1), "HR_impossible": ("quarantine", 1)}
    assert (told.report.rows_in, told.report.admitted, told.report.exact_duplicates) == (8, 6, 1)
    stays = hold_stays([GOOD, (*GOOD[:3], "2026-03-29T10:00:00", *GOOD[4:]), ("s2", *GOOD[1:])])
    assert {one.rule: one.rows for one in stays.report.rules if one.rows} == {"key_with_several_values": 1}


def test_every_variable_that_codes_are_mapped_to_has_limits_in_its_own_unit():
    table, limits = unit_table(), load_limits(_config(), Path())
    without_unit = ("{score}", "{INR}", "[pH]")
    for variable, unit in table.units.items():
        stated = limits.by_variable[variable].unit
        assert table.ucum(stated) == unit or (stated == "1" and unit in without_unit), variable


def test_data_docs_are_written_when_asked_for_and_hold_counts_alone(tmp_path, hold_observations):
    rows = [("secret-stay", "2026-03-28T10:00:00", "HR", value) for value in ("80.125", "351.5")]
    rows += [("secret-stay", None, "HR", "81.25"), ("secret-stay", None, "HR", "82.25")]
    folder = Workspace(tmp_path).report(DAY) / "data_docs"
    hold_observations(rows)
    assert not folder.exists()
    hold_observations(rows, data_docs=True)
    page = (folder / "observations.html").read_text()
    assert (folder / "stays.html").is_file()
    assert "HR: not within 0 and 350 bpm" in page
    # Two of four rows have no time; one of four is above the limit.
    assert "50% not null" in re.sub(r"<[^>]+>", "", page)
    assert "25% unexpected" in re.sub(r"<[^>]+>", "", page)
    assert not any(value in page for value in ("secret-stay", "80.125", "351.5", "81.25", "82.25"))


def test_a_crashed_check_stops_and_says_that_it_says_nothing_of_the_data(hold_stays, tmp_path):
    between = "expect_column_values_to_be_between"
    _own_suite(tmp_path, "stays", _expectation(between, "warn", column="ward", max_value=5))
    with pytest.raises(ContractStopped, match="check itself crashed"):
        hold_stays([GOOD], suites_folder="mine")


def test_a_rule_about_the_whole_table_cannot_quarantine_rows(hold_stays, tmp_path):
    _own_suite(tmp_path, "stays", _expectation("expect_table_row_count_to_be_between", "quarantine", min_value=5))
    with pytest.raises(ConfigError, match="action must be stop or warn"):
        hold_stays([GOOD], suites_folder="mine")
    _own_suite(tmp_path, "stays", _expectation("expect_table_row_count_to_be_between", "stop", min_value=5))
    with pytest.raises(ContractStopped, match="rule r stops the night"):
        hold_stays([GOOD], suites_folder="mine")


def test_an_unknown_expectation_is_an_error_of_the_configuration(hold_stays, tmp_path):
    _own_suite(tmp_path, "stays", _expectation("expect_the_unexpected", "warn"))
    with pytest.raises(ConfigError, match="not one that Great Expectations knows"):
        hold_stays([GOOD], suites_folder="mine")


def test_a_wrong_suite_file_names_the_expectation(tmp_path):
    _own_suite(tmp_path, "stays", _expectation("t", "drop"))
    with pytest.raises(ConfigError, match=r"stays\.json: expectations\.0\.meta\.action"):
        load_suite("stays", _config(suites_folder="mine"), tmp_path)


def test_a_row_that_is_taken_back_needs_no_value_but_its_key(tmp_path):
    columns = [*OBSERVATION_COLUMNS, "retracted"]
    rows = [
        ("s1", "2026-03-28T10:00:00", "HR", None, "true"),
        ("s1", "2026-03-28T10:00:00", "Temp", "wrong", "1"),
        ("s1", "2026-03-28T10:00:00", None, None, "true"),
        ("s1", "2026-03-28T11:00:00", "HR", None, "false"),
    ]
    place = _land(tmp_path, observations=_raw(columns, rows))
    validate_date(place, DAY, _config())
    held = _held(place, "observations")
    assert _values(held.admitted, "retracted") == [True, True]
    assert sorted(_values(held.quarantined, "rule")) == ["value_missing", "variable_missing"]


def test_dates_that_share_a_validation_are_admitted_as_if_each_had_its_own(tmp_path):
    days = [DAY + timedelta(days=offset) for offset in range(4)]
    for root in (tmp_path / "each", tmp_path / "all"):
        for offset, day in enumerate(days):
            rows = [("s1", f"{day}T{hour:02}:00:00", "HR", "80" if hour < 20 - offset else "x") for hour in range(24)]
            _land(root, day, stays=_raw(STAY_COLUMNS, [GOOD], day), observations=_raw(OBSERVATION_COLUMNS, rows, day))
    config = _config(max_share_by_table={"observations": 0.25}, min_quarantined_rows=1)
    together = list(validate_dates(Workspace(tmp_path / "all"), days, config))
    assert [isinstance(one, StoppedDate) for one in together] == [False, False, False, True]
    for day, result in zip(days, together, strict=True):
        single = next(validate_dates(Workspace(tmp_path / "each"), [day], config))
        assert str(single) == str(result)
    files = sorted(path.relative_to(tmp_path / "all") for path in (tmp_path / "all").rglob("*.parquet"))
    assert len(files) == 8 + 2 * 3 + 2 * 3 + 1
    assert all((tmp_path / "all" / file).read_bytes() == (tmp_path / "each" / file).read_bytes() for file in files)


_texts = st.sampled_from(
    ["s1", "s2", " s2 ", "", None, "2026-03-28T10:00:00", "2026-03-28T10:00Z", "2026-03-29T02:30:00", "x", "-1", "37",
     "1e400", "HR", "0001-01-01", "9999-12-31T23:59:59", "inf", "37,5", "true"]
)  # fmt: skip


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(_texts, _texts, _texts, _texts, _texts), max_size=40), st.randoms(use_true_random=False),
       st.integers(1, 15))  # fmt: skip
def test_no_row_is_lost_order_and_size_of_chunks_do_not_matter_and_what_is_admitted_satisfies_the_suite(
    rows, random, rows_per_chunk
):
    raw = _raw([*OBSERVATION_COLUMNS, "retracted"], rows)
    config = _config(max_quarantined_share=1.0)
    contract = TableContract(
        "observations", load_suite("observations", config, Path()), load_limits(config, Path()), config
    )
    order = list(range(len(rows)))
    random.shuffle(order)
    whole = _judged(contract, raw, 10_000)
    assert len(rows) == len(whole[0]) + len(whole[1]) + whole[2].exact_duplicates
    in_memory = 1 << 30
    shuffled = raw.take(pa.array(order, pa.int64()))
    for one, size, held_bytes in ((shuffled, 10_000, 0), (raw, rows_per_chunk, 0), (raw, rows_per_chunk, in_memory)):
        again = _judged(contract, one, size, held_bytes)
        assert again[0] == whole[0]
        assert sorted(map(str, again[1])) == sorted(map(str, whole[1]))
        assert _counted(again[2]) == _counted(whole[2])
    for row in whole[0]:
        assert all(row[key] for key in ("stay_id", "observed_at", "variable"))
        assert row["retracted"] or row["value"] is not None
        assert row["retracted"] or row["variable"] != "HR" or 0 <= row["value"] <= 350


_NONE = pa.table({})


def _judged(contract, raw, rows_per_chunk, held_bytes=0):
    with TemporaryDirectory() as folder:
        path = Path(folder) / "raw.parquet"
        write_table(raw, path)
        chunks = raw_chunks([RawPartition(DAY, path)], rows_per_chunk, Path(folder), held_bytes)
        parts = [judge(contract, chunk, no_admissions) for chunk in chunks]
    count = DateCount()
    for part in parts:
        for of_chunk in part.counts.values():
            count.add(of_chunk)
    admitted = [row for part in parts for row in part.admitted.get(DAY, _NONE).to_pylist()]
    quarantined = [row for part in parts for row in part.quarantined.get(DAY, _NONE).to_pylist()]
    return admitted, quarantined, count


def _counted(count):
    return (count.rows_in, count.admitted, count.quarantined, count.exact_duplicates,
            {rule: outcome for rule, outcome in count.rules.items() if outcome[1]})  # fmt: skip

import json
from datetime import date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medlstm.config import parse_config
from medlstm.contracts import QuarantineLimitExceeded, admit_observations, admit_stays
from medlstm.errors import ConfigError, ContractStopped
from medlstm.suites import Suite, load_suite
from medlstm.tables import raw_schema

NOWHERE = Path()
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


def _raw(columns, rows):
    records = [
        dict(zip(columns, row, strict=True)) | {"extract_date": DAY, "source_file": "f.csv", "source_row": index + 1}
        for index, row in enumerate(rows)
    ]
    return pa.Table.from_pylist(records, schema=raw_schema(columns))


def _stays(rows, columns=STAY_COLUMNS, **contracts):
    config = _config(**contracts)
    return admit_stays(_raw(columns, rows), load_suite("stays", config, NOWHERE), config, DAY)


def _observations(rows, **contracts):
    config = _config(**contracts)
    return admit_observations(_raw(OBSERVATION_COLUMNS, rows), load_suite("observations", config, NOWHERE), config, DAY)


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
        ((*GOOD[:4], "perhaps", "61", "a"), "not_a_boolean"),
        ((*GOOD[:5], "old", "a"), "not_a_number"),
        ((*GOOD[:5], "161", "a"), "age_impossible"),
    ],
)
def test_a_bad_stay_is_quarantined_with_its_rule_and_the_good_one_goes_through(row, rule):
    admission = _stays([GOOD, row])
    assert admission.admitted.column("stay_id").to_pylist() == ["s1"]
    assert admission.quarantined.column("rule").to_pylist() == [rule]
    assert admission.quarantined.column("reason").to_pylist()[0]
    assert {outcome.rule: outcome.rows for outcome in admission.report.rules}[rule] == 1


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
def test_a_bad_observation_is_quarantined_with_its_rule(row, rule):
    good = [("s1", f"2026-03-28T{hour:02}:00:00", "Temp", "37") for hour in range(3)]
    admission = _observations([*good, row])
    assert admission.admitted.num_rows == 3
    assert admission.quarantined.column("rule").to_pylist() == [rule]


def test_a_row_that_breaks_two_rules_is_quarantined_once_with_both_reasons():
    admission = _stays([GOOD, ("s2", None, "2026-03-28T10:00:00", "2026-03-27T10:00:00", None, "-4", "a")])
    assert admission.report.quarantined == 1
    assert admission.quarantined.column("reason").to_pylist()[0].count(";") == 2


def test_exact_duplicates_are_counted_and_the_first_stays():
    rows = [GOOD, ("s2", *GOOD[1:]), GOOD]
    admission = _stays(rows)
    assert admission.report.exact_duplicates == 1
    assert admission.admitted.column("source_row").to_pylist() == [1, 2]


def test_a_length_of_stay_stands_in_for_the_discharge():
    columns = ["stay_id", "admitted_at", "los_days"]
    rows = [(stay, "2026-03-20T00:00:00Z", days) for stay, days in (("a", "1.5"), ("b", None), ("c", "-1"))]
    admission = _stays(rows, columns)
    assert admission.admitted.column("discharged_at").to_pylist()[0].isoformat() == "2026-03-21T12:00:00+00:00"
    assert admission.admitted.column("discharged_at").to_pylist()[1] is None
    assert admission.quarantined.column("rule").to_pylist() == ["negative_length_of_stay"]


def test_without_any_time_a_stay_ends_as_the_extract_date_begins_in_the_hospitals_zone():
    admission = _stays([("a", "2.0"), ("b", None)], ["stay_id", "los_days"])
    start = datetime.fromisoformat("2026-03-28T23:00:00+00:00")
    assert admission.admitted.column("discharged_at").to_pylist() == [start, None]
    assert admission.admitted.column("admitted_at").to_pylist()[1] == start
    assert admission.admitted.column("patient_id").to_pylist() == ["a", "b"]


def test_a_missing_column_stops_with_its_name():
    with pytest.raises(ContractStopped, match="admitted_at is missing"):
        _stays([("a", "p")], ["stay_id", "patient_id"])


def test_a_large_share_stops_and_still_hands_over_the_rows():
    with pytest.raises(QuarantineLimitExceeded, match=r"12 of 30 rows \(40%\).*not_a_number 12") as stopped:
        _observations([("s1", "2026-03-28T10:00:00", "HR", f"{80 + index}" if index < 18 else f"x{index}")
                       for index in range(30)])  # fmt: skip
    assert stopped.value.admission.quarantined.num_rows == 12


def test_an_empty_table_goes_through():
    assert _observations([]).report.rows_in == 0


def _suite(type_, kwargs, action):
    meta = {"rule": "r", "action": action, "description": "d"}
    expectation = {"type": type_, "kwargs": kwargs, "severity": "critical", "meta": meta}
    return Suite.model_validate({"name": "s", "expectations": [expectation]})


def test_stop_and_warn_do_what_they_say():
    config, raw = _config(), _raw(STAY_COLUMNS, [GOOD])
    kwargs = {"column": "age", "max_value": 50}
    with pytest.raises(ContractStopped, match="rule r stops the night: 1 rows"):
        admit_stays(raw, _suite("expect_column_values_to_be_between", kwargs, "stop"), config, DAY)
    warned = admit_stays(raw, _suite("expect_column_values_to_be_between", kwargs, "warn"), config, DAY)
    assert warned.report.admitted == 1
    assert [outcome.rows for outcome in warned.report.rules] == [1]


def test_a_crashed_check_stops_and_says_that_it_says_nothing_of_the_data():
    suite = _suite("expect_column_values_to_be_between", {"column": "ward", "max_value": 50}, "warn")
    with pytest.raises(ContractStopped, match="check itself crashed"):
        admit_stays(_raw(STAY_COLUMNS, [GOOD]), suite, _config(), DAY)


def test_a_rule_about_the_whole_table_cannot_quarantine_rows():
    suite = _suite("expect_table_row_count_to_be_between", {"min_value": 5}, "quarantine")
    with pytest.raises(ConfigError, match="action must be stop or warn"):
        admit_stays(_raw(STAY_COLUMNS, [GOOD]), suite, _config(), DAY)


def test_a_wrong_suite_file_names_the_expectation(tmp_path):
    config = _config(suites_folder="mine")
    (tmp_path / "mine").mkdir()
    expectation = {"type": "t", "kwargs": {}, "severity": "critical", "meta": {"rule": "r", "action": "drop"}}
    (tmp_path / "mine" / "stays.json").write_text(json.dumps({"name": "s", "expectations": [expectation]}))
    with pytest.raises(ConfigError, match=r"stays\.json: expectations\.0\.meta\.action"):
        load_suite("stays", config, tmp_path)


_texts = st.sampled_from(["s1", "s2", "", None, "2026-03-28T10:00:00", "2026-03-29T02:30:00", "x", "-1", "37", "HR"])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(_texts, _texts, _texts, _texts), max_size=30), st.randoms(use_true_random=False))
def test_no_row_is_lost_and_order_does_not_matter(rows, random):
    raw = _raw(OBSERVATION_COLUMNS, rows)
    config = _config(max_quarantined_share=1.0)
    suite = load_suite("observations", config, NOWHERE)
    admission = admit_observations(raw, suite, config, DAY)
    report = admission.report
    assert len(rows) == admission.admitted.num_rows + admission.quarantined.num_rows + report.exact_duplicates
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = admit_observations(raw.take(pa.array(order, pa.int64())), suite, config, DAY)
    assert shuffled.admitted.equals(admission.admitted)
    assert shuffled.quarantined.equals(admission.quarantined)

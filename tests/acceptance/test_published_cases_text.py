"""The shared cases of delimited, JSON Lines and Parquet files, each read as its README says is right."""

import shutil
from datetime import date
from pathlib import Path

import pytest

from medlstm.lake.files import Workspace
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import load_config
from tests.conftest import SHARED_DATA
from tests.unit.night import admitted, quarantined, take_in, take_in_and_validate

CASES = SHARED_DATA.parent / "cases"
DAY = date(2026, 3, 28)
pytestmark = pytest.mark.skipif(not CASES.is_dir(), reason="the cases are not at shared/cases beside the checkout")


class Case:
    """A case taken in: what the lake has of it."""

    def __init__(self, name: str, root: Path, setting: str = "") -> None:
        self.root = root / name
        shutil.copytree(CASES / name, self.root, copy_function=shutil.copyfile)
        for folder in (self.root, *self.root.rglob("*/")):
            folder.chmod(0o755)
        if setting:
            toml = self.root / "medlstm.toml"
            toml.write_text(toml.read_text().replace("[[source.files]]\n", f"[[source.files]]\n{setting}\n"))
        self.config = load_config(self.root)
        self.landed = take_in(self.root, DAY, self.config)
        self.reports = take_in_and_validate(self.root, DAY, self.config)

    def rows(self, table):
        return admitted(self.root, table, DAY)

    def column(self, table, *names):
        return [tuple(_shown(row[name]) for name in names) for row in self.rows(table)]

    def rules(self, table):
        return [(row["source_row"], row["rule"]) for row in quarantined(self.root, table, DAY)]


def _shown(value):
    return value.isoformat() if hasattr(value, "isoformat") else value


@pytest.fixture
def case(tmp_path):
    return lambda name, setting="": Case(name, tmp_path, setting)


def test_identifiers_from_a_float_column_are_whole_numbers(case):
    found = case("01-long-float-ids")
    assert {row["stay_id"] for row in found.rows("stays")} == {"202600000017", "202600000018"}
    assert sorted(found.column("observations", "stay_id", "value")) == [("202600000017", 80.0), ("202600000018", 90.0)]
    assert found.rules("observations") == [(3, "stay_id_missing")]


def test_nanoseconds_are_cut_to_microseconds(case):
    found = case("03-nanoseconds")
    assert found.landed.unreadable == ()
    assert sorted(found.column("observations", "value", "observed_at")) == [
        (80.0, "2026-03-27T09:00:00.123456+00:00"), (81.0, "2026-03-27T09:00:00+00:00"),
    ]  # fmt: skip


def test_points_between_thousands_are_no_decimal_points(case):
    found = case("04-thousands")
    values = [value for _, value in sorted(found.column("observations", "source_row", "value"))]
    assert values == [1234.5, 245000.0, 1245000.0, 1250.0, 999.0, 12400.0]


def test_an_open_quote_in_a_column_that_nobody_reads_loses_no_row(case):
    found = case("05-open-quote")
    assert [row["stay_id"] for row in found.rows("stays")] == ["s1", "s2", "s3", "s4", "s5", "s6"]
    (warning,) = found.landed.warnings
    assert "stays.csv: 1 rows open a quote" in warning
    assert "line 3" in warning


@pytest.mark.parametrize("setting", ["", 'quoting = "none"'])
def test_quotes_that_pair_up_over_lines_of_a_tab_file_move_no_admission(case, setting):
    found = case("05d-tab-quotes", setting)
    assert found.column("stays", "stay_id", "admitted_at") == [
        ("s1", "2026-03-21T10:00:00+00:00"), ("s2", "2026-03-22T11:00:00+00:00"), ("s3", "2026-03-23T12:00:00+00:00"),
        ("s4", "2026-03-24T13:00:00+00:00"), ("s5", "2026-03-25T14:00:00+00:00"), ("s6", "2026-03-26T15:00:00+00:00"),
    ]  # fmt: skip
    assert bool(found.landed.warnings) != bool(setting)


def test_words_for_nothing_are_missing_and_no_patient_is_named_null(case):
    found = case("06-null-text")
    assert found.column("stays", "stay_id", "patient_id", "discharged_at") == [("s1", "p1", None), ("s4", "p4", None)]
    assert found.rules("stays") == [(2, "patient_id_missing"), (3, "patient_id_missing")]
    assert found.column("observations", "stay_id", "value") == [("s2", 77.0)]
    assert found.rules("observations") == [(1, "value_missing")]


def test_a_key_that_no_line_has_is_missing_where_it_may_be(case):
    found = case("07-jsonl-omitted-null")
    assert found.landed.unreadable == ()
    assert found.column("stays", "stay_id", "discharged_at") == [("s1", None), ("s2", None)]
    assert any("have no key dis" in warning for warning in found.landed.warnings)


def test_the_file_of_the_higher_number_is_the_later_one(case):
    found = case("08-unpadded-names")
    (stay,) = load_cohort(Workspace(found.root), DAY, found.config).frame.to_dict("records")
    assert stay["discharged_at"].isoformat() == "2026-03-28T08:30:00+00:00"
    assert [value for _, value in found.column("observations", "source_file", "value")] == [80.0, 88.0]


def test_spellings_of_times_are_read(case):
    found = case("09-utc-suffix-2400")
    assert found.rules("stays") == found.rules("observations") == []
    assert found.column("stays", "stay_id", "admitted_at", "discharged_at")[:2] == [
        ("s1", "2026-03-27T10:00:00+00:00", None), ("s2", "2026-03-27T10:00:00+00:00", "2026-03-27T23:00:00+00:00"),
    ]  # fmt: skip
    assert found.column("stays", "stay_id", "admitted_at")[3] == ("s4", "2026-03-27T08:30:00+00:00")
    assert found.column("observations", "stay_id", "observed_at") == [
        ("s1", "2026-03-27T12:00:00+00:00"), ("s3", "2026-03-27T23:00:00+00:00"),
    ]  # fmt: skip


def test_a_folder_of_part_files_is_one_file_and_its_folders_are_a_column(case):
    found = case("18-spark-folder")
    assert found.landed.unreadable == ()
    assert found.column("stays", "stay_id", "ward") == [("s1", "ICU"), ("s2", "MED")]


def test_upper_case_endings_are_endings(case):
    found = case("19-uppercase-csv")
    assert found.landed.unreadable == ()
    assert (len(found.rows("stays")), len(found.rows("observations"))) == (1, 1)


@pytest.mark.parametrize(("name", "stays"), [("20-trailing-delimiters", 2), ("20c-duplicate-unused-column", 1)])
def test_columns_that_nobody_asked_for_never_matter(case, name, stays):
    found = case(name)
    assert found.landed.unreadable == ()
    assert len(found.rows("stays")) == stays

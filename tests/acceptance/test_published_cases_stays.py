"""Published cases about stays (masked ages, early rows, dates without a time, snapshots) and their siblings."""

import shutil
from datetime import UTC, date, datetime

import numpy as np
import pytest

from medlstm.contracts.raw_to_admitted import validate_date
from medlstm.ingest.landing_to_raw import ingest_date
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.sequences.build import build_sequences
from medlstm.sequences.cohort import load_cohort
from medlstm.sequences.stay_sequences import load_sequences
from medlstm.settings.workspace import load_config
from tests.conftest import SHARED_DATA

CASES = SHARED_DATA.parent / "cases"
DAY = date(2026, 3, 28)
HEAD = '[workspace]\ntimezone = "Europe/Berlin"\n[contracts]\nmax_quarantined_share = 1.0\n'
STAYS = """[[source.files]]
pattern = "stays*"
table = "stays"
columns = { stay_id = "visit", patient_id = "mrn", admitted_at = "adm", discharged_at = "dis" }
"""
LABS = """[[source.files]]
pattern = "labs*"
table = "observations"
columns = { stay_id = "visit", observed_at = "t", variable = "test", value = "v" }
"""
SOURCE = f'[source]\nformat = "csv"\n{STAYS}{LABS}'


@pytest.fixture
def case(tmp_path):
    """A copy of a published case, its configuration edited where a test says so."""

    def copied(name, edit=lambda text: text):
        if not (CASES / name).is_dir():
            pytest.skip(f"the published cases are not at {CASES.parent.name}/{CASES.name} beside the checkout")
        root = tmp_path / "case"
        shutil.copytree(CASES / name, root)
        config = root / "medlstm.toml"
        config.write_text(edit(config.read_text("utf-8")), encoding="utf-8")
        return root

    return copied


@pytest.fixture
def hospital(tmp_path):
    """A workspace of stays and labs, by date and file."""

    def written(landing, config=HEAD + SOURCE):
        root = tmp_path / "hospital"
        for name, text in landing.items():
            path = root / "landing" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        (root / "medlstm.toml").write_text(config, encoding="utf-8")
        return root

    return written


def _take_in(root, *days):
    """The contract reports of the last date, by table."""
    place, config = Workspace(root), load_config(root)
    for day in days or (DAY,):
        ingest_date(place, day, config)
        reports = validate_date(place, day, config).reports
    return {one.table: one for one in reports}


def _admitted(root, table="stays", day=DAY):
    return read_table(partition_file(Workspace(root).admitted(table), day)).to_pylist()


def _column(root, name, table="stays"):
    return {row["stay_id"]: row[name] for row in _admitted(root, table)}


def _caught(report):
    return {one.rule: (one.action, one.rows) for one in report.rules if one.rows}


def _first_values(root, day=DAY):
    """(stay, step, variable) to value of all stays of a night, and its ledger's kinds that have rows."""
    place = Workspace(root)
    summary = build_sequences(place, day, load_config(root), "all")
    night = load_sequences(place.sequences(day))
    values = {
        (night.stays["stay_id"].iloc[stay], int(step), name): float(value)
        for column, name in enumerate(night.variables)
        for stay, step, value in zip(night.stay, night.step, night.values[:, column], strict=True)
        if not np.isnan(value)
    }
    return values, {kind: rows for kind, rows in summary.observations.kinds.items() if rows}


def _utc(hour, minute=0, second=0, microsecond=0, day=27):
    return datetime(2026, 3, day, hour, minute, second, microsecond, tzinfo=UTC)


def _masked(text):
    return text.replace('discharged_at = "dis" }', 'discharged_at = "dis" }\nage_masks = ["> 89", "300"]')


def test_ages_that_cannot_be_read_are_missing_and_every_stay_stays(case):
    root = case("23-age-masks")
    stays = _take_in(root)["stays"]
    assert (stays.admitted, stays.quarantined) == (5, 0)
    assert _column(root, "age") == {"s1": None, "s2": None, "s3": None, "s4": None, "s5": 0.0}
    assert _caught(stays) == {"age_unreadable": ("set_missing", 2), "age_impossible": ("set_missing", 1)}


def test_declared_masks_of_ages_are_the_age_that_is_meant(case):
    root = case("23-age-masks", _masked)
    stays = _take_in(root)["stays"]
    assert _column(root, "age") == {"s1": 90.0, "s2": 90.0, "s3": None, "s4": None, "s5": 0.0}
    assert _caught(stays) == {"age_unreadable": ("set_missing", 1)}


def test_masks_weights_and_birth_dates_of_other_makes(hospital):
    config = HEAD + '[features]\nnumeric = ["age", "Weight"]\n' + SOURCE.replace(
        'discharged_at = "dis" }', 'discharged_at = "dis", birth_date = "born" }\n'
        'age_masks = { "90+" = 91, "1900-01-01" = 90, "300" = 90 }', 1,
    )  # fmt: skip
    rows = ["s1,p1,2026-03-27 10:00,,1900-01-01,80 kg", "s2,p2,2026-03-27 10:00,,1850-06-01,9000",
            "s3,p3,2026-03-27 10:00,,1960-03-28,70.5", "s4,p4,2026-03-27 10:00,,90+,", "s5,p5,2026-03-27 10:00,,,0.5",
            "s6,p6,2026-03-27 10:00,,1725-12-01,60"]  # fmt: skip
    root = hospital({f"{DAY}/stays.csv": "\n".join(["visit,mrn,adm,dis,born,Weight", *rows])}, config)
    stays = _take_in(root)["stays"]
    assert stays.admitted == 6
    assert _column(root, "age") == {"s1": 90.0, "s2": None, "s3": 65.0, "s4": 91.0, "s5": None, "s6": 90.0}
    assert _column(root, "Weight") == {"s1": None, "s2": None, "s3": 70.5, "s4": None, "s5": 0.5, "s6": 60.0}
    assert _caught(stays) == {"Weight_unreadable": ("set_missing", 1), "Weight_impossible": ("set_missing", 1),
                              "age_impossible": ("set_missing", 1)}  # fmt: skip


def test_what_lies_before_the_admission_counts_in_the_first_bin(case):
    root = case("31-before-admission")
    observations = _take_in(root)["observations"]
    values, kinds = _first_values(root)
    assert values == {("s1", 0, "Lactate"): pytest.approx(4.1), ("s1", 0, "CRP"): 80.0, ("s1", 2, "HR"): 80.0}
    assert kinds == {"in_a_bin": 3}
    assert _caught(observations) == {"observed_at_is_a_day": ("warn", 1)}
    assert any("1 of 3 rows: observed_at: a date without a time" in one for one in observations.warnings)


def test_what_lies_outside_the_window_and_the_stay_is_counted(hospital):
    rows = ["s1,2026-03-27 09:59,Lactate,1", "s1,2026-03-27 10:00,Lactate,2", "s1,2026-03-28 09:00,Lactate,3",
            "s1,2026-03-28 10:30,Lactate,4", "s1,2026-03-28 13:00,Lactate,5",
            "s2,2026-03-28 13:00,Lactate,6"]  # fmt: skip
    stays = "visit,mrn,adm,dis\ns1,p1,2026-03-28 10:00,2026-03-28 13:00"
    landing = {f"{DAY}/stays.csv": stays, f"{DAY}/labs.csv": "\n".join(["visit,t,test,v", *rows])}
    root = hospital(landing, HEAD + SOURCE)
    _take_in(root)
    values, kinds = _first_values(root)
    assert values == {("s1", 0, "Lactate"): 4.0}
    assert kinds == {"in_a_bin": 1, "overwritten": 2, "before_admission": 1, "after_discharge": 1, "unknown_stay": 1}
    (root / "medlstm.toml").write_text(HEAD + "[sequences]\npre_admission_hours = 0\n" + SOURCE, encoding="utf-8")
    assert _first_values(root)[1]["before_admission"] == 3


def test_a_discharge_given_as_a_date_ends_that_day(case):
    root = case("31b-date-only-discharge")
    stays = _take_in(root)["stays"]
    assert (stays.admitted, stays.quarantined) == (3, 0)
    end = _utc(22, 59, 59, 999999)
    assert _column(root, "discharged_at") == {"s1": end, "s2": end, "s3": end}
    assert _column(root, "admitted_at") == {"s1": _utc(9), "s2": _utc(9, day=26), "s3": _utc(23, day=26)}
    assert _caught(stays) == {"discharged_at_is_a_day": ("warn", 3), "admitted_at_is_a_day": ("warn", 1)}
    assert any("3 of 3 rows: discharged_at: a date without a time; it counts as the end" in one
               for one in stays.warnings)  # fmt: skip
    frame = load_cohort(Workspace(root), date(2026, 3, 28), load_config(root)).frame
    assert not frame["is_open"].any()
    assert _first_values(root)[1] == {"in_a_bin": 1}


@pytest.mark.parametrize(
    ("form", "text", "settings"),
    [
        ("a format without a time", "27.03.2026", 'time_formats = ["%d.%m.%Y %H:%M", "%d.%m.%Y"]'),
        ("digits alone", "20260327", ""),
        ("a zone of the file", "2026-03-27", 'timezone = "UTC"'),
        ("a format and a zone", "27.03.2026", 'timezone = "UTC"\ntime_formats = ["%d.%m.%Y"]'),
        ("blanks around it", " 2026-03-27 ", ""),
    ],
)
def test_a_date_is_a_day_however_it_is_written(hospital, form, text, settings):
    config = HEAD + SOURCE.replace('discharged_at = "dis" }', f'discharged_at = "dis" }}\n{settings}', 1)
    config = config.replace("[contracts]\n", '[contracts]\nday_action = "off"\n')
    root = hospital({f"{DAY}/stays.csv": f"visit,mrn,adm,dis\ns1,p1,{text},{text}"}, config)
    stays = _take_in(root)["stays"]
    assert _column(root, "admitted_at") == {"s1": _utc(23, day=26)}
    assert _column(root, "discharged_at") == {"s1": _utc(22, 59, 59, 999999)}
    assert _caught(stays)["discharged_at_is_a_day"] == ("warn", 1)
    assert not any("without a time" in one for one in stays.warnings)


def test_the_day_on_which_the_clocks_change_ends_at_its_own_midnight(hospital):
    root = hospital({"2026-03-30/stays.csv": "visit,mrn,adm,dis\ns1,p1,2026-03-29,2026-03-29"})
    _take_in(root, date(2026, 3, 30))
    (stay,) = _admitted(root, day=date(2026, 3, 30))
    assert (stay["admitted_at"], stay["discharged_at"]) == (_utc(23, day=28), _utc(21, 59, 59, 999999, day=29))


def test_a_discharge_on_the_last_day_of_the_calendar_stands_for_never(hospital):
    root = hospital({f"{DAY}/stays.csv": "visit,mrn,adm,dis\ns1,p1,2026-03-27 10:00,9999-12-31"},
                    (HEAD + SOURCE).replace("Europe/Berlin", "America/New_York"))  # fmt: skip
    assert _take_in(root)["stays"].quarantined == 0
    assert _open(root, DAY) == ["s1"]


def test_a_result_of_a_day_belongs_to_the_stay_that_holds_some_of_it(hospital):
    join = 'joins = [{ name = "stay", pattern = "stays*", on = { mrn = "mrn" }, between = { time = "t", start = "adm", '
    join += 'stop = "dis" } }]'
    labs = LABS.replace('stay_id = "visit"', 'stay_id = "stay.visit"').replace("\ncolumns", f"\n{join}\ncolumns")
    stays = ["s1,p1,2026-03-26 10:00,2026-03-26", "s2,p1,2026-03-27 10:00,2026-03-27"]
    rows = ["p1,2026-03-26,HR,1", "p1,2026-03-27,HR,2", "p1,2026-03-27 23:00,HR,3", "p1,2026-03-27 09:00,HR,4"]
    landing = {f"{DAY}/stays.csv": "\n".join(["visit,mrn,adm,dis", *stays]),
               f"{DAY}/labs.csv": "\n".join(["mrn,t,test,v", *rows])}  # fmt: skip
    root = hospital(landing, f'{HEAD}[source]\nformat = "csv"\n{STAYS}{labs}')
    _take_in(root)
    found = {row["value"]: row["stay_id"] for row in _admitted(root, "observations")}
    assert found == {1.0: "s1", 2.0: "s2", 3.0: "s2"}


def _open(root, day):
    frame = load_cohort(Workspace(root), day, load_config(root)).frame
    return sorted(frame.loc[frame["is_open"], "stay_id"])


def _snapshot(text):
    return text.replace('pattern = "stays*"', 'pattern = "stays*"\nsnapshot = true', 1)


def _warnings(root, day):
    return build_sequences(Workspace(root), day, load_config(root), "open").warnings


def test_a_stay_that_the_next_snapshot_no_longer_lists_has_ended(case):
    root, before = case("34-vanished-from-snapshot", _snapshot), date(2026, 3, 27)
    _take_in(root, before, DAY)
    assert (_open(root, before), _open(root, DAY)) == (["s1", "s2"], ["s1"])
    frame = load_cohort(Workspace(root), DAY, load_config(root)).frame.set_index("stay_id")
    assert frame.loc["s2", "end_at"] == _utc(22, 59, 59, 999999, day=28)
    assert not _warnings(root, DAY)


def test_a_stay_that_vanishes_may_be_declared_withdrawn(case):
    root = case("34-vanished-from-snapshot", lambda text: _snapshot(text).replace(
        "snapshot = true", 'snapshot = true\nvanished = "withdrawn"'))  # fmt: skip
    _take_in(root, date(2026, 3, 27), DAY)
    cohort = load_cohort(Workspace(root), DAY, load_config(root))
    assert (cohort.frame["stay_id"].tolist(), cohort.others) == (["s1"], {"s2": "stay_taken_back"})


def test_without_a_snapshot_stays_that_are_silent_for_long_are_counted_in_a_warning(case):
    root = case("34-vanished-from-snapshot", lambda text: text.replace(
        "[contracts]", "[contracts]\nmax_silent_days = 1"))  # fmt: skip
    _take_in(root, date(2026, 3, 27), DAY)
    assert _open(root, DAY) == ["s1", "s2"]
    (warning,) = _warnings(root, DAY)
    assert "1 of 2 open stays have had no row for 1 days" in warning


def _listing(*stays):
    return "\n".join(["visit,mrn,adm,dis", *(f"{stay},{stay},2026-03-20 10:00," for stay in stays)])


EVERYBODY = [f"s{number}" for number in range(10)]
NIGHTS = [date(2026, 3, day) for day in (25, 26, 27, 28)]


def _drops(*files):
    """The landing folders of the nights: a listing each, or several by name."""
    return {
        f"{night}/{name}": text
        for night, drop in zip(NIGHTS, files, strict=False)
        for name, text in (drop if isinstance(drop, dict) else {"stays.csv": drop}).items()
    }


def test_a_stay_leaves_and_comes_again_and_gaps_between_snapshots_do_no_harm(hospital):
    root = hospital(_drops(_listing(*EVERYBODY), {"notes.txt": ""}, _listing(*EVERYBODY[1:]), _listing(*EVERYBODY)),
                    _snapshot(HEAD + SOURCE))  # fmt: skip
    _take_in(root, *NIGHTS)
    assert [len(_open(root, night)) for night in NIGHTS] == [10, 10, 9, 10]


@pytest.mark.parametrize(
    ("what", "drop", "said"),
    [
        ("a header alone", _listing(), "no snapshot stays* since 2026-03-26"),
        ("a third", _listing(*EVERYBODY[:3]), "lists 3 stays, usual are 10"),
        ("a file that breaks off", {"stays.csv": _listing(*EVERYBODY[:8]), "stays_2.csv.gz": "broken"},
         "could not be read in full"),
        ("a line of nobody", _listing(*EVERYBODY[:8], ""), "could not be read in full"),
    ],
)  # fmt: skip
def test_a_snapshot_that_is_not_whole_discharges_nobody_and_says_so(hospital, what, drop, said):
    root = hospital(_drops(_listing(*EVERYBODY), _listing(*EVERYBODY), drop), _snapshot(HEAD + SOURCE))
    _take_in(root, *NIGHTS[:3])
    assert _open(root, NIGHTS[2]) == EVERYBODY
    (warning,) = _warnings(root, NIGHTS[2])
    assert said in warning


def test_a_ward_whose_file_is_missing_keeps_its_patients(hospital):
    both = {"stays_a.csv": _listing(*EVERYBODY[:7]), "stays_b.csv": _listing(*EVERYBODY[7:])}
    root = hospital(_drops(both, both, {"stays_a.csv": both["stays_a.csv"]}, both), _snapshot(HEAD + SOURCE))
    _take_in(root, *NIGHTS)
    assert [len(_open(root, night)) for night in NIGHTS] == [10, 10, 10, 10]
    assert "has 1 files, usual are 2" in _warnings(root, NIGHTS[2])[0]


def test_a_stay_whose_row_is_quarantined_is_listed_all_the_same(hospital):
    bad = _listing(*EVERYBODY).replace("s3,s3,2026-03-20 10:00,", "s3,s3,2026-03-20 10:00,never")
    root = hospital(_drops(_listing(*EVERYBODY), bad), _snapshot(HEAD + SOURCE))
    assert _take_in(root, *NIGHTS[:2])["stays"].quarantined == 1
    assert _open(root, NIGHTS[1]) == EVERYBODY


def test_a_planned_stay_that_vanishes_before_it_begins_is_none(hospital):
    planned = "visit,mrn,adm,dis\ns1,p1,2026-03-20 10:00,\ns2,p2,2026-03-26 10:00,"
    config = _snapshot(HEAD + SOURCE).replace("[workspace]", "[workspace]\ncutoff_hour = 6", 1)
    root = hospital(_drops(planned, _listing("s1"), _listing("s1")), config)
    _take_in(root, *NIGHTS[:3])
    cohort = load_cohort(Workspace(root), NIGHTS[2], load_config(root))
    assert (cohort.frame["stay_id"].tolist(), cohort.others) == (["s1"], {"s2": "stay_taken_back"})

import gzip
from collections import Counter
from datetime import date, timedelta
from importlib import resources
from io import BytesIO

import numpy as np
import pandas as pd
import pytest

from medlstm.contracts.raw_to_admitted import validate_dates
from medlstm.errors import MedlstmError
from medlstm.ingest.landing_to_raw import ingest_dates
from medlstm.lake.files import Workspace, partition_file, read_table
from medlstm.settings.workspace import load_config
from medlstm.synthetic.case_mix import DISEASES, LABS, VITALS
from medlstm.synthetic.hospital import LABS_FILE, LABS_FILE_AGAIN, simulate_hospital

START = date(2026, 3, 9)
DAYS = 22
TIMEZONE = "Europe/Berlin"


def _simulate(landing, seed=5, admissions_per_day=20.0, **options):
    options = {"timezone": TIMEZONE, "admissions_per_day": admissions_per_day, **options}
    return simulate_hospital(landing, START, DAYS, seed, **options)


def _bytes(landing):
    return {path.relative_to(landing).as_posix(): path.read_bytes() for path in sorted(landing.rglob("*.csv*"))}


@pytest.fixture(scope="module")
def hospital(tmp_path_factory):
    """A small hospital, its raw rows as the demo's own mapping reads them, and what the contract makes of them."""
    root = tmp_path_factory.mktemp("hospital")
    template = resources.files("medlstm.settings").joinpath("examples", "demo.toml").read_text("utf-8")
    (root / "medlstm.toml").write_text(template, encoding="utf-8")
    config = load_config(root)
    summary = _simulate(root / "landing")
    place, raw, admitted, reports = Workspace(root), {}, {}, {}
    days = [START + timedelta(days=offset) for offset in range(DAYS)]
    taken_in = list(ingest_dates(place, days, config))
    # Together: a validation costs as much as half a million rows.
    for landed, judged in zip(taken_in, validate_dates(place, days, config), strict=True):
        assert not landed.unreadable
        assert not landed.warnings
        day = judged.extract_date
        for report in judged.reports:
            raw.setdefault(report.table, []).append(_frame(place.raw(report.table), day))
            admitted.setdefault(report.table, []).append(_frame(place.admitted(report.table), day))
            reports.setdefault(report.table, []).append(report)
    tables = {name: pd.concat(parts, ignore_index=True) for name, parts in admitted.items()}
    return root, summary, {name: pd.concat(parts) for name, parts in raw.items()}, tables, reports


def _frame(folder, day):
    return read_table(partition_file(folder, day)).to_pandas()


def _rule_totals(reports):
    return Counter({name: rows for name, rows in sum(
        (Counter({rule.rule: rule.rows for rule in report.rules}) for report in reports), Counter()
    ).items() if rows})  # fmt: skip


def test_equal_seeds_give_equal_bytes_and_other_seeds_other_ones(hospital, tmp_path):
    progress = []
    _simulate(tmp_path / "again", on_day=lambda done, total: progress.append((done, total)))
    _simulate(tmp_path / "other", seed=6)
    first = _bytes(hospital[0] / "landing")
    assert _bytes(tmp_path / "again") == first
    assert _bytes(tmp_path / "other") != first
    assert progress == [(day, DAYS) for day in range(1, DAYS + 1)]


def test_every_fault_is_in_the_files_as_often_as_counted(hospital):
    _, summary, raw, admitted, reports = hospital
    faults = dict(summary.faults)
    assert all(rows > 0 for rows in faults.values()), faults
    stays, observations = _rule_totals(reports["stays"]), _rule_totals(reports["observations"])
    assert stays == {
        "stay_id_missing": faults["stay_without_id"],
        "discharged_before_admission": faults["discharge_before_admission"],
    }
    impossible = sum(rows for rule, rows in observations.items() if rule.endswith("_impossible"))
    assert impossible == faults["impossible_value"]
    assert observations["not_a_number"] == faults["text_for_number"]
    assert observations["value_missing"] == faults["missing_lab_result"]
    assert observations.total() == impossible + faults["text_for_number"] + faults["missing_lab_result"]
    duplicates = sum(report.exact_duplicates for table in reports.values() for report in table)
    assert duplicates == faults["exact_duplicate"] + faults["file_delivered_twice"]
    distinct = raw["stays"].drop_duplicates(["stay_id", "patient_id", "extract_date"])
    assert int(distinct["bmi"].isna().sum()) == faults["missing_bmi"]
    key = ["stay_id", "observed_at", "variable"]
    measured = admitted["observations"]
    corrected = measured[measured.duplicated(key, keep=False)].groupby(key)
    assert len(corrected) == faults["corrected_lab_result"]
    assert (corrected["value"].nunique() == 2).all()
    assert (corrected["extract_date"].nunique() == 2).all()
    vitals = [pd.read_csv(path) for path in sorted((hospital[0] / "landing").glob("*/observations_vitals.csv"))]
    blanks = sum(int(table.isna().sum().sum()) for table in vitals)
    assert blanks == faults["missing_vital_sign"]


def _days_late(moments, extract_dates):
    """Whole local days from each moment (or the first date, for what is older) to its extract."""
    expected = pd.to_datetime(moments).dt.normalize().clip(lower=pd.Timestamp(START))
    return (pd.to_datetime(extract_dates) - expected).dt.days


def test_late_measurements_arrive_late(hospital):
    root, summary = hospital[:2]
    faults, delays, late = dict(summary.faults), Counter(), 0
    for path in sorted((root / "landing").glob("*/observations_*")):
        if path.name == LABS_FILE_AGAIN:
            continue
        lines = pd.read_csv(path, dtype=str, keep_default_na=False)
        time = "taken_at" if "taken_at" in lines else "sampled_at"
        delay = _days_late(lines[time], pd.Series(path.parent.name, index=lines.index))
        delays.update(delay)
        results = lines[delay > 0]
        signs = results.drop(columns=["case_id", time])
        late += int((signs != "").sum().sum()) if time == "taken_at" else len(results)
    assert set(delays) == {0, 1, 2}
    assert late == faults["late_measurement"] + faults["corrected_lab_result"]


def test_late_discharges_are_reported_late(hospital):
    _, summary, _, admitted, _ = hospital
    faults = dict(summary.faults)
    stays = admitted["stays"].dropna(subset=["discharged_at"]).drop_duplicates("stay_id")
    left = stays["discharged_at"].dt.tz_convert(TIMEZONE).dt.tz_localize(None)
    delay = _days_late(left, stays["extract_date"])
    assert 1 < delay.max() <= 4
    resent = faults["discharge_before_admission"] + faults["stay_without_id"]
    assert faults["late_discharge"] <= (delay > 0).sum() <= faults["late_discharge"] + resent


def test_rows_pass_the_contract_but_for_a_small_share_each_day(hospital):
    _, summary, raw, admitted, reports = hospital
    assert summary.observations == len(raw["observations"])
    assert summary.stays == raw["stays"]["stay_id"].nunique() == admitted["stays"]["stay_id"].nunique()
    for report in (*reports["stays"], *reports["observations"]):
        assert report.rows_in > 0
        assert report.quarantined < 0.03 * report.rows_in or report.quarantined <= 2


def test_the_hospital_looks_like_one(hospital):
    stays = hospital[3]["stays"].drop_duplicates("stay_id", keep="last")
    ended = stays.dropna(subset=["discharged_at"])
    days = (ended["discharged_at"] - ended["admitted_at"]).dt.total_seconds() / 86400
    assert 3.5 < days.median() < 6
    assert days.mean() > days.median()
    assert (days > 0).all()
    assert 0.005 < ended["died"].astype(bool).mean() < 0.08
    assert len(stays) - len(ended) > 50
    assert stays["ward"].nunique() == 6
    assert set(stays["disease"]) == set(DISEASES)
    assert stays["age"].between(18, 99).all()
    assert stays["stay_id"].is_unique
    by_patient = stays.sort_values("admitted_at").groupby("patient_id")
    readmitted = stays[stays["patient_id"].duplicated(keep=False)]
    assert len(readmitted) > 10
    assert (by_patient["age"].nunique() == 1).all()
    gap = readmitted.sort_values("admitted_at").groupby("patient_id").apply(
        lambda one: (one["admitted_at"].iloc[1:].to_numpy() > one["discharged_at"].iloc[:-1].to_numpy()).all()
    )
    assert gap.all()


def test_the_first_extract_holds_the_history_and_every_measurement_lies_within_its_stay(hospital):
    tables = hospital[3]
    opened = pd.Timestamp(START, tz=TIMEZONE)
    first = tables["stays"][tables["stays"]["extract_date"] == START]
    assert (first["admitted_at"] < opened).sum() > 50
    newest = tables["stays"].drop_duplicates("stay_id", keep="last").set_index("stay_id")
    observations = tables["observations"]
    assert set(observations["variable"]) == {variable.name for variable in (*VITALS, *LABS)}
    stay = newest.loc[observations["stay_id"]]
    assert (observations["observed_at"].to_numpy() >= stay["admitted_at"].to_numpy()).all()
    ended = stay["discharged_at"].notna().to_numpy()
    assert (observations["observed_at"].to_numpy()[ended] < stay["discharged_at"].to_numpy()[ended]).all()


def test_no_local_time_falls_into_the_hour_that_the_clock_skips(hospital):
    changed = hospital[0] / "landing" / "2026-03-29" / "observations_vitals.csv"
    hours = pd.read_csv(changed)["taken_at"].str[:13]
    assert "2026-03-29T02" not in set(hours)
    assert {"2026-03-29T01", "2026-03-29T03"} <= set(hours)


def test_signs_and_results_tell_how_many_days_remain(hospital):
    tables = hospital[3]
    ended = tables["stays"].dropna(subset=["discharged_at"]).drop_duplicates("stay_id", keep="last")
    rows = tables["observations"].merge(ended[["stay_id", "discharged_at", "died"]], on="stay_id")
    rows = rows[~rows["died"].astype(bool)]
    remaining = (rows["discharged_at"] - rows["observed_at"]).dt.total_seconds() / 86400
    rank = rows.assign(remaining=remaining).groupby("variable")[["value", "remaining"]].corr("spearman")
    found = rank["value"].unstack()["remaining"]
    direction = {variable.name: np.sign(variable.effect) for variable in (*VITALS, *LABS)}
    assert all(found[name] * sign > 0.15 for name, sign in direction.items()), found
    assert found.abs().max() < 0.9


def test_a_file_is_delivered_twice_and_the_compressed_one_has_no_time_in_it(hospital):
    again = sorted((hospital[0] / "landing").glob(f"*/{LABS_FILE_AGAIN}"))
    assert len(again) == 2
    assert all(path.read_bytes() == (path.parent / LABS_FILE).read_bytes() for path in again)
    lines = sum(len(pd.read_csv(BytesIO(gzip.decompress(path.read_bytes())))) for path in again)
    assert lines == dict(hospital[1].faults)["file_delivered_twice"]


def test_other_files_are_not_overwritten(tmp_path):
    folder = tmp_path / START.isoformat()
    folder.mkdir()
    (folder / "stays.csv").write_text("mine")
    with pytest.raises(MedlstmError, match="not from this synthetic hospital"):
        _simulate(tmp_path)
    assert [path.name for path in tmp_path.rglob("*.csv*")] == ["stays.csv"]


def test_too_few_days_are_refused(tmp_path):
    with pytest.raises(ValueError, match="days = 1"):
        simulate_hospital(tmp_path, START, 1, 0, timezone=TIMEZONE)

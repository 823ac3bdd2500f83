"""What a synthetic hospital tells late, each habit against the tidy feed of the same patients."""

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

from medlstm.synthetic.habits import ALL_HABITS, TIDY
from medlstm.synthetic.hospital import LABS_FILE, STAYS_FILE, VITALS_FILE, simulate_hospital

START, DAYS = date(2026, 3, 2), 12


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """A hospital's lines by file, with the day of their arrival; as it is with some habits."""
    known = {}

    def lines(habits):
        if habits not in known:
            folder = tmp_path_factory.mktemp("hospital")
            simulate_hospital(folder, START, DAYS, 4, timezone="Europe/Berlin", admissions_per_day=12.0, habits=habits)
            known[habits] = {
                name: pd.concat(
                    [pd.read_csv(folder / str(START + timedelta(days=day)) / name, dtype=str).assign(day=day)
                     for day in range(DAYS)]
                ) for name in (STAYS_FILE, VITALS_FILE, LABS_FILE)
            }  # fmt: skip
        return known[habits]

    return lines


def _hours_late(labs):
    """From sampling to the end of the day on which a result came, of those that came after the first date."""
    labs = labs[labs["day"] > 0]
    sampled = pd.to_datetime(labs["sampled_at"])
    came = pd.Timestamp(START) + pd.to_timedelta(labs["day"] + 1, unit="D")
    return (came - sampled).dt.total_seconds() / 3600


def test_slow_results_come_up_to_two_days_after_they_were_sampled(told):
    slow, tidy = told(replace(TIDY, slow_results=True)), told(TIDY)
    in_time = [(_hours_late(one[LABS_FILE]) <= 24).mean() for one in (slow, tidy)]
    assert 0.2 < in_time[0] < 0.6
    assert in_time[1] > 0.9
    assert slow[STAYS_FILE].equals(tidy[STAYS_FILE])


def test_a_diagnosis_is_known_of_all_after_the_discharge_and_of_some_before(told):
    stays, tidy = (told(habits)[STAYS_FILE] for habits in (replace(TIDY, coded_at_discharge=True), TIDY))
    ended = stays["discharge"].notna()
    assert stays.loc[ended, "disease"].notna().all()
    assert 0.3 < stays.loc[~ended, "disease"].notna().mean() < 0.5
    true = tidy.drop_duplicates("case_id").set_index("case_id")["disease"]
    working = stays[~ended & stays["disease"].notna() & stays["case_id"].notna()]
    assert 0.6 < (working["disease"].to_numpy() == true[working["case_id"]].to_numpy()).mean() < 0.9


def test_some_patients_move_while_they_are_in(told):
    wards = [told(habits)[STAYS_FILE].groupby("case_id")["ward"].nunique() for habits in
             (replace(TIDY, transfers=True), TIDY)]  # fmt: skip
    assert (wards[0] > 1).mean() > 3 * (wards[1] > 1).mean() > 0


def test_more_results_are_corrected_a_day_later(told):
    again = []
    for habits in (replace(TIDY, corrected_results=True), TIDY):
        labs = told(habits)[LABS_FILE]
        versions = labs.groupby(["case_id", "sampled_at", "analyte"])["result"].nunique()
        again.append((versions > 1).mean())
    assert again[0] > 3 * again[1] > 0


def test_a_feed_that_failed_for_two_days_is_delivered_on_the_third(told):
    rounds = [told(habits)[VITALS_FILE].groupby("day").size().reindex(range(DAYS), fill_value=0) for habits in
              (replace(TIDY, feed_outage=True), TIDY)]  # fmt: skip
    first = 3 * DAYS // 4
    assert rounds[0][first : first + 2].tolist() == [0, 0]
    assert rounds[0].sum() == rounds[1].sum()
    np.testing.assert_array_equal(rounds[0][: first - 1], rounds[1][: first - 1])


def test_equal_arguments_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        simulate_hospital(tmp_path / name, START, 4, 4, timezone="Europe/Berlin", admissions_per_day=4.0,
                          habits=ALL_HABITS)  # fmt: skip
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*.csv*"))
    assert files
    assert all((tmp_path / "one" / one).read_bytes() == (tmp_path / "two" / one).read_bytes() for one in files)

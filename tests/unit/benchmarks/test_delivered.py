import numpy as np

from benchmarks.delivered import Said, discharges, reliability, scores


def test_scores_by_hand():
    said = Said(
        days=np.array([1.0, 3.0]), mean_days=np.array([1.5, 4.0]), lower=np.array([0.0, 2.0]),
        upper=np.array([2.0, np.inf]), leaves=np.array([[0.5, 0.7, 0.9], [0.1, 0.2, 0.3]]), risk=np.array([0.1, 0.9]),
    )  # fmt: skip
    found = scores(said, np.array([0.5, 1.5]), np.array([False, True]))
    assert found["mae_days"] == 1.0
    assert found["coverage"] == 0.5
    assert (found["width_days"], found["upper_bound_known"]) == (2.0, 0.5)
    assert np.isclose(found["brier_24h"], (0.25 + 0.01) / 2)
    assert np.isclose(found["brier_48h"], (0.09 + 0.64) / 2)
    assert found["mortality_auroc"] == 1.0


def test_reliability_is_in_tenths_by_what_was_said():
    tenths = reliability(np.arange(100) / 100, np.arange(100) >= 50)
    assert [one["predictions"] for one in tenths] == [10] * 10
    assert [one["happened"] for one in tenths] == [0.0] * 5 + [1.0] * 5
    assert np.isclose(tenths[0]["said"], 0.045)


def test_stays_of_unknown_length_have_no_truth(tmp_path):
    path = tmp_path / "Outcomes-x.txt"
    path.write_text("RecordID,SAPS-I,SOFA,Length_of_stay,Survival,In-hospital_death\n1,6,1,5,-1,0\n2,6,1,-1,-1,1\n")
    assert discharges(path).to_dict("index") == {"1": {"los_days": 5.0, "died": False}}

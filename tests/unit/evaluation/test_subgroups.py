import numpy as np
import pandas as pd

from medlstm.evaluation.subgroups import FEWEST_STAYS, group_labels, score_subgroups


def test_each_group_is_judged_on_its_own_points():
    count = 200
    stays = pd.DataFrame({"ward": ["a", "b"] * 100, "Age": np.where(np.arange(count) < 100, 30.0, 90.0)})
    # Two points a stay, half a day and five days after the admission.
    stay = np.repeat(np.arange(count), 2)
    elapsed = np.tile([0.5, 5.0], count)
    errors = np.where(stay % 2 == 0, 1.0, 3.0)
    held = (stay % 2 == 0) | (elapsed > 1)
    groups = group_labels(stays, ["ward", "absent"], ["Age", "height"]).iloc[stay]
    found = {(one.attribute, one.group): one for one in score_subgroups(groups, stay, elapsed, errors, held)}
    assert set(found) == {
        ("ward", "a"), ("ward", "b"), ("Age", "18 to under 40 years"), ("Age", "80 years and more"),
        ("since admission", "0 to under 1 days"), ("since admission", "3 to under 7 days"),
    }  # fmt: skip
    b = found["ward", "b"]
    assert (b.stays, b.points, b.mae_days, b.coverage) == (100, 200, 3.0, 0.5)
    assert found["ward", "a"].coverage == 1.0
    assert found["since admission", "0 to under 1 days"].coverage == 0.5
    assert found["since admission", "3 to under 7 days"].coverage == 1.0
    assert found["Age", "80 years and more"].points == 200


def test_a_group_of_few_stays_and_a_missing_category_are_left_out():
    count = 2 * FEWEST_STAYS - 1
    ward = [*["a"] * FEWEST_STAYS, *["b"] * (FEWEST_STAYS - 2), None]
    stays = pd.DataFrame({"ward": pd.Series(ward, dtype="str"), "age": np.full(count, np.nan)})
    stay = np.arange(count)
    groups = group_labels(stays, ["ward"], ["age"])
    found = score_subgroups(groups, stay, np.zeros(count), np.ones(count), np.ones(count, dtype=bool))
    assert [(one.attribute, one.group, one.stays) for one in found] == [
        ("ward", "a", FEWEST_STAYS), ("since admission", "0 to under 1 days", count),
    ]  # fmt: skip

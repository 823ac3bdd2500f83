"""What nights to come are promised: the error on all stays that the model answering had not trained on."""

from dataclasses import dataclass

import numpy as np

from medlstm.evaluation.metrics import bootstrapped_mean
from medlstm.models.predict import Predictions
from medlstm.training.out_of_fold import OutOfFold

DAYS_LOOKED_AT = 60


@dataclass(frozen=True)
class UnseenErrors:
    """Errors in days [m] at points of stays `stay` [m] that the answering model had not trained on. Of stays that are
    not over (`known` [m] false) it is the error that the model's own distribution expects, given the `days` [m] that
    they have gone on; NaN of a model that gives none."""

    errors: np.ndarray
    days: np.ndarray
    known: np.ndarray
    stay: np.ndarray

    def promised(self) -> tuple[float, tuple[float, float]] | tuple[None, None]:
        """The mean, and its 95 % bounds of draws of as many stays: a few long ones weigh as much as hundreds. None
        where it is not known what the model expects of open stays."""
        if np.isnan(self.errors).any():
            return None, None
        mean, low, high = bootstrapped_mean(self.errors, self.stay)
        return mean, (low, high)

    def ended_within(self) -> tuple[float | None, ...]:
        """The mean where a stay ended within 1, 2, … 60 days of the point; None where none did."""
        within = (self.known & (self.days <= days) for days in range(1, DAYS_LOOKED_AT + 1))
        return tuple(float(self.errors[inside].mean()) if inside.any() else None for inside in within)


def unseen_errors(answers: Predictions, days: np.ndarray, known: np.ndarray, stay: np.ndarray) -> UnseenErrors:
    """Those of m answers; `days` [m] remained, or where not `known` [m] so far."""
    expected = np.full(len(days), np.nan)
    if answers.remaining is not None:
        expected = answers.remaining.after(days).expected_error(answers.days - days)
    return UnseenErrors(np.where(known, np.abs(answers.days - days), expected), days, known, stay)


def with_out_of_fold(test: UnseenErrors, out_of_fold: tuple[OutOfFold, ...]) -> UnseenErrors:
    """Test stays are a tenth of all. Each member has stays of its own that it did not train on, which make the promise
    of several tenths; a single member is a little worse than all of them together."""
    found = [
        test, *(unseen_errors(one.predictions, one.actual_days, ~one.censored, one.stay) for one in out_of_fold)
    ]
    first = np.cumsum([0, *(int(one.stay.max(initial=-1)) + 1 for one in found[:-1])])
    return UnseenErrors(
        np.concatenate([one.errors for one in found]),
        np.concatenate([one.days for one in found]),
        np.concatenate([one.known for one in found]),
        np.concatenate([one.stay + offset for one, offset in zip(found, first, strict=True)]),
    )

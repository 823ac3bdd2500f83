"""Errors of predicted days and of risks, pure functions; a shape mismatch raises instead of broadcasting.

Each gives NaN where it has no meaning (of nothing, or of one class only).
"""

import numpy as np
from sklearn.metrics import average_precision_score, cohen_kappa_score, roc_auc_score

# Buckets of the length of stay: 0-1, 1-2, … 7-8, 8-14 and 14 or more days (Harutyunyan et al., Scientific Data 2019).
LOS_BUCKET_ENDS_DAYS = (1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 14.0)
_NAN = float("nan")


def mean_absolute_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Mean of |predicted - actual|, in the unit of the inputs."""
    _same_vectors(predicted, actual)
    return float(np.mean(np.abs(predicted - actual))) if len(actual) else _NAN


def root_mean_squared_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Root of the mean squared difference, in the unit of the inputs."""
    _same_vectors(predicted, actual)
    return float(np.sqrt(np.mean(np.square(predicted - actual)))) if len(actual) else _NAN


def mean_squared_log_error(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Mean squared difference of log(1 + value)."""
    _same_vectors(predicted, actual)
    return float(np.mean(np.square(np.log1p(predicted) - np.log1p(actual)))) if len(actual) else _NAN


def mean_absolute_percentage_error(predicted: np.ndarray, actual: np.ndarray, least: float = 1 / 24) -> float:
    """Mean of |predicted - actual| as a share of the actual value, which counts as no less than `least`."""
    _same_vectors(predicted, actual)
    return float(np.mean(np.abs(predicted - actual) / np.maximum(actual, least))) if len(actual) else _NAN


def r_squared(predicted: np.ndarray, actual: np.ndarray) -> float:
    """Share of the variance that is explained: 1 - residual / total sum of squares."""
    _same_vectors(predicted, actual)
    total = float(np.square(actual - actual.mean()).sum()) if len(actual) else 0.0
    return 1 - float(np.square(predicted - actual).sum()) / total if total > 0 else _NAN


def los_kappa(predicted_days: np.ndarray, actual_days: np.ndarray) -> float:
    """Cohen's kappa with linear weights over buckets of days."""
    _same_vectors(predicted_days, actual_days)
    if len(actual_days) == 0:
        return _NAN
    buckets = [np.digitize(days, LOS_BUCKET_ENDS_DAYS) for days in (predicted_days, actual_days)]
    labels = list(range(len(LOS_BUCKET_ENDS_DAYS) + 1))
    with np.errstate(invalid="ignore"):
        return float(cohen_kappa_score(*buckets, labels=labels, weights="linear"))


def interval_coverage(lower: np.ndarray, upper: np.ndarray, actual: np.ndarray) -> float:
    """Share of `actual` within [lower, upper], bounds included."""
    _same_vectors(lower, actual)
    _same_vectors(upper, actual)
    return float(np.mean((lower <= actual) & (actual <= upper))) if len(actual) else _NAN


def interval_width(lower: np.ndarray, upper: np.ndarray) -> float:
    """Mean width; infinite where a bound is."""
    _same_vectors(lower, upper)
    return float(np.mean(upper - lower)) if len(lower) else _NAN


def auroc(risk: np.ndarray, happened: np.ndarray) -> float:
    """Area under the receiver operating characteristic of a risk against whether it happened (bool)."""
    _same_vectors(risk, happened)
    return float(roc_auc_score(happened, risk)) if len(np.unique(happened)) == 2 else _NAN


def auprc(risk: np.ndarray, happened: np.ndarray) -> float:
    """Average precision of a risk against whether it happened (bool)."""
    _same_vectors(risk, happened)
    return float(average_precision_score(happened, risk)) if len(np.unique(happened)) == 2 else _NAN


def score1(risk: np.ndarray, happened: np.ndarray, threshold: float) -> float:
    """min(sensitivity, precision) of `risk >= threshold`: event 1 of the PhysioNet/CinC Challenge 2012."""
    _same_vectors(risk, happened)
    warned = risk >= threshold
    hits = float(np.sum(warned & happened))
    if not happened.any():
        return _NAN
    return min(hits / float(happened.sum()), hits / float(warned.sum())) if warned.any() else 0.0


def best_score1_threshold(risk: np.ndarray, happened: np.ndarray) -> float:
    """The threshold with the greatest score1 on these stays, to be used on others; 0.5 where none is better."""
    _same_vectors(risk, happened)
    if not happened.any():
        return 0.5
    order = np.argsort(-risk, kind="stable")
    hits = np.cumsum(happened[order])
    warned = np.arange(1, len(risk) + 1)
    best = int(np.argmax(np.minimum(hits / happened.sum(), hits / warned)))
    return float(risk[order[best]])


def paired_bootstrap(
    errors: np.ndarray, reference_errors: np.ndarray, group: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of errors - reference errors (both [m]) and its 95 % bounds; see `bootstrapped_mean`."""
    _same_vectors(errors, reference_errors)
    return bootstrapped_mean(errors - reference_errors, group, draws, seed)


def bootstrapped_mean(
    values: np.ndarray, group: np.ndarray, draws: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of the values [m] and its 95 % bounds; whole groups (stays, patients; [m]) are drawn together. Source: Efron
    and Tibshirani, An Introduction to the Bootstrap, 1993, percentile interval."""
    _same_vectors(values, group)
    if len(values) == 0:
        return _NAN, _NAN, _NAN
    _, member = np.unique(group, return_inverse=True)
    total = np.bincount(member, weights=values)
    size = np.bincount(member)
    generator = np.random.default_rng(seed)
    share = np.full(len(size), 1 / len(size))
    # One draw at a time: all of them at once would hold draws x groups numbers.
    means = np.empty(draws)
    for draw in range(draws):
        weights = generator.multinomial(len(size), share)
        means[draw] = float(weights @ total) / float(weights @ size)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(total.sum() / size.sum()), float(low), float(high)


def _same_vectors(left: np.ndarray, right: np.ndarray) -> None:
    if left.shape != right.shape or left.ndim != 1:
        raise ValueError(f"needs two vectors of the same length, got {left.shape} and {right.shape}")

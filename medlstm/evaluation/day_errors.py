"""Predicted days held against what came true: the same errors for a night, for test stays and for a comparison."""

from dataclasses import dataclass

import numpy as np

from medlstm.evaluation import metrics


@dataclass(frozen=True)
class DayErrors:
    """What was predicted at m points, between which bounds, and the days that remained, each [m]; an error is computed
    when it is asked for.

    MAE, MSLE, MAPE and kappa are of the point prediction, RMSE and R2 of the mean of the distribution.
    """

    days: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    actual: np.ndarray
    mean_days: np.ndarray | None = None

    @property
    def absolute(self) -> np.ndarray:
        """|predicted - actual| [m]."""
        return np.abs(self.days - self.actual)

    @property
    def held(self) -> np.ndarray:
        """Whether the bounds held [m]."""
        return (self.lower <= self.actual) & (self.actual <= self.upper)

    @property
    def mae_days(self) -> float:
        return metrics.mean_absolute_error(self.days, self.actual)

    @property
    def rmse_days(self) -> float:
        return metrics.root_mean_squared_error(self._mean, self.actual)

    @property
    def msle(self) -> float:
        return metrics.mean_squared_log_error(self.days, self.actual)

    @property
    def mape(self) -> float:
        return metrics.mean_absolute_percentage_error(self.days, self.actual)

    @property
    def r2(self) -> float:
        return metrics.r_squared(self._mean, self.actual)

    @property
    def kappa(self) -> float:
        return metrics.los_kappa(self.days, self.actual)

    @property
    def coverage(self) -> float:
        return metrics.interval_coverage(self.lower, self.upper, self.actual)

    @property
    def width_days(self) -> float:
        return metrics.interval_width(self.lower, self.upper)

    @property
    def _mean(self) -> np.ndarray:
        return self.days if self.mean_days is None else self.mean_days

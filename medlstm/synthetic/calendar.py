"""The hospital's clock: minutes since the first admission that can matter, and what the clocks on the wall say."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np

WARM_UP_DAYS = 60
_MARGIN_DAYS = 90


@dataclass(frozen=True)
class Calendar:
    """Local days from WARM_UP_DAYS before `start` on, by their midnights [days]; where clocks change one is shorter."""

    start: date
    timezone: str
    midnights: np.ndarray

    def day(self, minutes: np.ndarray) -> np.ndarray:
        """The local date of each moment, as days since `start` (negative before it)."""
        return np.searchsorted(self.midnights, minutes, side="right") - 1 - WARM_UP_DAYS

    def at(self, day: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """The moment `hours` after the local midnight of each day."""
        return self.midnights[day + WARM_UP_DAYS] + np.floor(hours * 60).astype(np.int64)

    def weekday(self, day: np.ndarray) -> np.ndarray:
        """0 for Monday."""
        return (day + self.start.weekday()) % 7


def make_calendar(start: date, days: int, timezone: str) -> Calendar:
    """The local midnights that a simulation of `days` dates can touch."""
    zone = ZoneInfo(timezone)
    dates = (start + timedelta(days=offset) for offset in range(-WARM_UP_DAYS, days + _MARGIN_DAYS))
    midnights = [int(datetime.combine(day, time(), tzinfo=zone).timestamp()) // 60 for day in dates]
    return Calendar(start, timezone, np.array(midnights, dtype=np.int64))

"""How far the nights had written each stay when a row arrived.

The prefix rule: the sequence of a stay as built at a night is the beginning of its sequence as built at any later one.
So a row that arrives late belongs to the first step that no night had written yet, and training finds at each cutoff
what the night of that cutoff found. Nights are numbered from 0, one a calendar date, whether they ran or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

import numpy as np

from medlstm.settings.workspace import Config
from medlstm.values.instants import instant_us

# Far enough away, and near enough to be subtracted from.
NEVER = 2**62
US_PER_HOUR = 3_600_000_000
_OLDEST_NIGHT = timedelta(days=60 * 365)


@dataclass(frozen=True)
class Nights:
    """The cutoffs of consecutive dates from `first` on: `cutoffs_us` [k], ascending."""

    first: date
    cutoffs_us: np.ndarray

    @property
    def last(self) -> int:
        return len(self.cutoffs_us) - 1

    def number_of(self, day: str) -> int:
        """The night of a date in ISO form; 0 where there is none, or where it is before the first."""
        return max((date.fromisoformat(day) - self.first).days, 0) if day else 0

    def cutoff_of(self, night: int) -> int:
        """The cutoff of a night; of one after the last, that of the last, and before the first that of the first."""
        return int(self.cutoffs_us[min(max(night, 0), self.last)])

    def last_up_to(self, moments_us: np.ndarray) -> np.ndarray:
        """The last night whose cutoff is not after each moment; -1 where there is none."""
        return np.searchsorted(self.cutoffs_us, moments_us, side="right") - 1


def nights_between(first: date, last: date, config: Config) -> Nights:
    """The nights of all dates from `first` (no more than sixty years ago) to `last`."""
    first = max(first, last - _OLDEST_NIGHT)
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    return Nights(first, np.array([instant_us(config.cutoff_instant(day)) for day in days], dtype=np.int64))


@dataclass(frozen=True)
class StayAxis:
    """Of n stays: where their time begins, `start_us` [n], and the length of a bin."""

    start_us: np.ndarray
    bin_hours: int

    @property
    def bin_us(self) -> int:
        return self.bin_hours * US_PER_HOUR

    def begun(self, stay: np.ndarray, moments_us: np.ndarray) -> np.ndarray:
        """Bins that had begun by each moment [k] of the stays [k]."""
        return np.maximum(-((self.start_us[stay] - moments_us) // self.bin_us), 0)

    def whole(self, stay: np.ndarray, moments_us: np.ndarray) -> np.ndarray:
        """Bins that were over by each moment [k] of the stays [k]."""
        return np.maximum((moments_us - self.start_us[stay]) // self.bin_us, 0)


@dataclass(frozen=True)
class EndVersions:
    """What was known when of the ends of stays: version v is of `stay[v]`, from night `night[v]` on, and says that the
    stay ends at `end_us[v]` (NEVER: it does not say). Sorted by stay and night; every stay has one at least."""

    stay: np.ndarray
    night: np.ndarray
    end_us: np.ndarray


@dataclass(frozen=True)
class EndedSpan:
    """Of n stays the steps from `first` to `end`, which were written by a night that knew that the stay had ended at
    `end_us`: nothing that was seen later is in them. Of a stay without one `first` is `end`."""

    first: np.ndarray
    end: np.ndarray
    end_us: np.ndarray


@dataclass(frozen=True)
class Arrivals:
    """The steps that nights up to a date had written of n stays.

    A night writes of a stay in a bed the bins that had begun by its cutoff; of one that it knows to have ended those
    that it lasted for. What was written stays, also where the end turns out to have been earlier.
    `by_arrival` false: rows are placed as if each had arrived in time.
    """

    axis: StayAxis
    nights: Nights
    versions: EndVersions
    by_arrival: bool
    _key: np.ndarray = field(init=False, repr=False)
    _last_open: np.ndarray = field(init=False, repr=False)
    _until: np.ndarray = field(init=False, repr=False)
    _written_before: np.ndarray = field(init=False, repr=False)

    def __post_init__(self) -> None:
        known = self.versions
        object.__setattr__(self, "_key", known.stay * self._span + known.night)
        last_open = np.minimum(self.nights.last_up_to(known.end_us), self.nights.last)
        object.__setattr__(self, "_last_open", last_open)
        every = np.arange(len(known.stay))
        follows = np.append(known.stay[1:] == known.stay[:-1], False)
        until = np.where(follows, np.append(known.night[1:], 0) - 1, self.nights.last)
        object.__setattr__(self, "_until", until)
        at_end = self._written(every, until, np.zeros(len(every), dtype=np.int64))
        object.__setattr__(self, "_written_before", _most_before(at_end, known.stay))

    @property
    def _span(self) -> int:
        return self.nights.last + 1

    def first_night(self) -> np.ndarray:
        """The night [n] on which each stay appeared."""
        return self.versions.night[np.searchsorted(self.versions.stay, np.arange(len(self.axis.start_us)))]

    def written(self, stay: np.ndarray, night: int) -> np.ndarray:
        """Steps of the stays [k] that had been written when the night was over; 0 before a stay appeared."""
        version = self._version(stay, night)
        until = np.full(len(stay), night)
        return np.where(version < 0, 0, self._written(version, until, self._written_before[version]))

    def ended_spans(self) -> list[EndedSpan]:
        """What nights wrote that took stays for ended: one span of steps for each time that a stay has ended."""
        every = np.arange(len(self.versions.stay))
        first = self._begun(every, self._until, self._written_before)
        end = self._written(every, self._until, self._written_before)
        rest, spans = np.flatnonzero(end > first), []
        while len(rest):
            stay = self.versions.stay[rest]
            now = np.append(True, stay[1:] != stay[:-1])
            nothing = np.zeros(len(self.axis.start_us), dtype=np.int64)
            span = EndedSpan(nothing, nothing.copy(), nothing + NEVER)
            chosen = rest[now]
            for values, into in ((first, span.first), (end, span.end), (self.versions.end_us, span.end_us)):
                into[stay[now]] = values[chosen]
            spans.append(span)
            rest = rest[~now]
        return spans

    def first_open_step(self, stay: np.ndarray, night: int) -> np.ndarray:
        """The first step [k] that what arrived on the night can still enter, of the stays [k].

        0 for what arrived no later than the stay itself: of when it had been known nothing is told, so that it is
        placed at the time of which it tells.
        """
        if not self.by_arrival or night == 0:
            return np.zeros(len(stay), dtype=np.int64)
        return self.written(stay, night - 1)

    def lasts(self, stay: np.ndarray, end_us: np.ndarray) -> np.ndarray:
        """Steps of stays [k] that end at a moment [k]: whole bins, and one that had begun at a cutoff before the end;
        one at least."""
        night = self.nights.last_up_to(end_us)
        begun = np.where(night < 0, 0, self.axis.begun(stay, self.nights.cutoffs_us[night]))
        return np.maximum(np.maximum(self.axis.whole(stay, end_us), begun), 1)

    def own_step(self, stay: np.ndarray, moments_us: np.ndarray) -> np.ndarray:
        """The step in which a night finds what was seen at each moment [k]: its bin, or the next one where a night had
        begun the bin and its cutoff was before the moment."""
        bin_number = self.axis.whole(stay, moments_us)
        night = self.nights.last_up_to(moments_us)
        opens_us = self.axis.start_us[stay] + bin_number * self.axis.bin_us
        return bin_number + ((night >= 0) & (self.nights.cutoffs_us[night] > opens_us))

    def _version(self, stay: np.ndarray, night: int) -> np.ndarray:
        """The version [k] that counted on the night, -1 before the first."""
        place = np.searchsorted(self._key, stay * self._span + night, side="right") - 1
        return np.where((place >= 0) & (self.versions.stay[place] == stay), place, -1)

    def _begun(self, version: np.ndarray, until: np.ndarray, before: np.ndarray) -> np.ndarray:
        """Steps that nights up to `until` wrote that took the stay for open, if the version counts so long."""
        night = np.minimum(until, self._last_open[version])
        begun = self.axis.begun(self.versions.stay[version], self.nights.cutoffs_us[night])
        return np.maximum(np.where(night >= self.versions.night[version], begun, 0), before)

    def _written(self, version: np.ndarray, until: np.ndarray, before: np.ndarray) -> np.ndarray:
        begun = self._begun(version, until, before)
        lasted = self.lasts(self.versions.stay[version], self.versions.end_us[version])
        return np.where(until > self._last_open[version], np.maximum(begun, lasted), begun)


def _most_before(values: np.ndarray, group: np.ndarray) -> np.ndarray:
    """The largest of the values before each place within its group (groups lie together), 0 where there is none."""
    result = np.zeros_like(values)
    unsettled = np.flatnonzero(np.append(False, group[1:] == group[:-1]))
    # One round for each version that a stay has: nearly all have two.
    while len(unsettled):
        most = np.maximum(result[unsettled - 1], values[unsettled - 1])
        changed = most > result[unsettled]
        result[unsettled] = most
        unsettled = unsettled[changed]
    return result


def event_time_arrivals(axis: StayAxis, nights: Nights, end_us: np.ndarray) -> Arrivals:
    """As if each row had arrived in time: the ends [n] were known as soon as they had come."""
    every = np.arange(len(axis.start_us))
    return Arrivals(axis, nights, EndVersions(every, np.zeros_like(every), end_us), by_arrival=False)


def nights_of(days: Sequence[date], nights: Nights) -> np.ndarray:
    """The number [k] of each date's night; dates before the first night are night 0."""
    return np.maximum(np.array(days, dtype="datetime64[D]") - np.datetime64(nights.first), np.timedelta64(0)).astype(
        np.int64
    )

"""What was known of each stay, and from which night on: its end, and its static features."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import pandas as pd

from medlstm.lake.compacted import dated_rows
from medlstm.lake.database import connect
from medlstm.lake.file_order import with_file_place
from medlstm.lake.files import Workspace, partitions_until
from medlstm.lake.schemas import PROVENANCE, RETRACTED, STAY_CORE
from medlstm.sequences.arrivals import (
    NEVER,
    Arrivals,
    EndVersions,
    Nights,
    StayAxis,
    event_time_arrivals,
    nights_between,
    nights_of,
)
from medlstm.sequences.cohort import Cohort, last_instant_before_cutoff
from medlstm.settings.workspace import Config
from medlstm.values.instants import epoch_us, instant_us

_NOT_STATIC = {*STAY_CORE, RETRACTED, *(one.name for one in PROVENANCE)}


@dataclass(frozen=True)
class StaticVersions:
    """Static features that changed while a stay went on: row r of `frame` is what nights knew of stay `stay[r]` from
    its step `from_step[r]` on. Sorted by stay and step; stays of which all rows say the same have none."""

    stay: np.ndarray
    from_step: np.ndarray
    frame: pd.DataFrame

    def of_stays(self, keep: np.ndarray) -> "StaticVersions":
        """Those of the stays of a boolean array, by their places among these."""
        kept = np.flatnonzero(keep[self.stay])
        places = (np.cumsum(keep) - 1)[self.stay[kept]]
        return StaticVersions(places, self.from_step[kept], self.frame.iloc[kept].reset_index(drop=True))


def no_changes() -> StaticVersions:
    """No static feature changed while a stay went on."""
    return StaticVersions(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), pd.DataFrame())


@dataclass(frozen=True)
class KnownWhen:
    """Of a cohort: what had been written when, its static features by step, which stays [n] were known as ended from
    the first, and how many appeared only after the cutoff that followed their admission (`appeared_late`), or were
    given another admission time (`moved`). `told_with_end`: by feature, of how many stays it was told with the end or
    after it, of how many that nights had seen in a bed without it."""

    arrivals: Arrivals
    statics: StaticVersions
    ended_at_first: np.ndarray
    told_with_end: dict[str, tuple[int, int]]
    appeared_late: int
    moved: int


def known_when(workspace: Workspace, cohort: Cohort, config: Config) -> KnownWhen:
    """What each night up to that of the cohort knew of its stays.

    In a backtest on rows that came later, and where the settings say so, each row is taken to have come in time.
    """
    frame = cohort.frame
    axis = StayAxis(epoch_us(frame["admitted_at"]), config.sequences.bin_hours)
    by_arrival = config.sequences.by_arrival and cohort.known_as_of == cohort.as_of and len(frame) > 0
    versions = _versions(workspace, cohort, config) if by_arrival else None
    nights = _nights(frame, versions, cohort, config)
    if versions is None:
        ends = np.where(frame["is_open"].to_numpy(dtype=bool), NEVER, epoch_us(frame["end_at"]))
        ended = ~frame["is_open"].to_numpy(dtype=bool)
        return KnownWhen(event_time_arrivals(axis, nights, ends), no_changes(), ended, {}, 0, 0)
    stay = pd.Index(frame["stay_id"]).get_indexer(pd.Index(versions["stay_id"]))
    night = nights_of(versions["extract_date"].tolist(), nights)
    known_ends = _with_vanished(EndVersions(stay, night, _end_us(versions)), cohort, nights, config)
    arrivals = Arrivals(axis, nights, known_ends, by_arrival=True)
    admission_night = nights.last_up_to(axis.start_us) + 1
    statics = _static_versions(versions, stay, night, arrivals)
    appeared_late = int((arrivals.first_night() > admission_night).sum())
    moved = int((versions.groupby(stay)["admitted_at"].nunique() > 1).sum())
    told_with_end = _told_with_end(versions, stay, night, nights, statics)
    first = np.searchsorted(stay, np.arange(len(frame)))
    ended_at_first = _end_us(versions)[first] < nights.cutoffs_us[night[first]]
    for name in config.features.known_from.keys() & set(statics.frame):
        statics.frame[name] = statics.frame[name].mask(ended_at_first[statics.stay])
    return KnownWhen(arrivals, statics, ended_at_first, told_with_end, appeared_late, moved)


def _versions(workspace: Workspace, cohort: Cohort, config: Config) -> pd.DataFrame:
    """Each stay's rows, one for each date on which it was another than before: stay_id, extract_date, admitted_at,
    discharged_at and the static features."""
    memory_limit_gb = config.workspace.memory_limit_gb / 2
    partitions = partitions_until(workspace.admitted("stays"), cohort.as_of)
    dated = dated_rows(workspace, "stays", partitions, memory_limit_gb)
    wanted = f"select * from ({dated.sql}) where stay_id in (select unnest($stays))"
    rows = with_file_place(f"({wanted}) union all by name select null::boolean as retracted where false")
    statics = [str(name) for name in cohort.frame if name not in _derived(cohort)]
    told = ["admitted_at", "discharged_at", *statics]
    listed = ", ".join('"' + str(name).replace('"', '""') + '"' for name in told)
    query = f"""
        select stay_id, extract_date, {listed} from (
            select *, row_number() over (
                partition by stay_id, extract_date order by file_place desc, source_row desc
            ) as version
            from ({rows})
        )
        where version = 1 and not coalesce(retracted, false)
        qualify row({listed}) is distinct from lag(row({listed})) over (partition by stay_id order by extract_date)
        order by stay_id, extract_date
    """
    with connect(workspace, memory_limit_gb) as database:
        parameters = {**dated.parameters, "stays": cohort.frame["stay_id"].tolist()}
        versions = database.sql(query, params=parameters).to_arrow_table().to_pandas()
    # DuckDB hands timestamps over in the machine's own zone.
    return versions.assign(**{name: versions[name].dt.tz_convert("UTC") for name in ("admitted_at", "discharged_at")})


def _derived(cohort: Cohort) -> set[str]:
    return _NOT_STATIC | {"taken_back", "standing", "end_at", "is_open", "duration_hours", "split"}


def _nights(frame: pd.DataFrame, versions: pd.DataFrame | None, cohort: Cohort, config: Config) -> Nights:
    """All nights from before the first admission, and before anything was known, to the cohort's."""
    begin = [cohort.as_of]
    if len(frame):
        begin.append(frame["admitted_at"].min().date() - timedelta(days=2))
    if versions is not None and len(versions):
        begin.append(versions["extract_date"].min() - timedelta(days=1))
    return nights_between(min(begin), cohort.as_of, config)


def _end_us(versions: pd.DataFrame) -> np.ndarray:
    ends = versions["discharged_at"]
    return np.where(ends.isna(), NEVER, epoch_us(ends.fillna(pd.Timestamp(0, tz="UTC"))))


def _with_vanished(ends: EndVersions, cohort: Cohort, nights: Nights, config: Config) -> EndVersions:
    """From the date on, on which a snapshot no longer listed a stay, it had ended by that date's cutoff."""
    concerned = cohort.frame["stay_id"].isin(cohort.vanished)
    if not concerned.any():
        return ends
    stay = np.flatnonzero(concerned)
    days = [cohort.vanished[name] for name in cohort.frame["stay_id"][stay]]
    night = nights_of(days, nights)
    latest = {day: instant_us(last_instant_before_cutoff(day, config)) for day in set(days)}
    last = np.array([latest[day] for day in days], dtype=np.int64)
    gone_night, gone_us = np.full(len(cohort.frame), NEVER), np.full(len(cohort.frame), NEVER)
    gone_night[stay], gone_us[stay] = night, last
    later = ends.night >= gone_night[ends.stay]
    known_us = np.where(later, np.minimum(ends.end_us, gone_us[ends.stay]), ends.end_us)
    stays, nights_known = np.append(ends.stay, stay), np.append(ends.night, night)
    said = np.append(known_us, last)
    # Of two versions of one night the one that ends sooner counts: it stands last.
    order = np.lexsort((-said, nights_known, stays))
    return EndVersions(stays[order], nights_known[order], said[order])


def _static_versions(versions: pd.DataFrame, stay: np.ndarray, night: np.ndarray, arrivals: Arrivals) -> StaticVersions:
    """Versions that nights saw of a stay that they took for open: what comes with its end, or after it, none did."""
    names = [name for name in versions if name not in ("stay_id", "extract_date", "admitted_at", "discharged_at")]
    ends, nights = _end_us(versions), arrivals.nights.cutoffs_us
    first = np.append(True, stay[1:] != stay[:-1])
    seen = first | (ends >= nights[night])
    kept = np.flatnonzero(seen)
    frame = versions[names].iloc[kept].reset_index(drop=True)
    changed = np.bincount(stay)[stay[kept]] > 1
    stay, night, first = stay[kept], night[kept], first[kept]
    from_step = np.zeros(len(kept), dtype=np.int64)
    for one in np.unique(night[~first]):
        rows = np.flatnonzero((night == one) & ~first)
        from_step[rows] = arrivals.first_open_step(stay[rows], int(one))
    # Of several versions that begin with one step the last counts, and what changes nothing is none.
    last_of_step = np.append((stay[1:] != stay[:-1]) | (from_step[1:] != from_step[:-1]), True)
    return _changes(StaticVersions(stay, from_step, frame), np.flatnonzero(last_of_step & changed))


def _told_with_end(
    versions: pd.DataFrame, stay: np.ndarray, night: np.ndarray, nights: Nights, statics: StaticVersions
) -> dict[str, tuple[int, int]]:
    """Of stays that were seen in a bed, and whose end was told by a row of theirs."""
    first = np.append(True, stay[1:] != stay[:-1])
    ends = _end_us(versions) < nights.cutoffs_us[night]
    seen_and_ended = np.isin(stay, stay[first & ~ends]) & np.append(stay[1:] != stay[:-1], True) & ends
    last = np.flatnonzero(seen_and_ended)
    told = {}
    for name in statics.frame:
        known_in_bed = np.zeros(int(stay.max()) + 1, dtype=bool)
        in_bed = np.flatnonzero(~ends & versions[name].notna().to_numpy())
        known_in_bed[stay[in_bed]] = True
        without = last[~known_in_bed[stay[last]]]
        told[str(name)] = int(versions[name].iloc[without].notna().sum()), len(last)
    return told


def _changes(versions: StaticVersions, rows: np.ndarray) -> StaticVersions:
    """Those of the rows that say something else than the one before, of the same stay."""
    stay, from_step = versions.stay[rows], versions.from_step[rows]
    frame = versions.frame.iloc[rows].reset_index(drop=True)
    same = stay == np.append(-1, stay[:-1])
    for name in frame:
        column = frame[name]
        same &= ((column == column.shift()) | (column.isna() & column.shift().isna())).fillna(False).to_numpy(bool)
    kept = np.flatnonzero(~same)
    return StaticVersions(stay[kept], from_step[kept], frame.iloc[kept].reset_index(drop=True))

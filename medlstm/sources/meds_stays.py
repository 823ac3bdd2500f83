"""Which stays the admissions and discharges of MEDS events make, and in which of them an event lies."""

from collections import Counter

import numpy as np
import pandas as pd

from medlstm.sources.meds_codes import ADMISSION, DISCHARGE
from medlstm.sources.meds_events import NO_TIME, Events

NO_END = np.iinfo(np.int64).max


def stays_of(events: Events, role: np.ndarray, counts: Counter[str]) -> pd.DataFrame:
    """One row per stay, in the order of events: subject, stay_id, begin and end (NO_END while open), row.

    Without a stay column a stay ends at its subject's first discharge, or with the subject's next admission where none
    comes before. At one moment the discharge comes first, whatever the order of rows: it ends the stay that is open.
    """
    begins = _timed(events, role == ADMISSION, "admissions", counts)
    ends = _timed(events, role == DISCHARGE, "discharges", counts)
    if events.stay is not None:
        begins = _first_of_each(begins, pd.Series(events.stay[begins]), counts)
        frame = _begun(events, begins).assign(stay_id=events.stay[begins])
        return frame.assign(end=_ends_by_name(events, ends, frame, counts))
    moment = _moments(events)
    begins = _first_of_each(begins, pd.Series(moment[begins]), counts)
    texts = events.time_texts(events.time[begins]).to_pylist()
    frame = _begun(events, begins)
    frame["stay_id"] = [f"{subject}/{text}" for subject, text in zip(frame["subject"], texts, strict=True)]
    found = _ends_by_time(events, begins, ends, moment, counts)
    return frame.assign(end=_ended_by_the_next(frame, found, counts))


def _timed(events: Events, hit: np.ndarray, what: str, counts: Counter[str]) -> np.ndarray:
    counts[f"{what} have no time and were left out"] += int((hit & (events.time == NO_TIME)).sum())
    return np.flatnonzero(hit & (events.time != NO_TIME))


def _first_of_each(begins: np.ndarray, key: pd.Series, counts: Counter[str]) -> np.ndarray:
    repeated = (key.duplicated() & key.notna()).to_numpy()
    counts["admissions repeat the one of the same stay and were left out"] += int(repeated.sum())
    return begins[~repeated]


def _begun(events: Events, begins: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {"subject": events.subject[begins], "begin": events.time[begins], "row": events.row[begins]}
    )


def _moments(events: Events) -> np.ndarray:
    """The number of each event's moment [n], ascending: events of one subject and time share it."""
    new = (events.subject[1:] != events.subject[:-1]) | (events.time[1:] != events.time[:-1])
    return np.concatenate([np.zeros(min(len(events.time), 1), dtype=np.int64), np.cumsum(new)])


def _ends_by_name(events: Events, ends: np.ndarray, stays: pd.DataFrame, counts: Counter[str]) -> np.ndarray:
    assert events.stay is not None
    named = pd.Index(events.stay[ends])
    known = named.isin(stays["stay_id"]) & named.notna()
    counts["discharges follow no admission"] += int((~known).sum())
    discharges = pd.Series(events.time[ends[known]], index=named[known]).groupby(level=0).min()
    return looked_up(discharges, pd.Index(stays["stay_id"]), NO_END)


def _ends_by_time(
    events: Events, begins: np.ndarray, ends: np.ndarray, moment: np.ndarray, counts: Counter[str]
) -> np.ndarray:
    """The end of each stay [begins], NO_END where no discharge gives one."""
    found = np.full(len(begins), NO_END)
    begun, ended = moment[begins], moment[ends]
    before = np.searchsorted(begun, ended, side="left") - 1
    follows = before >= 0
    follows[follows] = events.subject[begins[before[follows]]] == events.subject[ends[follows]]
    np.minimum.at(found, before[follows], events.time[ends[follows]])
    follows[follows] = events.time[ends[follows]] == found[before[follows]]
    # Nothing was open: a stay that begins and ends at this moment.
    at_once = np.searchsorted(begun, ended, side="left")
    same = ~follows & (at_once < len(begun))
    same[same] = begun[at_once[same]] == ended[same]
    found[at_once[same]] = events.time[ends[same]]
    counts["discharges follow no admission"] += int((~follows & ~same).sum())
    return found


def _ended_by_the_next(stays: pd.DataFrame, end: np.ndarray, counts: Counter[str]) -> np.ndarray:
    """A subject who is admitted again has left: the stay before ends then, where no discharge ended it."""
    subject, begin = stays["subject"].to_numpy(), stays["begin"].to_numpy()
    left = np.zeros(len(end), dtype=bool)
    left[:-1] = (end[:-1] == NO_END) & (subject[1:] == subject[:-1])
    counts["stays have no discharge before their subject's next admission, and end with it"] += int(left.sum())
    return np.where(left, np.append(begin[1:], NO_END)[: len(end)], end)


def stay_of(events: Events, stays: pd.DataFrame, rows: np.ndarray) -> np.ndarray:
    """The place of each row's stay: by the stay column, else the subject's latest-begun one that holds its time."""
    found = np.full(len(rows), -1)
    if events.stay is not None:
        places = pd.Series(np.arange(len(stays)), index=pd.Index(stays["stay_id"]))
        places = places[~places.index.duplicated() & places.index.notna()]
        named = pd.Index(events.stay[rows])
        found = places.index.get_indexer(named)
        found = np.where(found >= 0, places.to_numpy()[found] if len(places) else -1, -1)
        found[np.asarray(named.isna())] = -1
    order = np.lexsort((stays["begin"], stays["subject"]))
    subject, begin = stays["subject"].to_numpy()[order], stays["begin"].to_numpy()[order]
    end = stays["end"].to_numpy()[order]
    open_rows = np.flatnonzero((found < 0) & (events.time[rows] != NO_TIME))
    if len(stays) and len(open_rows):
        at = events.time[rows[open_rows]]
        keys = np.rec.fromarrays([subject, begin])
        place = np.searchsorted(keys, np.rec.fromarrays([events.subject[rows[open_rows]], at]), side="right") - 1
        holds = (place >= 0) & (subject[place] == events.subject[rows[open_rows]]) & (at <= end[place])
        found[open_rows[holds]] = order[place[holds]]
    return found


def looked_up(values: pd.Series, keys: pd.Index, missing: int) -> np.ndarray:
    """The integer of each key [n], `missing` where there is none; never by way of floating point."""
    return np.append(values.to_numpy(dtype=np.int64), missing)[values.index.get_indexer(keys)]

"""What the nights before an export would have predicted, told from the export: the first record of errors.

A whole export comes on one date, so that no earlier night can be run: none of its rows had arrived. A backtest trains
on what had happened by the first of some past nights, and scores each of them on what had happened by its cutoff. It
takes each row for known as soon as what it tells had happened, which is kinder than nights are: where results come
late, or diagnoses are coded at the discharge, nights to come know less.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta

from medlstm.lake.date_lock import date_lock
from medlstm.lake.files import Workspace, write_json
from medlstm.registry.nightly_training import train_night
from medlstm.registry.versions import champion
from medlstm.scoring.score_night import score_night
from medlstm.sequences.build import build_sequences
from medlstm.settings.workspace import Config
from medlstm.training.train_loop import Progress

_EVERY_DAYS = 2


@dataclass(frozen=True)
class BacktestSummary:
    """The nights that were scored, and with which model; `note` says why there are none, where that is so."""

    nights: tuple[date, ...]
    predictions: int
    model_version: str | None
    note: str = ""


def backtest(
    workspace: Workspace,
    as_of: date,
    config: Config,
    days: int,
    on_night: Callable[[int, int], None] | None = None,
    on_epoch: Progress | None = None,
) -> BacktestSummary:
    """Train as of `days` before `as_of`, and score every second night from then on to the one before `as_of`, from rows
    that came up to `as_of`; replaces the predictions that an earlier backtest left. A model that there is as of the
    first night scores, instead of a new one. `on_night(done, nights)` is called after each night, `on_epoch` as in
    `train_night`.
    """
    nights = [as_of - timedelta(days=back) for back in range(days, 0, -_EVERY_DAYS)]
    scored = 0
    for done, night in enumerate(nights):
        if on_night:
            on_night(done, len(nights))
        with date_lock(workspace, "as_of", night):
            build_sequences(workspace, night, config, "all" if done == 0 else "open", known_as_of=as_of)
            if done == 0 and champion(workspace, night) is None:
                trained = train_night(workspace, night, config, on_epoch)
                if trained.version is None:
                    return BacktestSummary((), 0, None, f"as of {night}, {trained.note}")
            scored += score_night(workspace, night, config).scored
    if on_night:
        on_night(len(nights), len(nights))
    write_json({"as_of": as_of.isoformat(), "nights": [night.isoformat() for night in nights]}, workspace.backtest)
    record = champion(workspace, as_of)
    version = record.version if record else None
    if nights and not scored:
        return BacktestSummary((), 0, version, f"nobody was in a bed from {nights[0]} to {nights[-1]}")
    return BacktestSummary(tuple(nights), scored, version)

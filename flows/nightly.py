"""The night: ingest, validate, preprocess, train if due, score, report."""

import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path

from prefect import flow

from flows.artifacts import publish_contracts, publish_night
from flows.failures import failure_text
from flows.night_date import held_date, run_name
from flows.steps import ingest, preprocess, validate
from medlstm.contracts.raw_to_admitted import dates_to_validate
from medlstm.errors import ContractStopped, NobodyScored
from medlstm.ingest.landing_to_raw import IngestSummary, dates_to_ingest, shown_name
from medlstm.lake.files import Workspace
from medlstm.registry.nightly_training import TrainSummary
from medlstm.registry.promotion import unbeaten
from medlstm.registry.versions import champion, night_scope, training_due, unusable_models
from medlstm.report.content import GroupForecast, NightError, NightReport, NothingScored, TableCounts
from medlstm.report.warning_kinds import by_kind
from medlstm.sequences.build import SequenceSummary
from medlstm.sequences.row_ledger import Ledger
from medlstm.settings.workspace import Config, load_config
from medlstm.training.leak_finder import LEAK_ADVICE
from tasks.progress import report_progress
from tasks.report import report
from tasks.score import score
from tasks.train import train
from tasks.validate import ValidationOutcome

logger = logging.getLogger("medlstm.nightly")
_MAX_FILES_NAMED = 5


@dataclass(frozen=True)
class NightSummary:
    """One night in numbers; `tables` counts all dates that the night took in.

    `groups` are the expected discharges by `group_column`; `observations`: what became of every admitted one; `errors`
    those of earlier nights on stays ended since.
    """

    as_of: date
    status: str
    extract_dates: int
    tables: tuple[TableCounts, ...]
    unreadable_files: int
    scored: int
    model_version: str | None
    stale: bool | None
    training: TrainSummary | None
    group_column: str | None
    groups: tuple[GroupForecast, ...]
    min_group_size: int
    observations: Ledger | None
    errors: tuple[NightError, ...]
    report: str
    warnings: tuple[str, ...]
    seconds: dict[str, float]
    nothing: NothingScored | None = None


@dataclass(frozen=True)
class TakenIn:
    """What a night took in, and what its contracts said."""

    ingested: tuple[IngestSummary, ...]
    outcome: ValidationOutcome


@dataclass
class RunningNight:
    """What a running night gathers: what needs a person, what else is odd, seconds by step."""

    urgent: list[str] = field(default_factory=list)
    odd: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        report_progress(name, 0, 1)
        try:
            yield
        finally:
            self.seconds[name] = round(time.monotonic() - started, 2)
        report_progress(name, 1, 1)

    def warn(self, messages: Iterable[str]) -> None:
        """Say what needs a person."""
        self.urgent += messages

    def note(self, messages: Iterable[str]) -> None:
        """Say what is odd, but stops nothing."""
        self.odd += messages

    def said(self, *first: str) -> list[str]:
        """All warnings by kind, `first` and what needs a person before the others."""
        return [*first, *by_kind(self.urgent), *by_kind(self.odd)]


@flow(name="nightly", flow_run_name=partial(run_name, "nightly"))
def nightly(workspace: str, as_of: date | None = None) -> NightSummary:
    """Run the night `as_of`; without a date, the newest one whose cutoff had passed at the scheduled start.

    A night without a model to score with ends with a warning; a failed training leaves the champion to score.
    Raises ContractStopped when the contract of the date itself stops the night, and NobodyScored (or ContractStopped)
    when what arrived leaves nobody to score, after writing a page that says so; DateLocked when another run of the same
    date does not end.
    """
    with held_date(workspace, as_of) as day:
        place, night = Workspace(Path(workspace)), RunningNight()
        return finish(place, day, night, take_in(place, day, night))


def take_in(place: Workspace, day: date, night: RunningNight) -> TakenIn:
    """Ingest and contracts of a night, and of dates before it that wait."""
    workspace = str(place.root)
    with night.step("ingest"):
        ingested = ingest(workspace, dates_to_ingest(place, day))
    night.warn(_unread_files(ingested))
    night.note(warning for summary in ingested for warning in summary.warnings)
    try:
        with night.step("validate"):
            outcome = validate(workspace, dates_to_validate(place, day))
    except ContractStopped as error:
        publish_night(report(workspace, day, "stopped", night.said(str(error))))
        raise
    night.warn(outcome.stopped)
    night.note(odd for summary in outcome.summaries for odd in summary.warnings)
    publish_contracts(outcome.summaries)
    return TakenIn(tuple(ingested), outcome)


def finish(place: Workspace, day: date, night: RunningNight, taken_in: TakenIn) -> NightSummary:
    """What follows: sequences, a training if one is due, scores, the page."""
    workspace = str(place.root)
    night.warn(_lost_models(place, day))
    config = load_config(place.root)
    every_days = config.training.retrain_every_days
    due, scope = training_due(place, day, every_days), night_scope(place, day, every_days)
    try:
        with night.step("preprocess"):
            built = preprocess(workspace, day, scope)
    except ContractStopped as error:
        publish_night(report(workspace, day, "stopped", night.said(str(error))))
        raise
    night.urgent[:0] = _unobserved(built, config)
    night.warn(built.warnings)
    with night.step("train"):
        training = _train(workspace, day, night) if due else None
    with night.step("score"):
        scored = _score(workspace, place, day, night)
    with night.step("report"):
        warnings = night.said()
        page = report(workspace, day, "warning" if warnings else "done", warnings)
    publish_night(page)
    _require_use(place, page)
    return _summary(place, page, taken_in, training, scored, night)


def _require_use(place: Workspace, page: NightReport) -> None:
    """A night that could score nobody because of its input has failed, whatever was written."""
    if page.nothing is None or not page.nothing.is_failure:
        return
    kind = ContractStopped if page.nothing.cause == "contract" else NobodyScored
    told = f"{page.as_of}: nobody was scored: {page.nothing.reason}. {page.nothing.advice}"
    files = [f"  {name}: {why}" for name, why in page.unreadable_files[:_MAX_FILES_NAMED]]
    raise kind("\n".join([told, *files, f"  the page: {_page_file(place, page.as_of)}"]))


def _page_file(place: Workspace, day: date) -> Path:
    return place.report(day) / "index.html"


def _unread_files(ingested: list[IngestSummary]) -> list[str]:
    warnings = []
    for summary in ingested:
        if summary.unreadable:
            files = {file.source_file for file in summary.unreadable}
            kinds = sorted({shown_name(name) for name in files})
            warnings.append(
                f"{summary.extract_date}: {len(files)} files not read in full ({', '.join(kinds[:5])}); "
                "lake/quarantine/files has their names and why"
            )
    return warnings


def _unobserved(sequences: SequenceSummary, config: Config) -> list[str]:
    """Before all other warnings: predictions that rest on nothing that was measured."""
    if sequences.rows or not sequences.open_stays or config.sequences.steps == "single":
        return []
    return ["no open stay has an observation in a bin: predictions rest on what is known at the admission alone; look "
            "whether files of observations arrive, match a mapping, and name the stays by the same identifiers"]


def _lost_models(place: Workspace, day: date) -> list[str]:
    """Listed versions that no night uses, as long as no champion was trained after them: the one before scores again,
    and where it was the newest a training is due."""
    scoring = champion(place, day)
    since = scoring.trained_as_of.isoformat() if scoring else ""
    return [
        f"models/{one.version} is not used: {one.why}; restore it from a backup, or let the next training take its "
        "place (a night before that training scores otherwise than it did)"
        for one in unusable_models(place)
        if one.version[: len(since)] >= since
    ]


def _train(workspace: str, day: date, night: RunningNight) -> TrainSummary | None:
    """Train, or say why not: a failure must not keep the champion from scoring."""
    state = train(workspace, day, return_state=True)
    if not state.is_completed():
        night.warn([f"training failed, see the train task's log: {failure_text(state)}"])
        return None
    summary = state.result()
    if summary.version is None:
        night.warn([f"not trained: {summary.note}"])
    elif not summary.promoted or (summary.test and unbeaten(summary.test)):
        night.note([summary.note])
    dropped = load_config(Path(workspace)).features.leak_action == "drop"
    night.warn(f"{leak}; {'left out of the model' if dropped else LEAK_ADVICE}" for leak in summary.leaks)
    return summary


def _score(workspace: str, place: Workspace, day: date, night: RunningNight) -> int:
    if champion(place, day) is None:
        night.warn(["no model yet, so no stay was scored"])
        return 0
    summary = score(workspace, day)
    if not summary.scored:
        night.warn(["nobody is in a bed, so no stay was scored"])
    if summary.stale:
        night.warn([f"stale: a training was due, and {summary.model_version} scored instead"])
    return summary.scored


def _summary(
    place: Workspace,
    page: NightReport,
    taken_in: TakenIn,
    training: TrainSummary | None,
    scored: int,
    night: RunningNight,
) -> NightSummary:
    scoring = page.model if page.scored_stays else None
    return NightSummary(
        as_of=page.as_of,
        status=page.status,
        extract_dates=len(taken_in.outcome.summaries),
        tables=total_counts(taken_in.outcome),
        unreadable_files=len(
            {(one.extract_date, file.source_file) for one in taken_in.ingested for file in one.unreadable}
        ),
        scored=scored,
        model_version=scoring.version if scoring else None,
        stale=scoring.stale if scoring else None,
        training=training,
        group_column=page.group_column,
        groups=page.groups,
        min_group_size=page.min_group_size,
        observations=page.observations,
        errors=page.nights,
        report=str(_page_file(place, page.as_of)),
        warnings=page.warnings,
        seconds=night.seconds,
        nothing=page.nothing,
    )


def total_counts(outcome: ValidationOutcome) -> tuple[TableCounts, ...]:
    totals: dict[str, list[int]] = {}
    for summary in outcome.summaries:
        for one in summary.reports:
            counts = (one.rows_in, one.admitted, one.quarantined, one.exact_duplicates)
            totals[one.table] = [sum(pair) for pair in zip(totals.get(one.table, [0] * 4), counts, strict=True)]
    return tuple(TableCounts(table, *counts) for table, counts in totals.items())

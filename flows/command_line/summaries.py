"""What a command prints: short tables for a person, plain data for a program."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from flows.backfill import BackfillSummary
from flows.bootstrap import BootstrapSummary
from flows.command_line.printing import narrow_table, printable, table, text
from flows.demo import DemoSummary
from flows.nightly import NightSummary
from medlstm.history.replay_workspace import WorkspaceReplay
from medlstm.history.rolling_backtest import RollingBacktest
from medlstm.ingest.landing_to_raw import IngestSummary, shown_name
from medlstm.onboarding.replay import ReplaySummary
from medlstm.registry.nightly_training import TrainSummary
from medlstm.report.backtest_files import HEADING, night_rows, summary_lines
from medlstm.report.content import NightError, NightReport
from medlstm.report.earlier_nights import earlier_nights, listed_nights
from medlstm.report.group_table import days_text, group_table, hide_small
from medlstm.report.lstm_gates import GateSummary
from medlstm.report.warning_kinds import by_kind
from medlstm.scoring.score_night import ScoreSummary
from medlstm.sequences.build import SequenceSummary
from medlstm.sequences.row_ledger import Ledger
from medlstm.training.compare_models import Comparison
from tasks.validate import ValidationOutcome

_MAX_WARNINGS = 12


def show(result: Any, console: Console) -> None:
    """Print the summary of any flow's result."""
    for part in _render(result):
        console.print(printable(part) if isinstance(part, str) else part)


def _render(result: Any) -> Iterable[RenderableType]:
    match result:
        case DemoSummary():
            return _demo(result)
        case NightSummary():
            return _night(result)
        case BackfillSummary():
            return _backfill(result)
        case ValidationOutcome():
            return _validation(result)
        case TrainSummary():
            return [_training_line(result)]
        case ScoreSummary(as_of=as_of, scored=scored, model_version=version, stale=stale):
            return [f"{as_of}: {scored} open stays scored with {version}{' (stale)' if stale else ''}"]
        case SequenceSummary():
            return _sequences(result)
        case GateSummary():
            return _gates(result)
        case BootstrapSummary():
            return _bootstrap(result)
        case RollingBacktest():
            return _rolling_backtest(result)
        case ReplaySummary() | WorkspaceReplay():
            return [table(("replay", ""), [(name.replace("_", " "), text(value))
                                            for name, value in asdict(result).items()])]  # fmt: skip
        case Comparison():
            return _comparison(result)
        case NightReport():
            return [f"{result.as_of}: report written, {hide_small(result.scored_stays, result.min_group_size)} "
                    "scored stays"]  # fmt: skip
        case [*summaries]:
            return _ingested(summaries)
        case _:
            raise TypeError(f"no summary for {type(result).__name__}")


def _ingested(summaries: Sequence[IngestSummary]) -> Iterable[RenderableType]:
    rows = [
        (str(one.extract_date), text(one.files_read), text(one.stays), text(one.observations),
         text(len({file.source_file for file in one.unreadable})))
        for one in summaries
    ]  # fmt: skip
    yield table(("extract date", "files", "stays", "observations", "not readable"), rows)
    for one in summaries:
        yield from (f"  {one.extract_date} {shown_name(file.source_file)}: {file.reason}" for file in one.unreadable)
    left_out = sum((Counter(one.left_out) for one in summaries), Counter[str]())
    yield from (f"left out: {text(number)} ({what})" for what, number in sorted(left_out.items()))
    yield from _warnings([warning for one in summaries for warning in one.warnings])


def _validation(outcome: ValidationOutcome) -> Iterable[RenderableType]:
    rows = [
        (str(summary.extract_date), one.table, text(one.rows_in), text(one.admitted), text(one.quarantined),
         text(one.exact_duplicates), ", ".join(f"{rule.rule} {rule.rows}" for rule in one.rules if rule.rows))
        for summary in outcome.summaries
        for one in summary.reports
    ]  # fmt: skip
    heading = ("extract date", "table", "rows in", "admitted", "quarantined", "exact duplicates", "rules")
    yield table(heading, rows, text_columns=2)
    yield from _warnings(outcome.stopped)


def _sequences(summary: SequenceSummary) -> Iterable[RenderableType]:
    yield (f"{summary.as_of}: {summary.stays:,} stays ({summary.open_stays:,} open), {summary.rows:,} bins with "
           f"observations of {summary.variables} variables")  # fmt: skip
    yield _ledger(summary.observations)
    ledger = summary.observations
    yield (f"{ledger.appeared_late:,} stays appeared after the cutoff that followed their admission: what came with "
           f"them is placed as if it had come in time; {ledger.moved:,} have another admission time now")  # fmt: skip
    yield from _warnings(summary.warnings)


def _ledger(ledger: Ledger) -> Table:
    ways = [(words, text(rows)) for words, rows in ledger.shown()]
    return table(("admitted observations", text(ledger.rows)), ways)


def _bootstrap(result: BootstrapSummary) -> Iterable[RenderableType]:
    yield f"{result.as_of}: {result.export.files:,} files of history, {result.export.bytes / 1e6:,.1f} MB, taken in"
    if result.backtest and result.backtest.nights:
        first, last = result.backtest.nights[0], result.backtest.nights[-1]
        yield (f"{len(result.backtest.nights)} nights from {first} to {last} scored afterwards, "
               f"{result.backtest.predictions:,} predictions")  # fmt: skip
    elif result.backtest:
        yield f"no past night was scored: {result.backtest.note}"
    if result.night:
        yield from _night(result.night)
    if result.sequences:
        rows = [(one.table, text(one.rows_in), text(one.admitted), text(one.quarantined), text(one.exact_duplicates))
                for one in result.tables]  # fmt: skip
        yield table(("table", "rows in", "admitted", "quarantined", "exact duplicates"), rows)
        yield f"{result.sequences.stays:,} stays, {result.sequences.open_stays:,} of them open"
        yield from _warnings(result.warnings)
        yield f"next: medlstm nightly --as-of {result.as_of} trains, and scores that night"
    else:
        yield (f"next: medlstm nightly for {result.as_of + timedelta(days=1)}, with that date's files under landing/ "
               "(a database is queried)")  # fmt: skip


def _rolling_backtest(result: RollingBacktest) -> Iterable[RenderableType]:
    models = [(str(one.trained_as_of), text(one.training_stays), days_text(one.promised_mae_days),
               "promoted" if one.promoted else "kept the champion") for one in result.models]  # fmt: skip
    yield table(("trained as of", "stays", "promised, days", ""), models)
    yield narrow_table(HEADING, night_rows(result), title=f"As {result.known_as_of} knows")
    yield from summary_lines(result)
    yield f"result.json, nights.csv, nights.svg: {result.folder}"


def _training_line(summary: TrainSummary) -> str:
    if summary.version is None:
        return f"{summary.as_of}: not trained: {summary.note}"
    return (f"{summary.as_of}: {summary.version} trained on {summary.training_stays:,} stays "
            f"({summary.censored_stays:,} still open), {summary.epochs} epochs in all ({summary.sizes}); "
            f"{summary.note}")  # fmt: skip


def _night(night: NightSummary) -> Iterable[RenderableType]:
    if night.nothing:
        yield _marked(f"Night of {night.as_of}: nobody was scored:", "bold", night.nothing.reason)
        yield night.nothing.advice
    else:
        yield _marked(f"Night of {night.as_of}: {night.status}", "bold")
    rows = [
        (one.table, text(one.rows_in), text(one.admitted), text(one.quarantined), text(one.exact_duplicates))
        for one in night.tables
    ]
    title = f"{night.extract_dates} extract date(s)"
    yield table((title, "rows in", "admitted", "quarantined", "exact duplicates"), rows)
    if night.observations:
        yield _ledger(night.observations)
    if night.training:
        yield _training_line(night.training)
    if night.model_version:
        yield f"{_patients(night)} open stays scored with {night.model_version}{' (stale)' if night.stale else ''}"
    if night.groups:
        yield _forecast(night)
    if night.errors:
        yield _record(night.errors, night.min_group_size)
    yield from _warnings(night.warnings)
    yield "seconds: " + ", ".join(f"{step} {seconds:.1f}" for step, seconds in night.seconds.items())
    yield f"report: {night.report}"


def _forecast(night: NightSummary) -> Table:
    shown = group_table(night.groups, night.min_group_size)
    rows = [(row.name, *row.counts, row.median_remaining) for row in shown.rows]
    heading = night.group_column or "group"
    return table((heading, "in a bed", "leaving in 24 h", "48 h", "72 h", "median days left"), rows,
                  title="Who is expected to leave")  # fmt: skip


def _patients(night: NightSummary) -> str:
    return group_table(night.groups, night.min_group_size).patients


def _record(errors: Sequence[NightError], smallest: int) -> Group:
    rows = [
        (f"{one.as_of}{'' if one.settled else ' *'}", text(one.stays), f"{one.mae_days:.2f}",
         days_text(one.promised_mae_days), days_text(one.baseline_mae_days), f"{one.median_mae_days:.2f}",
         "–" if one.coverage is None else f"{one.coverage:.0%}")
        for one in listed_nights(errors, smallest)[-14:]
    ]  # fmt: skip
    heading = ("earlier night", "stays", "MAE, days", "promised", "Kaplan-Meier's", "median's",
               "within bounds")  # fmt: skip
    listed = narrow_table(heading, rows, title="How wrong earlier nights were")
    whole = earlier_nights(errors, smallest)
    if whole is None:
        return Group(listed)
    nights, ended = f"{whole.settled_nights} settled nights", ""
    if not whole.settled_nights:
        nights, ended = "all earlier nights (*: unsettled)", " whose stay has ended"
    return Group(listed, f"{nights}: MAE {whole.mae_days:.2f} days (promised "
                         f"{days_text(whole.promised_mae_days)}), the Kaplan-Meier baseline's "
                         f"{days_text(whole.baseline_mae_days)}, the median's {whole.median_mae_days:.2f}, "
                         f"{whole.predictions:,} predictions{ended}")  # fmt: skip


def _backfill(result: BackfillSummary) -> Iterable[RenderableType]:
    rows = [
        (str(night.as_of), night.status, _patients(night), night.model_version or "–",
         f"{sum(night.seconds.values()):.1f}")
        for night in result.nights
    ]  # fmt: skip
    yield table(("night", "status", "scored", "model", "seconds"), rows, text_columns=2)
    yield from (_marked(f"{day} failed:", "red", reason) for day, reason in result.failed)


def _demo(result: DemoSummary) -> Iterable[RenderableType]:
    hospital = result.hospital
    yield (f"A synthetic hospital of {hospital.days} days: {hospital.stays:,} stays, "
           f"{hospital.observations:,} measurements, {len(hospital.faults)} faults planted; "
           f"{len(result.nights)} nights were run.")  # fmt: skip
    trained = [night.training for night in result.nights if night.training]
    yield from (_training_line(training) for training in trained)
    yield ""
    yield from _night(result.nights[-1])


def _comparison(result: Comparison) -> Iterable[RenderableType]:
    errors = [
        (one.name, f"{one.mae_days:.3f}",
         f"{one.difference_days:+.3f} ({one.difference_lower_days:+.3f} to {one.difference_upper_days:+.3f})",
         f"{one.coverage:.1%}", f"{one.width_days:.2f}")
        for one in result.models
    ]  # fmt: skip
    yield (f"As of {result.as_of}, in days, at {result.test_points:,} nightly points of {result.test_stays:,} stays "
           "that no model was fitted on")  # fmt: skip
    yield narrow_table(("model", "MAE", "less gbm's (95 %)", "coverage", "width"), errors)
    further = [
        (one.name, f"{one.rmse_days:.3f}", f"{one.msle:.3f}", f"{one.mape:.2f}", f"{one.r2:.3f}", f"{one.kappa:.3f}",
         f"{one.seconds_train:.1f}", f"{one.seconds_score:.2f}")
        for one in result.models
    ]  # fmt: skip
    yield narrow_table(("model", "RMSE", "MSLE", "MAPE", "R2", "kappa", "train s", "score s"), further)


def _gates(result: GateSummary) -> Iterable[RenderableType]:
    whose = "" if result.members == 1 else f" of the first of {result.members} members"
    yield (f"{result.as_of}: the LSTM{whose} of {result.model_version} ({result.model}), {result.layers} layer(s) of "
           f"{result.hidden_units} units, over the longest open stay")  # fmt: skip
    yield f"the six equations give the network's hidden states, to within {result.hidden_difference:.1g}"
    yield f"gates: {result.picture}"


def _warnings(warnings: Sequence[str]) -> Iterable[Text]:
    kinds = by_kind(warnings)
    yield from (_marked("warning:", "yellow", warning) for warning in kinds[:_MAX_WARNINGS])
    if len(kinds) > _MAX_WARNINGS:
        yield _marked(f"… and {len(kinds) - _MAX_WARNINGS} more warnings", "yellow")


def _marked(word: str, style: str, rest: str = "") -> Text:
    return Text.assemble((word, style), printable(f" {rest}") if rest else "")

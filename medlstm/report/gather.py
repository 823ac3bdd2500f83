"""Gather what one night's page shows from the lake and the registry: aggregates, as of that night."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import pandas as pd

from medlstm.contracts.raw_to_admitted import read_contract_reports
from medlstm.evaluation.judged_nights import coverage, is_settled, mean_error
from medlstm.evaluation.stored_nights import backtested_nights, judged_predictions, predicted_nights, predicted_stays
from medlstm.ingest.delivered_files import read_delivery
from medlstm.ingest.landing_to_raw import read_unreadable_files
from medlstm.lake.files import Workspace, partition_file, read_table, write_text
from medlstm.registry.records import ModelRecord
from medlstm.registry.versions import champion, load_records
from medlstm.report.content import GroupForecast, LossPoint, ModelCard, NightError, NightReport, RuleRow, TableCounts
from medlstm.report.nothing_scored import why_nothing
from medlstm.report.page import render_report
from medlstm.sequences.cohort import Cohort, load_cohort
from medlstm.sequences.row_ledger import read_ledger
from medlstm.settings.workspace import Config

_NIGHTS_LOOKED_BACK = 60
_MAX_PAIRS = 2000
_MAX_VARIABLES = 12


@dataclass(frozen=True)
class EndedPredictions:
    """What is known of earlier predictions by a night: error by night, and (predicted, actual) pairs of ended stays."""

    nights: tuple[NightError, ...]
    pairs: tuple[tuple[float, float], ...]


def write_report(
    workspace: Workspace, as_of: date, config: Config, status: str, warnings: Sequence[str]
) -> NightReport:
    """Write `reports/<as_of>/index.html`; `status` is done, warning or stopped."""
    report = gather_report(workspace, as_of, config, status, warnings)
    write_text(render_report(report), workspace.report(as_of) / "index.html")
    return report


def gather_report(
    workspace: Workspace, as_of: date, config: Config, status: str, warnings: Sequence[str]
) -> NightReport:
    """Everything that the page of the night `as_of` shows, from what that night may know."""
    predictions = _predictions_of(workspace, as_of)
    contracts = read_contract_reports(workspace, as_of)
    # All that the page tells of are stays that some night scored; why nobody was, all stays tell.
    among = None if predictions.empty else predicted_stays(workspace, [*_looked_back(workspace, as_of), as_of])
    cohort = load_cohort(workspace, as_of, config, among=among)
    ended = ended_predictions(workspace, as_of, cohort, config)
    record = _scoring_model(workspace, as_of, predictions)
    unreadable = read_unreadable_files(workspace, as_of)
    nothing = None
    if predictions.empty and status != "stopped":
        nothing = why_nothing(workspace, as_of, config, cohort, contracts, len(unreadable))
    return NightReport(
        hospital_timezone=config.workspace.timezone,
        as_of=as_of,
        cutoff=config.cutoff_instant(as_of),
        status="failed" if nothing and nothing.is_failure else status,
        warnings=tuple(warnings),
        tables=tuple(
            TableCounts(one.table, one.rows_in, one.admitted, one.quarantined, one.exact_duplicates)
            for one in contracts
        ),
        rules=tuple(
            RuleRow(one.table, rule.rule, rule.action, rule.rows, rule.description)
            for one in contracts
            for rule in one.rules
        ),
        unreadable_files=unreadable,
        scored_stays=len(predictions),
        group_column=config.scoring.group_column,
        groups=forecast_groups(predictions, cohort, config.scoring.group_column),
        nights=ended.nights,
        pairs=ended.pairs,
        interval_coverage=config.scoring.interval_coverage,
        losses=_losses(record),
        model=_model_card(record, predictions),
        top_variables=_top_variables(predictions),
        min_group_size=config.report.min_group_size,
        observations=read_ledger(workspace, as_of),
        left_out=_left_out(workspace, as_of),
        stays_without_upper_bound=0 if predictions.empty else int(predictions["remaining_los_days_upper"].isna().sum()),
        nothing=nothing,
        backtested_nights=len({one.as_of for one in ended.nights} & backtested_nights(workspace)),
    )


def _left_out(workspace: Workspace, as_of: date) -> tuple[tuple[str, int], ...]:
    delivery = read_delivery(workspace, as_of)
    return tuple(sorted(delivery.left_out.items())) if delivery else ()


def _predictions_of(workspace: Workspace, as_of: date) -> pd.DataFrame:
    path = partition_file(workspace.predictions, as_of, key="as_of")
    return read_table(path).to_pandas() if path.is_file() else pd.DataFrame()


def forecast_groups(
    predictions: pd.DataFrame, cohort: Cohort, group_column: str | None
) -> tuple[GroupForecast, ...]:
    """Open stays and expected discharges within 24, 48 and 72 hours, by group, by name.

    Expected are the sums of the stays' probabilities, or where the head gives none, the stays whose prediction is
    within the hours.
    """
    if predictions.empty:
        return ()
    if group_column is None:
        return (_forecast("all", predictions),)
    groups = cohort.frame.set_index("stay_id")[group_column].reindex(predictions["stay_id"]).fillna("")
    return tuple(
        _forecast(str(name), of_group) for name, of_group in predictions.groupby(groups.astype(str).to_numpy())
    )


def _forecast(name: str, predictions: pd.DataFrame) -> GroupForecast:
    days = predictions["remaining_los_days"]
    leaving = []
    for hours in (24, 48, 72):
        chances = predictions[f"p_discharge_{hours}h"]
        leaving.append(round(float(chances.sum())) if chances.notna().all() else int((days <= hours / 24).sum()))
    return GroupForecast(name, len(days), leaving[0], leaving[1], leaving[2], float(days.median()))


def ended_predictions(workspace: Workspace, as_of: date, cohort: Cohort, config: Config) -> EndedPredictions:
    """Compare the predictions of earlier nights with what the night `as_of` knows of their stays."""
    records = {record.version: record for record in load_records(workspace, as_of)}
    nights, pairs = [], []
    judged = judged_predictions(workspace, _looked_back(workspace, as_of), cohort, {}, config)
    for _, rows in judged.groupby("as_of", sort=True) if len(judged) else ():
        ended = rows[rows["ended"]]
        if len(ended):
            nights.append(_night_error(rows["as_of"].iloc[0], as_of, rows, records.get(rows["model_version"].iloc[0])))
            pairs += list(zip(ended["remaining_los_days"].tolist(), ended["known_days"].tolist(), strict=True))
    return EndedPredictions(tuple(nights), _thinned(pairs))


def _looked_back(workspace: Workspace, as_of: date) -> list[date]:
    return predicted_nights(workspace, date.min, as_of)[-_NIGHTS_LOOKED_BACK:]


def _night_error(night: date, as_of: date, judged: pd.DataFrame, record: ModelRecord | None) -> NightError:
    """Of a settled night all predictions count, of a younger one those whose stays have ended, against what was
    promised of such."""
    settled = is_settled(len(judged), int(judged["ended"].sum()))
    rows = judged if settled else judged[judged["ended"]]
    promised = None
    if record is not None:
        # A stay that has ended since had no more days left than have passed: nor had those that it is held against.
        younger = record.test.mae_days_of_those_ended_within((as_of - night).days)
        promised = record.promised_mae_days if settled else younger
    return NightError(
        as_of=night,
        stays=len(rows),
        settled=settled,
        mae_days=mean_error(rows, "remaining_los_days") or 0.0,
        median_mae_days=mean_error(rows, "median_remaining_days") or 0.0,
        baseline_mae_days=mean_error(rows, "baseline_remaining_days"),
        promised_mae_days=promised,
        coverage=coverage(rows),
    )


def _thinned(pairs: list[tuple[float, float]]) -> tuple[tuple[float, float], ...]:
    stride = max(1, -(-len(pairs) // _MAX_PAIRS))
    return tuple(pairs[::stride])


def _scoring_model(workspace: Workspace, as_of: date, predictions: pd.DataFrame) -> ModelRecord | None:
    """The model that scored the night, or where nobody was scored, the one that would have."""
    if predictions.empty:
        return champion(workspace, as_of)
    version = predictions["model_version"].iloc[0]
    return next((record for record in load_records(workspace, as_of) if record.version == version), None)


def _losses(record: ModelRecord | None) -> tuple[LossPoint, ...]:
    if record is None:
        return ()
    first = [loss for loss in record.losses if loss.member == 0]
    return tuple(LossPoint(loss.epoch, loss.training_loss, loss.validation_loss) for loss in first)


def _model_card(record: ModelRecord | None, predictions: pd.DataFrame) -> ModelCard | None:
    if record is None:
        return None
    spec = record.spec
    members = f", {spec.members} members" if spec.members > 1 else ""
    return ModelCard(
        version=record.version,
        trained_as_of=record.trained_as_of,
        architecture=f"{spec.name}, {spec.layers} x {spec.hidden_units} units, {spec.inputs} inputs{members}",
        head=spec.head,
        parameters=record.parameters,
        training_stays=record.training_stays,
        censored_stays=record.censored_stays,
        validation_mae_days=record.validation.mae_days,
        median_validation_mae_days=record.validation.median_mae_days,
        interval_coverage=record.interval.coverage,
        stale=not predictions.empty and bool(predictions["stale"].iloc[0]),
        note=record.note,
        promised_mae_days=record.promised_mae_days,
        promise_nights=record.promise.nights if record.promise else 0,
        promise_stays=record.promise.stays if record.promise else 0,
        test_stays=record.test.stays,
        test_mae_days=record.test.mae_days,
        test_baseline_mae_days=record.test.baseline_mae_days,
        test_coverage=record.test.coverage,
        subgroups=record.test.subgroups,
        leaks=tuple(str(one) for one in record.leaks),
    )


def _top_variables(predictions: pd.DataFrame) -> tuple[tuple[str, float], ...]:
    """Mean absolute contribution in days of the inputs that were among a stay's reasons, largest first."""
    totals: dict[str, float] = {}
    for reasons in predictions["reasons"] if not predictions.empty else ():
        for reason in reasons:
            totals[reason["variable"]] = totals.get(reason["variable"], 0.0) + abs(reason["contribution_days"])
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))
    return tuple((name, total / len(predictions)) for name, total in ranked[:_MAX_VARIABLES])

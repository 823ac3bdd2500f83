"""One night as a self-contained HTML page: counts, forecasts by group, earlier nights' errors, data and model."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medlstm.evaluation.subgroups import SubgroupScore
from medlstm.report import plots
from medlstm.report.content import GroupForecast, NightError, NightReport, RuleRow

DASH = "–"
MAX_NIGHTS_IN_TABLE = 60
# An error so much above the promised one is more than chance over a few nights.
BROKEN_PROMISE = 0.15
CALM_STATUSES = ("done", "ok", "completed", "succeeded", "success")
ALARMING_STATUSES = ("failed", "stopped", "error", "crashed")


@dataclass(frozen=True)
class GroupRow:
    """One row of the group table as it is shown, small counts hidden."""

    name: str
    counts: tuple[str, ...]
    median_remaining: str


@dataclass(frozen=True)
class EarlierNights:
    """Errors of all earlier nights, weighted by their stays; baseline and promise where every night has one."""

    predictions: int
    mae_days: float
    median_mae_days: float
    baseline_mae_days: float | None
    promised_mae_days: float | None
    coverage: float | None
    coverage_predictions: int

    @property
    def over_promise(self) -> float | None:
        """By which share the error is above the promised one; below 0 where it is smaller."""
        return None if not self.promised_mae_days else self.mae_days / self.promised_mae_days - 1


def render_report(report: NightReport) -> str:
    """The night's page as one HTML document that loads nothing from outside; equal input gives equal bytes."""
    nights = _measured(report.nights)
    caught = sorted((rule for rule in report.rules if rule.rows), key=lambda rule: (-rule.rows, rule.table, rule.rule))
    totals = _totals(report.groups)
    return _environment().get_template("report.html.j2").render(
        report=report,
        cutoff=report.cutoff.astimezone(ZoneInfo(report.hospital_timezone)),
        tone=_tone(report.status),
        leaving_24h=_hide_small(totals[1], report.min_group_size) if report.groups else None,
        group_rows=group_rows(report.groups, report.min_group_size),
        total_row=[_hide_small(total, report.min_group_size) for total in totals],
        earlier=earlier_nights(nights),
        broken_promise=BROKEN_PROMISE,
        nights=nights[::-1][:MAX_NIGHTS_IN_TABLE],
        pairs=_finite_pairs(report.pairs),
        top_variables=_finite_variables(report.top_variables),
        caught_rules=caught,
        quiet_rules=len(report.rules) - len(caught),
        subgroups=_shown_subgroups(report),
        quarantined=sum(counts.quarantined for counts in report.tables),
        figures=_figures(report, nights, caught),
    )


def _shown_subgroups(report: NightReport) -> list[SubgroupScore]:
    found = report.model.subgroups if report.model else ()
    return [one for one in found if one.stays >= report.min_group_size]


def _environment() -> Environment:
    environment = Environment(loader=PackageLoader("medlstm.report"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True)
    environment.filters.update(count=_count, days=days_text, percent=_percent, long_date=_long_date,
                               breakable=_breakable)
    return environment


def _figures(report: NightReport, nights: Sequence[NightError], caught: Sequence[RuleRow]) -> dict[str, str]:
    """The data URI of each figure that has data to show."""
    figures = {}
    if nights:
        figures["errors"] = plots.error_by_night([night.as_of for night in nights],
                                                 [night.mae_days for night in nights],
                                                 [_to_beat(night) for night in nights],
                                                 [night.promised_mae_days for night in nights])
    pairs = _finite_pairs(report.pairs)
    if pairs:
        figures["pairs"] = plots.predicted_against_actual(pairs)
    variables = _finite_variables(report.top_variables)
    if variables:
        names, contributions = zip(*variables, strict=True)
        figures["variables"] = plots.horizontal_bars(names, contributions, "mean absolute contribution (days)", 2)
    if report.losses:
        figures["losses"] = plots.loss_curve([point.epoch for point in report.losses],
                                             [point.training_loss for point in report.losses],
                                             [point.validation_loss for point in report.losses])
    quarantining = [rule for rule in caught if rule.action == "quarantine"]
    if quarantining:
        figures["rules"] = plots.horizontal_bars([f"{rule.table}: {rule.rule}" for rule in quarantining],
                                                 [rule.rows for rule in quarantining], "quarantined rows", 0)
    return figures


def _counts(group: GroupForecast) -> tuple[int, int, int, int]:
    return group.open_stays, group.leaving_24h, group.leaving_48h, group.leaving_72h


def _totals(groups: Sequence[GroupForecast]) -> list[int]:
    return [sum(_counts(group)[column] for group in groups) for column in range(4)]


def group_rows(groups: Sequence[GroupForecast], smallest: int) -> list[GroupRow]:
    """The group table as it may be shown, with counts below `smallest` hidden."""
    columns = [_hide_small_cells([_counts(group)[column] for group in groups], smallest) for column in range(4)]
    rows = []
    for place, group in enumerate(groups):
        # The median of a handful of stays is close to a single patient's prediction.
        median = days_text(group.median_remaining_days, 1) if group.open_stays >= max(smallest, 1) else DASH
        shown = tuple(column[place] for column in columns)
        rows.append(GroupRow(group.group or "not recorded", shown, median))
    return rows


def _hide_small_cells(values: Sequence[int], smallest: int) -> list[str]:
    """A column as text with counts in 1..smallest-1 hidden.

    A lone hidden cell could be worked out from the column's total, so the next smallest is then hidden too.
    """
    small = [value for value in values if 0 < value < smallest]
    others = [value for value in values if value >= smallest]
    shown = [_hide_small(value, smallest) for value in values]
    if len(small) == 1 and others:
        shown[values.index(min(others))] = f"{smallest}+"
    return shown


def _hide_small(value: int, smallest: int) -> str:
    return f"<{smallest}" if 0 < value < smallest else _count(value)


def _measured(nights: Sequence[NightError]) -> list[NightError]:
    """The nights with at least one ended stay and finite errors, oldest first."""
    usable = [night for night in nights
              if night.stays > 0 and math.isfinite(night.mae_days) and math.isfinite(night.median_mae_days)]
    return sorted(usable, key=lambda night: night.as_of)


def earlier_nights(nights: Sequence[NightError]) -> EarlierNights | None:
    """All earlier nights as one; None where there is none."""
    if not nights:
        return None
    stays = sum(night.stays for night in nights)
    checked = [(night.coverage, night.stays) for night in nights
               if night.coverage is not None and math.isfinite(night.coverage)]
    checked_stays = sum(weight for _, weight in checked)
    return EarlierNights(
        predictions=stays,
        mae_days=sum(night.mae_days * night.stays for night in nights) / stays,
        median_mae_days=sum(night.median_mae_days * night.stays for night in nights) / stays,
        baseline_mae_days=_weighted([(night.baseline_mae_days, night.stays) for night in nights]),
        promised_mae_days=_weighted([(night.promised_mae_days, night.stays) for night in nights]),
        coverage=sum(share * weight for share, weight in checked) / checked_stays if checked else None,
        coverage_predictions=checked_stays,
    )


def _to_beat(night: NightError) -> float:
    return night.median_mae_days if night.baseline_mae_days is None else night.baseline_mae_days


def _weighted(errors: Sequence[tuple[float | None, int]]) -> float | None:
    """The mean of (error, stays); None where a night has none."""
    known = [(error, stays) for error, stays in errors if error is not None]
    if len(known) < len(errors):
        return None
    return sum(error * stays for error, stays in known) / sum(stays for _, stays in known)


def _finite_pairs(pairs: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [pair for pair in pairs if math.isfinite(pair[0]) and math.isfinite(pair[1])]


def _finite_variables(variables: Sequence[tuple[str, float]]) -> list[tuple[str, float]]:
    return [(name, contribution) for name, contribution in variables if math.isfinite(contribution)]


def _tone(status: str) -> str:
    word = status.strip().lower()
    if word in CALM_STATUSES:
        return "calm"
    return "alarm" if word in ALARMING_STATUSES else "caution"


def _count(value: int) -> str:
    return f"{value:,}"


def days_text(value: float | None, decimals: int = 2) -> str:
    """Days as they are shown; a dash where there are none."""
    return f"{value:,.{decimals}f}" if value is not None and math.isfinite(value) else DASH


def _percent(share: float | None) -> str:
    return DASH if share is None or not math.isfinite(share) else f"{100 * share:.3g} %"


def _breakable(name: str) -> Markup:
    """A name that a narrow screen may break after an underscore; escaped."""
    return Markup("_<wbr>").join(name.split("_"))


def _long_date(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"

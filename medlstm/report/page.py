"""One night as a self-contained HTML page: counts, forecasts by group, earlier nights' errors, data and model."""

import math
from collections.abc import Sequence
from datetime import date
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from medlstm.evaluation.subgroups import SubgroupScore
from medlstm.report import plots
from medlstm.report.content import NightError, NightReport, RuleRow
from medlstm.report.earlier_nights import earlier_nights, listed_nights, measured_nights
from medlstm.report.group_table import DASH, days_text, group_table, hide_small

MAX_NIGHTS_IN_TABLE = 60
# An error so much above the promised one is more than chance over a few nights.
BROKEN_PROMISE = 0.15
CALM_STATUSES = ("done", "ok", "completed", "succeeded", "success")
ALARMING_STATUSES = ("failed", "stopped", "error", "crashed")


def render_report(report: NightReport) -> str:
    """The night's page as one HTML document that loads nothing from outside; equal input gives equal bytes."""
    measured = measured_nights(report.nights)
    nights = listed_nights(measured, report.min_group_size)
    caught = sorted((rule for rule in report.rules if rule.rows), key=lambda rule: (-rule.rows, rule.table, rule.rule))
    table = group_table(report.groups, report.min_group_size)
    return _environment().get_template("report.html.j2").render(
        report=report,
        cutoff=report.cutoff.astimezone(ZoneInfo(report.hospital_timezone)),
        tone=_tone(report.status),
        patients=table.patients,
        leaving_24h=table.totals[1] if report.groups else None,
        group_rows=table.rows,
        total_row=table.totals,
        earlier=earlier_nights(measured, report.min_group_size),
        broken_promise=BROKEN_PROMISE,
        nights=nights[::-1][:MAX_NIGHTS_IN_TABLE],
        unlisted_nights=len(measured) - len(nights),
        pairs=_shown_pairs(report),
        top_variables=_shown_variables(report),
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
                               breakable=_breakable, in_words=_in_words, hide_small=hide_small)
    return environment


def _figures(report: NightReport, nights: Sequence[NightError], caught: Sequence[RuleRow]) -> dict[str, str]:
    """The data URI of each figure that has data to show."""
    figures = {}
    if nights:
        figures["errors"] = plots.error_by_night([night.as_of for night in nights],
                                                 [night.mae_days for night in nights],
                                                 [_to_beat(night) for night in nights],
                                                 [night.promised_mae_days for night in nights],
                                                 [night.as_of for night in nights if not night.settled])
    pairs = _shown_pairs(report)
    if pairs:
        figures["pairs"] = plots.predicted_against_actual(pairs)
    variables = _shown_variables(report)
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


def _to_beat(night: NightError) -> float:
    return night.median_mae_days if night.baseline_mae_days is None else night.baseline_mae_days


def _shown_pairs(report: NightReport) -> list[tuple[float, float]]:
    """None where they are too few to be anybody's."""
    finite = [pair for pair in report.pairs if math.isfinite(pair[0]) and math.isfinite(pair[1])]
    return finite if len(report.pairs) >= report.min_group_size else []


def _shown_variables(report: NightReport) -> list[tuple[str, float]]:
    """None where the patients are too few: their mean would be close to a single one's."""
    finite = [(name, contribution) for name, contribution in report.top_variables if math.isfinite(contribution)]
    return finite if report.scored_stays >= report.min_group_size else []


def _tone(status: str) -> str:
    word = status.strip().lower()
    if word in CALM_STATUSES:
        return "calm"
    return "alarm" if word in ALARMING_STATUSES else "caution"


def _count(value: int) -> str:
    return f"{value:,}"


def _in_words(shown: str) -> str:
    """A count as `group_table` shows it, in a sentence."""
    if shown.startswith("<"):
        return f"fewer than {shown[1:]}"
    return f"at least {shown[:-1]}" if shown.endswith("+") else shown


def _percent(share: float | None) -> str:
    return DASH if share is None or not math.isfinite(share) else f"{100 * share:.3g} %"


def _breakable(name: str) -> Markup:
    """A name that a narrow screen may break after an underscore; escaped."""
    return Markup("_<wbr>").join(name.split("_"))


def _long_date(day: date) -> str:
    return f"{day.day} {day:%B} {day.year}"

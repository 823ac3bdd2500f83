"""What a night leaves in the Prefect UI: counts and aggregates only."""

import re

from prefect.artifacts import create_markdown_artifact, create_table_artifact

from medlstm.contracts.raw_to_admitted import ValidationSummary
from medlstm.report.content import NightReport
from medlstm.report.earlier_nights import listed_nights
from medlstm.report.group_table import days_text, group_table


def publish_contracts(summaries: tuple[ValidationSummary, ...]) -> None:
    """A table: per date and table the rows in, admitted, quarantined and duplicate."""
    rows = [
        {
            "extract_date": summary.extract_date.isoformat(),
            "table": report.table,
            "rows in": report.rows_in,
            "admitted": report.admitted,
            "quarantined": report.quarantined,
            "exact duplicates": report.exact_duplicates,
            "rules": ", ".join(f"{rule.rule} {rule.rows}" for rule in report.rules if rule.rows) or "–",
        }
        for summary in summaries
        for report in summary.reports
    ]
    create_table_artifact(table=rows, key="contracts", description="What the data contracts let through")


def publish_night(report: NightReport) -> None:
    """A page of Markdown: who is expected to leave, how earlier nights did, what needs attention."""
    create_markdown_artifact(markdown=night_markdown(report), key="night", description=f"The night of {report.as_of}")


def night_markdown(report: NightReport) -> str:
    """The night in Markdown; small groups are hidden as in the report."""
    lines = [f"# Night of {report.as_of}: {report.status}", ""]
    if report.nothing:
        lines += [f"**Nobody was scored: {_as_text(report.nothing.reason)}.** {_as_text(report.nothing.advice)}", ""]
    lines += [f"- **Warning:** {_as_text(warning)}" for warning in report.warnings]
    model = f" with `{report.model.version}`" if report.model else ""
    table = group_table(report.groups, report.min_group_size)
    lines += [f"- {_as_text(table.patients)} open stays scored{model}"]
    if report.groups:
        lines += ["", f"| {_as_text(report.group_column or 'group')} | in a bed | leaving in 24 h | 48 h | 72 h |",
                  "|---|---:|---:|---:|---:|"]  # fmt: skip
        lines += [f"| {' | '.join(_as_text(cell) for cell in (row.name, *row.counts))} |" for row in table.rows]
    nights = listed_nights(report.nights, report.min_group_size)
    if nights:
        heading = ("earlier night", "stays", "MAE, days", "promised", "Kaplan–Meier's", "median's", "coverage")
        lines += ["", f"| {' | '.join(heading)} |", "|---|---:|---:|---:|---:|---:|---:|"]
        lines += [
            f"| {night.as_of}{'' if night.settled else ', unsettled'} | {night.stays} | {night.mae_days:.2f} | "
            f"{days_text(night.promised_mae_days)} | "
            f"{days_text(night.baseline_mae_days)} | {night.median_mae_days:.2f} | "
            + (f"{night.coverage:.0%} |" if night.coverage is not None else "– |")
            for night in reversed(nights[-14:])
        ]
    return "\n".join(lines) + "\n"


def _as_text(text: str) -> str:
    """Names and messages as Markdown that shows them as they are, in one line and one cell."""
    return re.sub(r"([\\`*_\[\]<>|#])", r"\\\1", " ".join(text.split()))

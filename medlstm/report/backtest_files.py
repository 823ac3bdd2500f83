"""What a backtest leaves for people: a table, a plot and one JSON file in its folder."""

import base64
import csv
import io
from dataclasses import replace
from pathlib import Path

from medlstm.history.rolling_backtest import RollingBacktest
from medlstm.lake.files import write_bytes, write_json, write_text
from medlstm.report.plots import error_by_night
from medlstm.values.plain_data import plain

HEADING = ("night", "scored", "ended", "MAE, days", "promised", "Kaplan-Meier's", "within bounds")
_UNSETTLED = "unsettled"


def write_backtest(result: RollingBacktest) -> None:
    """Write `nights.csv`, `nights.svg` (where a night is settled) and `result.json` into the folder of a backtest."""
    folder = Path(result.folder)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([HEADING, *night_rows(result)])
    write_text(text.getvalue(), folder / "nights.csv")
    plot = _plot(result)
    if plot:
        write_bytes(plot, folder / "nights.svg")
    write_json(plain(replace(result, folder=folder.name)), folder / "result.json")


def night_rows(result: RollingBacktest) -> list[tuple[str, ...]]:
    """A row a night in the order of `HEADING`; errors of settled nights only."""
    return [
        (
            night.as_of.isoformat(),
            str(night.predictions),
            str(night.ended),
            _days(night.mae_days) if night.settled else _UNSETTLED,
            _days(night.promised_mae_days),
            _days(night.baseline_mae_days),
            "–" if night.coverage is None else f"{night.coverage:.0%}",
        )
        for night in result.nights
    ]


def summary_lines(result: RollingBacktest) -> list[str]:
    """What came of a backtest, in sentences."""
    lines = list(result.notes)
    settled = result.settled
    if settled is None:
        lines.append(f"no night is settled yet as of {result.known_as_of}: on each more than 5 % of the stays are open")
    else:
        low, high = settled.bounds_days
        lines.append(
            f"{settled.nights} settled nights, {settled.predictions:,} predictions of {settled.stays:,} stays: MAE "
            f"{settled.mae_days:.2f} days (95 % bounds {low:.2f} to {high:.2f}), promised "
            f"{_days(settled.promised_mae_days)}, the Kaplan-Meier baseline's {_days(settled.baseline_mae_days)}"
        )
        if settled.over_promised is not None:
            lines.append(f"delivered over promised: {settled.over_promised:.2f}")
        if settled.coverage is not None:
            lines.append(f"bounds that held: {settled.coverage:.1%}")
    scores = result.distribution
    if scores and scores.at_days:
        by_day = zip(scores.at_days[:3], scores.brier, scores.baseline_brier, strict=False)
        told = "; ".join(f"{24 * day:.0f} h {model:.4f} ({usual:.4f})" for day, model, usual in by_day)
        lines.append(f"Brier score (the baseline's), open stays included: {told}; integrated to day "
                     f"{scores.at_days[-1]:.0f} {scores.integrated_brier:.4f} ({scores.baseline_integrated_brier:.4f})")
        lines.append(f"concordance: {scores.concordance:.3f} ({scores.baseline_concordance:.3f})")
    return lines


def _plot(result: RollingBacktest) -> bytes | None:
    shown = [(night.as_of, night.mae_days, night.baseline_mae_days, night.promised_mae_days)
             for night in result.nights
             if night.mae_days is not None and night.baseline_mae_days is not None]  # fmt: skip
    if not shown:
        return None
    nights, errors, baseline, promised = zip(*shown, strict=True)
    uri = error_by_night(nights, [float(one) for one in errors], [float(one) for one in baseline], promised)
    return base64.b64decode(uri.partition(",")[2])


def _days(days: float | None) -> str:
    return "–" if days is None else f"{days:.2f}"

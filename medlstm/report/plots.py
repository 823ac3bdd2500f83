"""The report's figures, each returned as an SVG data URI; equal input gives equal bytes."""

import base64
import io
import math
from collections.abc import Sequence
from datetime import date

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import ListedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

# Okabe and Ito's palette: told apart with any colour vision, and by line style besides.
BLUE, VERMILION, GREY, INK = "#0072B2", "#D55E00", "#8A94A0", "#2B3440"
WIDTH_INCHES = 4.2
MAX_POINTS = 300
MAX_BARS = 12
DAY_TICKS = (0, 1, 2, 4, 7, 14, 28, 60, 120, 365, 1000)
STYLE = {
    "svg.hashsalt": "medlstm",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": "#E6EAEE",
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "legend.frameon": False,
    "figure.facecolor": "white",
    "lines.linewidth": 1.8,
    "lines.markersize": 4,
}


def error_by_night(
    nights: Sequence[date],
    errors: Sequence[float],
    baseline_errors: Sequence[float],
    promised_errors: Sequence[float | None] = (),
    unsettled: Sequence[date] = (),
) -> str:
    """Mean absolute error (days) of each night's predictions: the model's, the baseline's and what was promised; the
    nights that are unsettled on a grey ground."""
    with matplotlib.style.context(STYLE, after_reset=True):
        figure, axes = _canvas(2.7)
        positions = [night.toordinal() for night in nights]
        marker = "o" if len(nights) <= 40 else ""
        axes.plot(positions, baseline_errors, color=VERMILION, linestyle="--", marker=marker, label="baseline")
        promised = [(at, error) for at, error in zip(positions, promised_errors, strict=False) if error is not None]
        if promised:
            axes.step(*zip(*promised, strict=True), where="mid", color=GREY, linestyle=":", label="promised")
        axes.plot(positions, errors, color=BLUE, marker=marker, label="model")
        if unsettled:
            axes.axvspan(min(unsettled).toordinal() - 0.5, max(positions) + 0.5, color=GREY, alpha=0.15, linewidth=0,
                         label="unsettled")
        axes.set_ylim(0, _headroom([*errors, *baseline_errors, *(error for _, error in promised)]))
        axes.set_ylabel("mean error (days)")
        axes.set_xlabel("night of the prediction")
        ticks = _spread(sorted(set(positions)), 5)
        axes.set_xticks(ticks, [_day_label(tick, positions) for tick in ticks])
        axes.margins(x=0.06)
        _legend_above(axes)
        return _data_uri(figure)


def predicted_against_actual(pairs: Sequence[tuple[float, float]]) -> str:
    """Predicted against actual remaining days on log(1 + days) axes; hexagons when there are many points."""
    with matplotlib.style.context(STYLE, after_reset=True):
        figure, axes = _canvas(3.6)
        points = np.log1p(np.clip(np.asarray(pairs, dtype=float), 0, None))
        predicted, actual = points[:, 0], points[:, 1]
        limit = max(float(points.max()), math.log1p(2)) * 1.04
        if len(points) > MAX_POINTS:
            _hexagons(figure, axes, predicted, actual, limit)
        else:
            axes.scatter(predicted, actual, s=16, color=BLUE, alpha=0.5, linewidths=0)
        axes.plot([0, limit], [0, limit], color=VERMILION, linestyle="--", linewidth=1.3,
                  label="perfect: actual = predicted")
        ticks = [day for day in DAY_TICKS if math.log1p(day) <= limit]
        places = [math.log1p(day) for day in ticks]
        axes.set_xticks(places, [str(day) for day in ticks])
        axes.set_yticks(places, [str(day) for day in ticks])
        axes.set_xlim(-0.03 * limit, limit)
        axes.set_ylim(-0.03 * limit, limit)
        axes.set_aspect("equal")
        axes.set_xlabel("predicted remaining stay (days)")
        axes.set_ylabel("actual remaining stay (days)")
        _legend_above(axes)
        return _data_uri(figure)


def _hexagons(figure: Figure, axes: Axes, predicted: np.ndarray, actual: np.ndarray, limit: float) -> None:
    blues = ListedColormap(matplotlib.colormaps["Blues"](np.linspace(0.2, 1, 8)))
    cells = axes.hexbin(predicted, actual, gridsize=26, extent=(0, limit, 0, limit), mincnt=1, cmap=blues,
                        linewidths=0)
    fullest = max(2.0, float(np.max(np.asarray(cells.get_array()))))
    cells.set_norm(LogNorm(1, fullest))
    bar = figure.colorbar(cells, ax=axes, label="predictions per cell", shrink=0.8, pad=0.03)
    ticks = [tick for tick in (1, 3, 10, 30, 100, 300, 1000, 3000, 10000, 100000, 1000000) if tick <= fullest]
    bar.set_ticks(ticks, labels=[f"{tick:,}" for tick in ticks])
    bar.ax.yaxis.set_minor_locator(NullLocator())


def horizontal_bars(labels: Sequence[str], values: Sequence[float], unit: str, decimals: int) -> str:
    """At most MAX_BARS bars in the order given, each under its own label, its value at its end."""
    with matplotlib.style.context(STYLE, after_reset=True):
        shown = [(_shorten(label), value) for label, value in zip(labels, values, strict=True)][:MAX_BARS]
        figure, axes = _canvas(0.62 + 0.36 * len(shown))
        axes.barh(range(len(shown)), [value for _, value in shown], height=0.36, color=BLUE)
        for place, (label, value) in enumerate(shown):
            # parse_math off: a column named "cost_$a$" is text, not a formula.
            axes.text(0, place - 0.26, label, va="bottom", ha="left", fontsize=8.5, parse_math=False)
            axes.annotate(f"{value:,.{decimals}f}", (value, place), xytext=(4, 0), textcoords="offset points",
                          va="center", ha="left", fontsize=8.5)
        axes.set_ylim(len(shown) - 0.6, -0.95)
        axes.set_xlim(0, _headroom([value for _, value in shown]) * 1.12)
        axes.set_yticks([])
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=decimals == 0))
        axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:,.4g}" if tick < 10000 else f"{tick:,.0f}")
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(unit)
        return _data_uri(figure)


def loss_curve(epochs: Sequence[int], training: Sequence[float], validation: Sequence[float]) -> str:
    """Training and validation loss by epoch, with a ring around the lowest validation loss."""
    with matplotlib.style.context(STYLE, after_reset=True):
        figure, axes = _canvas(2.7)
        marker = "o" if len(epochs) == 1 else ""
        axes.plot(epochs, training, color=VERMILION, linestyle="--", marker=marker, label="training")
        axes.plot(epochs, validation, color=BLUE, marker=marker, label="validation")
        if np.isfinite(validation).any():
            best = int(np.nanargmin(np.where(np.isfinite(validation), validation, np.nan)))
            axes.plot(epochs[best], validation[best], linestyle="", marker="o", markersize=9, color=BLUE,
                      markerfacecolor="none", label=f"lowest (epoch {epochs[best]})")
        axes.set_xlabel("epoch")
        axes.set_ylabel("loss (as trained)")
        axes.set_xticks(_spread(sorted(set(epochs)), 6))
        axes.margins(y=0.1)
        _legend_above(axes)
        return _data_uri(figure)


def errors_by_model(rows: Sequence[tuple[str, float, float, float]], reference: str) -> str:
    """Difference of each model's mean absolute error (days) to the reference's: (name, mean, lower, upper), the best
    first; bars are 95 % bounds."""
    with matplotlib.style.context(STYLE, after_reset=True):
        figure, axes = _canvas(0.9 + 0.26 * len(rows))
        for place, (_, mean, lower, upper) in enumerate(reversed(rows)):
            colour = BLUE if upper < 0 else VERMILION if lower > 0 else GREY
            axes.plot([lower, upper], [place, place], color=colour)
            axes.plot([mean], [place], color=colour, marker="o")
        axes.axvline(0, color=INK, linestyle="--", linewidth=1)
        axes.set_yticks(range(len(rows)), [name for name, *_ in reversed(rows)])
        axes.set_xlabel(f"mean error less that of {reference} (days; left is better)")
        return _data_uri(figure)


def _canvas(height_inches: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), layout="constrained")
    FigureCanvasSVG(figure)
    return figure, figure.add_subplot()


def svg_bytes(figure: Figure) -> bytes:
    """An SVG file of a figure drawn in STYLE: no date, no random names."""
    buffer = io.BytesIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", metadata=nothing)
    return buffer.getvalue()


def _data_uri(figure: Figure) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(svg_bytes(figure)).decode("ascii")


def _legend_above(axes: Axes) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2, columnspacing=1.2,
                handlelength=1.8, fontsize=8.5)


def _headroom(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return max([*finite, 0.0]) * 1.1 or 1.0


def _spread(places: list[int], count: int) -> list[int]:
    """At most `count` of the sorted places, the first and the last among them."""
    if len(places) <= count:
        return places
    step = (len(places) - 1) / (count - 1)
    return [places[round(position * step)] for position in range(count)]


def _day_label(ordinal: int, ordinals: Sequence[int]) -> str:
    day = date.fromordinal(ordinal)
    several_years = date.fromordinal(min(ordinals)).year != date.fromordinal(max(ordinals)).year
    return f"{day.day} {day:%b}\n{day.year}" if several_years else f"{day.day} {day:%b}"


def _shorten(label: str) -> str:
    return label if len(label) <= 48 else label[:47] + "…"

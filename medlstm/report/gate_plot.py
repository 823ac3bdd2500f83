"""The picture of an LSTM's gates over one sequence, as SVG; equal input gives equal bytes.

These are the gates of the recurrent cell; the gate that lets a challenger become champion is
medlstm/registry/promotion.py.
"""

from dataclasses import dataclass

import matplotlib.style
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator

from medlstm.report.plots import STYLE, svg_bytes

TITLES = (
    "forget gate: 1 keeps the memory, 0 drops it",
    "input gate: 1 writes to the memory, 0 does not",
    "output gate: 1 shows the memory, 0 hides it",
    "cell state: the memory itself (linear to 1, then logarithmic)",
)
_PANEL_HEIGHT_INCHES = 1.45
_PANEL_WIDTH_INCHES = 4.6


@dataclass(frozen=True)
class GateFigure:
    """Per layer the forget, input and output gate and the cell state, each [T, H], and the days in hospital from the
    start of the first step to the end of the last (None: the sequence is not one of hours)."""

    layers: tuple[tuple[np.ndarray, ...], ...]
    days: tuple[float, float] | None


def draw(content: GateFigure) -> bytes:
    """A row for each gate and a column for each layer, time to the right, a line for each unit.

    A layer's units are in the order of their mean forget gate, the longest memory on top.
    """
    with matplotlib.style.context(STYLE, after_reset=True):
        count = len(content.layers)
        size = (0.9 + _PANEL_WIDTH_INCHES * count, 0.7 + _PANEL_HEIGHT_INCHES * len(TITLES))
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.subplots(len(TITLES), count, sharex=True, squeeze=False)
        # One unit that counts upwards can reach fifty times what the others hold.
        widest = max(1.0, *(float(np.abs(layer[-1]).max()) for layer in content.layers))
        scales = [Normalize(0, 1)] * 3 + [SymLogNorm(linthresh=1, vmin=-widest, vmax=widest)]
        for column, layer in enumerate(content.layers):
            order = np.argsort(-layer[0].mean(axis=0), kind="stable")
            for row, (title, activation) in enumerate(zip(TITLES, layer, strict=True)):
                image = _heatmap(axes[row, column], activation[:, order], content.days, scales[row])
                heading = title if count == 1 else f"layer {column + 1}, {title}"
                axes[row, column].set_title(heading, loc="left", fontsize=9)
                if column == count - 1:
                    bar = figure.colorbar(image, ax=axes[row, :].tolist(), pad=0.01, aspect=12)
                    bar.set_ticks(_ticks(scales[row]), labels=[f"{tick:g}" for tick in _ticks(scales[row])])
                    bar.minorticks_off()
            axes[-1, column].set_xlabel("days since admission" if content.days else "step")
        figure.supylabel("units, longest memory on top", fontsize=9)
        return svg_bytes(figure)


def _heatmap(
    axes: Axes, activation: np.ndarray, days: tuple[float, float] | None, scale: Normalize
) -> AxesImage:
    steps, units = activation.shape
    left, right = days or (0.5, steps + 0.5)
    axes.grid(False)
    axes.set_yticks([])
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True, min_n_ticks=1))
    colours = "PuOr" if isinstance(scale, SymLogNorm) else "cividis"
    return axes.imshow(
        activation.T, aspect="auto", interpolation="none", extent=(left, right, units, 0), cmap=colours, norm=scale
    )


def _ticks(scale: Normalize) -> list[float]:
    if not isinstance(scale, SymLogNorm):
        return [0.0, 0.5, 1.0]
    above = [tick for tick in (1.0, 10.0, 100.0, 1000.0) if tick <= (scale.vmax or 1.0)]
    return [*(-tick for tick in reversed(above)), 0.0, *above]

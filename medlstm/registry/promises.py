"""What a model promises of the nights to come: the error of the last weeks' nights, as they were scored.

A test split is of other patients at the same time, and of a few of them. The nights of the last weeks were scored by
models that were trained in the same way before them, by what each night knew: that is what the next ones will be like.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from medlstm.evaluation.judged_nights import score_nights, settled_error
from medlstm.evaluation.stored_nights import backtested_nights, judged_predictions, predicted_nights, predicted_stays
from medlstm.lake.files import Workspace
from medlstm.models.spec import ModelSpec
from medlstm.sequences.cohort import load_cohort
from medlstm.settings.workspace import Config

_LOOKED_BACK = timedelta(weeks=8)
_FEWEST_NIGHTS = 14
_FEWEST_STAYS = 100


@dataclass(frozen=True)
class Promise:
    """The mean absolute error in days of the settled ones of the nights from `first_night` to `last_night`, and its
    95 % bounds (stays drawn anew)."""

    mae_days: float
    bounds_days: tuple[float, float]
    first_night: date
    last_night: date
    nights: int
    predictions: int
    stays: int


def promise_of_nights(
    workspace: Workspace, as_of: date, config: Config, spec: ModelSpec, recipes: dict[str, ModelSpec]
) -> Promise | None:
    """What the nights of the eight weeks before `as_of` came to, of those that a model of the same recipe as `spec`
    scored; `recipes` are the specs of the versions that there are.

    None with fewer than 14 settled nights or 100 stays. Nights that were scored afterwards do not count: they knew more
    than a night does.
    """
    nights = [night for night in predicted_nights(workspace, as_of - _LOOKED_BACK, as_of)
              if night not in backtested_nights(workspace)]  # fmt: skip
    if len(nights) < _FEWEST_NIGHTS:
        return None
    cohort = load_cohort(workspace, as_of, config, among=predicted_stays(workspace, nights))
    judged = judged_predictions(workspace, nights, cohort, {}, config)
    if judged.empty:
        return None
    same = {version for version, other in recipes.items() if _recipe(other) == _recipe(spec)}
    judged = judged[judged["model_version"].isin(same)]
    scores = [night for night in score_nights(judged) if night.settled]
    error = settled_error(judged, scores)
    if error is None or error.nights < _FEWEST_NIGHTS or error.stays < _FEWEST_STAYS:
        return None
    return Promise(
        error.mae_days, error.bounds_days, scores[0].as_of, scores[-1].as_of, error.nights, error.predictions,
        error.stays,
    )  # fmt: skip


def _recipe(spec: ModelSpec) -> tuple[object, ...]:
    """What a person or a version of medlstm chooses of a model; all else follows from the data."""
    chosen = ("name", "inputs", "head", "horizon_days", "numeric", "bin_hours", "single_step", "parts",
              "table_statistics", "two_ends")  # fmt: skip
    return (*(getattr(spec, name) for name in chosen), tuple(sorted(spec.categories)))

"""What a model learns before its first gradient: which inputs it takes, and their limits, scales and categories.

Everything is fitted on training stays only and ends up in the model's own buffers.
"""

import numpy as np
import pandas as pd
import torch
from scipy.stats import skew
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from torch import Tensor

from medlstm.models.distribution import fit_edges
from medlstm.models.inputs import RawInputs, unskewed
from medlstm.models.spec import ModelSpec
from medlstm.models.summaries import TABLE_STATISTICS
from medlstm.sequences.batches import Stays, died
from medlstm.sequences.nightly_points import NightlyPoints
from medlstm.sequences.stay_sequences import StaySequences
from medlstm.settings.model_names import BLEND_PARTS
from medlstm.settings.workspace import Config
from medlstm.training.sizes import Sizes

_CLIP_QUANTILES = (0.001, 0.999)
_MIN_STAYS_WITH_VARIABLE = 5
_MIN_STAYS_OF_AN_OUTCOME = 20
_MIN_SHARE_WITH_VARIABLE = 0.005
_MIN_VALUES_FOR_SKEW = 20
_ROWS_PER_CHUNK = 200_000
_NOTHING = pd.Series([], dtype="object")


def fit_spec(training: StaySequences, points: NightlyPoints, config: Config, sizes: Sizes) -> ModelSpec:
    """The inputs, the architecture and the day bins of a new model, from the configuration and training stays.

    `points` are those of the training stays at which the model will be asked. The sharpness is 1 where it is still to
    be fitted.
    """
    model = config.model
    censored = training.stays["is_open"].to_numpy(dtype=bool)[points.stay]
    edges, tail = fit_edges(points.remaining_days, censored, model.hazard_bins, model.horizon_days)
    mortality = _deaths_are_known(training) if model.mortality is None else model.mortality
    return ModelSpec(
        name=model.name,
        head=model.head,
        inputs=model.inputs,
        hidden_units=sizes.hidden_units,
        layers=model.layers,
        dropout=model.dropout,
        members=sizes.members,
        summaries=model.summaries,
        mortality=mortality,
        edges_days=edges,
        tail_days=tail,
        horizon_days=model.horizon_days,
        sharpness=1.0 if model.sharpness is None else model.sharpness,
        variables=_usable_variables(training, config),
        numeric=tuple(config.features.numeric),
        categories={name: _categories(training, name) for name in config.features.categorical},
        bin_hours=training.bin_hours,
        single_step=training.single_step,
        table_statistics=TABLE_STATISTICS,
        parts=BLEND_PARTS if model.name == "blend" else (),
        two_ends=mortality,
    )


def _deaths_are_known(training: StaySequences) -> bool:
    """Whether enough training stays are known to have ended in death, and otherwise, to tell the risk."""
    outcome = died(training.stays)
    return min((outcome == 1).sum(), (outcome == 0).sum()) >= _MIN_STAYS_OF_AN_OUTCOME


def _usable_variables(training: StaySequences, config: Config) -> tuple[str, ...]:
    """The declared variables, or those that enough training stays have for a scale to mean something."""
    if config.features.variables:
        return tuple(config.features.variables)
    enough = max(_MIN_STAYS_WITH_VARIABLE, _MIN_SHARE_WITH_VARIABLE * len(training))
    counts = [len(np.unique(training.stay[~np.isnan(column)])) for column in training.values.T]
    return tuple(name for name, count in zip(training.variables, counts, strict=True) if count >= enough)


def _categories(training: StaySequences, name: str) -> tuple[str, ...]:
    known = pd.concat(
        [frame[name] for frame in (training.stays, training.statics.frame) if name in frame] or [_NOTHING]
    )
    known = known.dropna()
    if known.empty:
        return ()
    encoder = OneHotEncoder().fit(np.asarray(known, dtype=object).reshape(-1, 1))
    return tuple(encoder.categories_[0])


def fit_buffers(training: Stays) -> dict[str, Tensor]:
    """Clip limits, means and scales of variables and statics, float32; NaN is ignored, a constant has scale 1."""
    values = training.sequences.values
    lower, upper = _clip_limits(values)
    offset = _skew_offsets(np.clip(values, lower, upper), lower)
    mean, scale = _fit_scaler(_unskewed(np.clip(values, lower, upper), offset))
    imputer = SimpleImputer(strategy="median", keep_empty_features=True)
    statics = training.statics.numeric.astype(np.float64)
    median = imputer.fit(statics).statistics_ if statics.shape[1] else np.empty(0)
    static_mean, static_scale = _fit_scaler(statics)
    arrays = {
        "lower": lower, "upper": upper, "skew_offset": offset, "mean": mean, "scale": scale,
        "static_median": np.nan_to_num(median), "static_mean": static_mean, "static_scale": static_scale,
    }  # fmt: skip
    return {name: torch.as_tensor(array, dtype=torch.float32) for name, array in arrays.items()}


def set_buffers(inputs: RawInputs, buffers: dict[str, Tensor]) -> None:
    """Copy fitted buffers into an input layer."""
    for name, values in buffers.items():
        getattr(inputs, name).copy_(values)


def _clip_limits(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    limits = np.empty((2, values.shape[1]))
    for index, column in enumerate(values.T):
        seen = column[~np.isnan(column)]
        limits[:, index] = np.quantile(seen, _CLIP_QUANTILES) if len(seen) else (-np.inf, np.inf)
    return limits[0], limits[1]


def _skew_offsets(clipped: np.ndarray, lower: np.ndarray) -> np.ndarray:
    """Per variable the offset of the logarithm, its median, where that makes the values less skewed; else infinity."""
    offsets = np.full(clipped.shape[1], np.inf)
    for index, column in enumerate(clipped.T):
        seen = column[~np.isnan(column)].astype(np.float64)
        if len(seen) < _MIN_VALUES_FOR_SKEW or lower[index] < 0 or np.median(seen) <= 0 or np.ptp(seen) == 0:
            continue
        median = float(np.median(seen))
        if abs(skew(np.log(seen + median))) < abs(skew(seen)):
            offsets[index] = median
    return offsets


def _unskewed(clipped: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return unskewed(torch.from_numpy(clipped), torch.as_tensor(offsets, dtype=torch.float32)).numpy()


def _fit_scaler(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and scale [columns] of values [rows, columns]; 0 and 1 for a column with nothing in it."""
    if values.shape[0] == 0 or values.shape[1] == 0:
        return np.zeros(values.shape[1]), np.ones(values.shape[1])
    scaler = StandardScaler()
    for start in range(0, len(values), _ROWS_PER_CHUNK):
        scaler.partial_fit(values[start : start + _ROWS_PER_CHUNK])
    seen = scaler.n_samples_seen_ > 0
    return np.where(seen, scaler.mean_, 0.0), np.where(seen & (scaler.scale_ > 0), scaler.scale_, 1.0)

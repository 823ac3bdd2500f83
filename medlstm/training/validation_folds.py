"""Which stays each member of an ensemble stops on: windows by a hash of the patient, so that no patient is in two.

The first member stops on the validation split; each further one on its own part of the train split and trains on
the rest, so that together they learn from all and each is checked on stays it has not seen.
"""

import hashlib

import numpy as np
import pandas as pd

from medlstm.settings.workspace import TrainingSection

_MAX_SHARE_IN_WINDOWS = 0.75


def window_count(members: int, training: TrainingSection) -> int:
    """How many windows there are: one a member, as long as a quarter of the stays is in none."""
    own = 1 - training.test_share - training.calibration_share - training.validation_share
    return max(1, min(members, 1 + int(_MAX_SHARE_IN_WINDOWS * own / training.validation_share)))


def assign_windows(stays: pd.DataFrame, members: int, training: TrainingSection) -> np.ndarray:
    """The window [n] of each stay by its `split` and `patient_id`: 0 for the validation split, 1, 2 … for equal parts
    of the train split, -1 for the rest of it and for other splits."""
    own = 1 - training.test_share - training.calibration_share - training.validation_share
    windows = window_count(members, training)
    split = stays["split"].to_numpy()
    patients = pd.Index(stays["patient_id"][split == "train"].unique())
    position = [_hash(patient, training.seed) for patient in patients]
    rank = np.argsort(np.argsort(position, kind="stable"), kind="stable")
    size = max(1, round(len(patients) * training.validation_share / own))
    part = np.append(rank // size + 1, windows)[patients.get_indexer(pd.Index(stays["patient_id"]))]
    inside = (split == "train") & (part < windows)
    return np.where(split == "validation", 0, np.where(inside, part, -1))


def _hash(patient_id: str, seed: int) -> int:
    return int.from_bytes(hashlib.sha256(f"window:{seed}:{patient_id}".encode()).digest()[:7], "big")

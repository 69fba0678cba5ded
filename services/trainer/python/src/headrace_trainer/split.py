"""The holdout: decided by the entity alone, so one entity is never on both sides and a retrain keeps its side."""

from __future__ import annotations

import hashlib

import numpy as np

from .errors import TrainerError
from .table import Table


def holdout_mask(keys: np.ndarray, seed: int, fraction: float) -> np.ndarray:
    """True for holdout rows: the first 8 bytes of sha256("<seed>:<key>") as a fraction of 2^64 are below `fraction`."""
    bound = int(fraction * 2**64)
    prefix = f"{seed}:".encode()
    side = {key: int.from_bytes(hashlib.sha256(prefix + key.encode()).digest()[:8], "big") < bound for key in set(keys)}
    return np.fromiter((side[key] for key in keys), dtype=bool, count=len(keys))


def split(table: Table, seed: int, fraction: float) -> tuple[Table, Table]:
    """(train, holdout); refuses a split that leaves the holdout empty or the training side with one label."""
    mask = holdout_mask(table.keys, seed, fraction)
    train, holdout = table.take(~mask), table.take(mask)
    if holdout.rows == 0:
        raise TrainerError("DATA_INVALID", f"holdout.fraction {fraction} of {table.rows} rows leaves the holdout empty; give more rows")
    if train.rows == 0 or train.labels.min() == train.labels.max():
        raise TrainerError("DATA_INVALID", f"the {train.rows} rows left for training do not hold two different labels; give more rows")
    return train, holdout

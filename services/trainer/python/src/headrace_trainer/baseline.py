"""The reference profile that the monitor compares live traffic with: one histogram a feature, as served."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from .spec import TrainSpec
from .table import Table
from .tasks import label_profile
from .values import OTHER_CATEGORY, render_number

CELLS_MAX = 128
# A number with no more distinct values than this is profiled value by value.
DISTINCT_AS_CATEGORIES_MAX = 24
CATEGORIES_MAX = 1_000


def baseline_profile(spec: TrainSpec, rows: Table, holdout_scores: np.ndarray) -> dict[str, Any]:
    """Features and label over all training and holdout rows; scores over the holdout, which the model never saw."""
    dense_at = {f.name: at for at, f in enumerate(spec.dense_features)}
    features = []
    for feature in spec.features:
        values = rows.strings[feature.name] if feature.type == "string" else rows.dense[:, dense_at[feature.name]]
        features.append(_profile(feature.name, values, feature.categorical or feature.type == "bool"))
    served = {f.name for f in spec.features}
    features += [_profile(p.name, rows.protected[p.name], False) for p in spec.protected if p.name not in served]
    return {
        "rows": rows.rows,
        "features": features,
        "scores": numeric_profile("score", holdout_scores),
        "label": label_profile(spec.task, rows.labels, numeric_profile),
    }


def _profile(name: str, values: np.ndarray, categorical: bool) -> dict[str, Any]:
    if values.dtype == object:
        present = values[values != ""]
        by_name = Counter(present.tolist())
        return _categorical_profile(name, {word: by_name[word] for word in sorted(by_name)}, len(values) - len(present))
    present = values[~np.isnan(values)]
    distinct, counts = np.unique(present, return_counts=True)
    if categorical or len(distinct) <= DISTINCT_AS_CATEGORIES_MAX:
        by_name = {render_number(v): int(n) for v, n in zip(distinct, counts, strict=True)}
        return _categorical_profile(name, by_name, len(values) - len(present))
    return numeric_profile(name, values)


def numeric_profile(name: str, values: np.ndarray) -> dict[str, Any]:
    """Cell i counts edges[i-1] < x <= edges[i]; the first and last cells are open. Edges are values that occur."""
    present = values[~np.isnan(values)].astype(np.float64)
    edges = np.empty(0)
    if len(present):
        at = np.linspace(0, 1, CELLS_MAX + 1)[1:-1]
        edges = np.unique(np.quantile(present, at, method="inverted_cdf"))
        edges = edges[edges < present.max()]
    cells = np.bincount(np.searchsorted(edges, present, side="left"), minlength=len(edges) + 1)
    return {
        "name": name,
        "kind": "numeric",
        "edges": edges.tolist(),
        "counts": cells.tolist(),
        "nulls": len(values) - len(present),
        "mean": float(present.mean()) if len(present) else None,
        "std": float(present.std()) if len(present) else None,
        "min": float(present.min()) if len(present) else None,
        "max": float(present.max()) if len(present) else None,
    }


def _categorical_profile(name: str, counts: dict[str, int], nulls: int) -> dict[str, Any]:
    """Categories in the order of `counts`; past the bound the rarest are counted together as the last one."""
    if len(counts) > CATEGORIES_MAX:
        kept = set(sorted(counts, key=lambda word: (-counts[word], word))[: CATEGORIES_MAX - 1])
        other = sum(n for word, n in counts.items() if word not in kept)
        counts = {word: n for word, n in counts.items() if word in kept} | {OTHER_CATEGORY: other}
    return {"name": name, "kind": "categorical", "categories": list(counts), "counts": list(counts.values()), "nulls": nulls}

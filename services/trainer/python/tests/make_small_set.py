"""Writes a small, valid training set and its spec: for these tests and for those of the TypeScript worker.

    python make_small_set.py --out FOLDER [--rows 400] [--seed 7] [--learner lightgbm] [--mitigation reweighing] [--task regression]

FOLDER gets training-set.parquet and spec.json; both are the same bytes for the same arguments (but for the folder's path).
It needs numpy and pyarrow only. The columns: age (int64, complete), income (float64, gaps), member (bool, gaps),
sector (int64 category), town (string, gaps), group (int64, protected, not a feature). The label of a regression is float64.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

EVENT_TIME_US = 1_420_070_400_000_000  # 2015-01-01T00:00:00Z
TOWNS = np.array(["Boston", "Lowell", "Salem", "Worcester"])
FEATURES = [
    {"name": "age", "column": "person__age", "type": "int64", "categorical": False},
    {"name": "income", "column": "person__income", "type": "float64", "categorical": False},
    {"name": "member", "column": "person__member", "type": "bool", "categorical": True},
    {"name": "sector", "column": "person__sector", "type": "int64", "categorical": True},
    {"name": "town", "column": "person__town", "type": "string", "categorical": True},
]


def small_columns(rows: int = 400, seed: int = 7, task: str = "binary_classification") -> dict[str, pa.Array]:
    """Columns of a learnable set in which group 1 is at a disadvantage; every third row repeats a person."""
    random = np.random.default_rng(seed)
    age = random.integers(18, 90, rows)
    income = np.round(random.lognormal(3, 0.7, rows), 2)
    member = random.random(rows) < 0.4
    sector = random.integers(1, 7, rows)
    town = TOWNS[random.integers(0, len(TOWNS), rows)]
    group = np.where(random.random(rows) < 0.35, 1, 2)
    score = (age - 50) / 12 + (income - 25) / 20 + member * 0.8 + (sector % 3) * 0.7 + (town == "Salem") - (group == 1) * 1.5
    noisy = score + random.logistic(0, 0.7, rows)
    label = np.round(20 * noisy, 3) if task == "regression" else (noisy > 0).astype(np.int64)
    return {
        "person_id": pa.array(np.arange(rows) * 2 // 3),
        "event_time": pa.array(np.full(rows, EVENT_TIME_US), pa.timestamp("us", "UTC")),
        "person__age": pa.array(age),
        "person__income": pa.array(income, mask=random.random(rows) < 0.1),
        "person__member": pa.array(member, mask=random.random(rows) < 0.1),
        "person__sector": pa.array(sector),
        "person__town": pa.array(town, mask=random.random(rows) < 0.1),
        "person__group": pa.array(group),
        "label": pa.array(label),
    }


def write_parquet(path: Path, columns: dict[str, pa.Array]) -> str:
    """Returns the file's sha256."""
    pq.write_table(pa.table(columns), path, compression="zstd")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def small_spec(path: Path, sha256: str, **changes: Any) -> dict[str, Any]:
    """A valid spec document over the columns above; `changes` replace top-level keys."""
    spec = {
        "runId": "run-small",
        "project": "default",
        "model": "small",
        "trainingSet": {"path": str(path), "sha256": sha256},
        "entityColumns": ["person_id"],
        "eventTimeColumn": "event_time",
        "features": [dict(feature) for feature in FEATURES],
        "label": {"column": "label", "positive": 1},
        "protected": [{"name": "group", "column": "person__group"}],
        "task": "binary_classification",
        "learner": {"kind": "lightgbm", "params": {"n_estimators": 20, "min_child_samples": 5}},
        "seed": 7,
        "threshold": 0.5,
        "holdout": {"fraction": 0.25},
        "mitigation": None,
    }
    return {**spec, **changes}


REGRESSION = {"task": "regression", "label": {"column": "label"}, "threshold": 15}


def make_small_set(folder: Path, rows: int = 400, seed: int = 7, **changes: Any) -> Path:
    """Writes both files into `folder` and returns the path of spec.json."""
    folder.mkdir(parents=True, exist_ok=True)
    parquet = folder.resolve() / "training-set.parquet"
    sha256 = write_parquet(parquet, small_columns(rows, seed, changes.get("task", "binary_classification")))
    spec = folder / "spec.json"
    spec.write_text(json.dumps(small_spec(parquet, sha256, **changes), indent=1) + "\n", encoding="utf-8")
    return spec


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rows", type=int, default=400)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--learner", choices=("lightgbm", "logistic_regression"), default="lightgbm")
    parser.add_argument("--mitigation", choices=("none", "reweighing"), default="none")
    parser.add_argument("--task", choices=("binary_classification", "regression"), default="binary_classification")
    given = parser.parse_args()
    changes: dict[str, Any] = dict(REGRESSION) if given.task == "regression" else {}
    if given.learner == "logistic_regression":
        changes["learner"] = {"kind": "logistic_regression", "params": {}}
    if given.mitigation == "reweighing":
        changes["mitigation"] = {"method": "reweighing", "attribute": "group"}
    print(make_small_set(given.out, given.rows, given.seed, **changes))


if __name__ == "__main__":
    _main()

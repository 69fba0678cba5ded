"""One run from snapshot to checked artefacts, in the order in which it happens."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from .baseline import baseline_profile
from .export import OnnxModel, export_onnx, signature
from .fairness import group_report
from .golden import golden_rows
from .graph import OPSET
from .learners import LEARNERS
from .learners.contract import FittedModel
from .machine import Meter, environment
from .mitigation import MITIGATIONS, unmitigated
from .mitigation.contract import Mitigated
from .parity import compare, require_parity
from .preparation import Preparation, prepare
from .progress import Progress
from .spec import TrainSpec
from .split import split
from .table import Table, load_table
from .tasks import TASKS, answer_scale, classes_of

RESULT = "result.json"


def train(spec: TrainSpec, out: Path, progress: Progress) -> dict[str, Any]:
    """Writes model.onnx, baseline.json, golden.json and, last, result.json into `out`; returns the result.

    A refusal or a failed parity writes nothing. Whoever finds result.json finds the other three complete: that of an
    earlier try in the same folder is removed first.
    """
    meter = Meter()
    (out / RESULT).unlink(missing_ok=True)
    learner = LEARNERS[spec.learner_kind]
    with progress.step("load"):
        table = load_table(spec)
    with progress.step("prepare"):
        training, holdout = split(table, spec.seed, spec.holdout_fraction)
        preparation = prepare(spec, learner, training)
    with progress.step("fit"):
        mitigated = _fit(spec, preparation, training, progress)
    with progress.step("evaluate"):
        answers = mitigated.model.predict(preparation.encode(holdout))
        predicted = (answers >= spec.threshold).astype(np.int64)
        metrics = TASKS[spec.task].metrics(holdout.labels, answers, predicted, _naive(holdout, training))
        classes = classes_of(spec.task, holdout.labels, spec.threshold)
        groups = [group_report(p.name, holdout.groups[p.name], classes, predicted) for p in spec.protected]
    _emit_metrics(progress, metrics, groups)
    with progress.step("export"):
        onnx_bytes = export_onnx(spec, preparation, mitigated.model)
    with progress.step("parity"):
        onnx_labels, onnx_answers = OnnxModel(onnx_bytes, spec.task).run(holdout)
        parity = compare(answers, onnx_answers, onnx_labels, spec.threshold, answer_scale(spec.task, answers))
        require_parity(parity)
    with progress.step("profile"):
        baseline = baseline_profile(spec, table, onnx_answers)
        golden = golden_rows(spec, holdout, onnx_labels, onnx_answers)

    result = {
        "runId": spec.run_id,
        "onnx": {"sha256": hashlib.sha256(onnx_bytes).hexdigest(), "bytes": len(onnx_bytes), "opset": OPSET},
        "signature": signature(spec),
        "rows": {"train": training.rows, "holdout": holdout.rows, "unlabelled": table.unlabelled},
        "metrics": metrics,
        "groups": groups,
        "parity": {"rows": parity.rows, "max_abs_diff": parity.max_abs_diff, "label_mismatches": parity.label_mismatches},
        "importance": _importance(preparation, mitigated.model),
        "mitigation": None
        if spec.mitigation is None
        else {"method": spec.mitigation.method, "attribute": spec.mitigation.attribute, **mitigated.record},
        "resources": meter.resources(),
        "environment": environment(),
    }
    out.mkdir(parents=True, exist_ok=True)
    _write(out / "model.onnx", onnx_bytes)
    _write(out / "baseline.json", _json(baseline))
    _write(out / "golden.json", _json(golden))
    _write(out / RESULT, _json(result))
    return result


def _fit(spec: TrainSpec, preparation: Preparation, training: Table, progress: Progress) -> Mitigated:
    learner = LEARNERS[spec.learner_kind]
    matrix = preparation.encode(training)

    def fit(weights: np.ndarray | None) -> FittedModel:
        return learner.fit(
            matrix, training.labels, weights, preparation.columns, spec.learner_params, spec.seed, progress.iterations, task=spec.task
        )

    if spec.mitigation is None:
        return unmitigated(fit)
    groups = training.groups[spec.mitigation.attribute]
    return MITIGATIONS[spec.mitigation.method](fit, training.labels, groups)


def _naive(holdout: Table, training: Table) -> np.ndarray:
    """What would be answered without a model: the naive column, and the mean label of training where it has none."""
    mean = training.labels.mean()
    return np.full(holdout.rows, mean) if holdout.naive is None else np.where(np.isnan(holdout.naive), mean, holdout.naive)


def _emit_metrics(progress: Progress, metrics: dict[str, float | None], groups: list[dict[str, Any]]) -> None:
    for name, value in metrics.items():
        progress.emit("metric", name=name, value=value)
    for report in groups:
        for name in ("equal_opportunity_difference", "demographic_parity_difference"):
            progress.emit("metric", name=name, attribute=report["attribute"], value=report[name])


def _importance(preparation: Preparation, model: FittedModel) -> list[dict[str, Any]]:
    """Most important first; ties in matrix order."""
    gains = model.importance()
    order = np.argsort(-gains, kind="stable")
    return [{"feature": preparation.columns[at].feature, "gain": float(gains[at])} for at in order]


def _json(document: dict[str, Any]) -> bytes:
    return (json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1) + "\n").encode()


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a reader never sees half a file."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)

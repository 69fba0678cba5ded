"""The exported graph: equal bytes for equal input, exact outputs, the Python model's answers on every kind of row."""

from __future__ import annotations

import hashlib

import numpy as np
import onnx
import onnxruntime
import pyarrow as pa
import pytest
from conftest import Runner
from make_small_set import FEATURES

from headrace_trainer.graph import Graph
from headrace_trainer.learners import LEARNERS
from headrace_trainer.learners.contract import Column
from headrace_trainer.learners.lightgbm_learner import float32_floor

LIGHTGBM = {"kind": "lightgbm", "params": {"n_estimators": 20, "min_child_samples": 5}}
LOGISTIC = {"kind": "logistic_regression", "params": {}}
learners = pytest.mark.parametrize("learner", [LIGHTGBM, LOGISTIC], ids=["lightgbm", "logistic_regression"])


def session(onnx_bytes: bytes) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(onnx_bytes, providers=["CPUExecutionProvider"])


@learners
@pytest.mark.parametrize("mitigation", [None, {"method": "reweighing", "attribute": "group"}], ids=["none", "reweighing"])
def test_the_same_spec_and_data_give_the_same_bytes_in_another_run(run: Runner, learner: dict, mitigation: dict | None) -> None:
    first = run(learner=learner, mitigation=mitigation, runId="run-1")
    # The same file: the second set is written with the same bytes, so its hash is the same too.
    second = run(learner=learner, mitigation=mitigation, runId="run-2")
    assert first.onnx == second.onnx
    assert first.result["onnx"]["sha256"] == hashlib.sha256(second.onnx).hexdigest()
    assert first.document("baseline.json") == second.document("baseline.json")
    assert first.document("golden.json") == second.document("golden.json")


def test_the_number_of_threads_does_not_change_the_bytes(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for threads in (1, 2, 3):
        monkeypatch.setattr("headrace_trainer.learners.lightgbm_learner.available_cores", lambda n=threads: n)
        found.append(run(rows=4_000).onnx)
    assert found[0] == found[1] == found[2]


@learners
def test_the_graph_has_the_declared_inputs_and_exactly_two_outputs(run: Runner, learner: dict) -> None:
    done = run(learner=learner)
    graph = session(done.onnx)
    assert [(i.name, i.type, i.shape) for i in graph.get_inputs()] == [
        ("features", "tensor(float)", ["N", 4]), ("town", "tensor(string)", ["N", 1]),
    ]
    assert [(o.name, o.type, o.shape) for o in graph.get_outputs()] == [
        ("label", "tensor(int64)", ["N"]), ("probabilities", "tensor(float)", ["N", 2]),
    ]
    assert done.result["signature"] == {
        "inputs": [
            {"name": "features", "type": "FP32", "shape": [-1, 4], "features": ["age", "income", "member", "sector"]},
            {"name": "town", "type": "BYTES", "shape": [-1, 1], "features": ["town"]},
        ],
        "outputs": [
            {"name": "label", "type": "INT64", "shape": [-1]},
            {"name": "probabilities", "type": "FP32", "shape": [-1, 2]},
        ],
        "threshold": 0.5,
    }
    model = onnx.load_from_string(done.onnx)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx.ml"}
    assert {p.key: p.value for p in model.metadata_props}["headrace.model"] == "small"
    assert all(t.data_location == onnx.TensorProto.DEFAULT for t in model.graph.initializer)
    assert "run-small" not in str(model)


@learners
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.85])
def test_label_and_probabilities_follow_the_threshold_for_any_batch_size(run: Runner, learner: dict, threshold: float) -> None:
    graph = session(run(learner=learner, threshold=threshold).onnx)
    random = np.random.default_rng(1)
    for rows in (1, 2, 65):
        feed = {
            "features": random.integers(0, 90, (rows, 4)).astype(np.float32),
            "town": random.choice(["Boston", "Salem", ""], (rows, 1)).astype(object),
        }
        label, probabilities = graph.run(["label", "probabilities"], feed)
        assert label.shape == (rows,) and label.dtype == np.int64 and probabilities.shape == (rows, 2)
        assert probabilities.sum(axis=1) == pytest.approx(np.ones(rows), abs=1e-6)
        assert (label == (probabilities[:, 1] >= np.float32(threshold))).all()


def random_matrix(seed: int, rows: int) -> np.ndarray:
    """Awkward columns: neighbouring floats, tiny and huge numbers, gaps, codes, a constant, all gaps."""
    random = np.random.default_rng(seed)
    steps = np.float32(1.0) + np.arange(40, dtype=np.float32) * np.float32(2**-23)
    matrix = np.column_stack(
        [
            random.choice(steps, rows),
            random.normal(0, 1, rows) * 10.0 ** random.integers(-30, 30, rows),
            np.where(random.random(rows) < 0.3, np.nan, random.normal(0, 1, rows)),
            random.integers(-3, 9, rows),
            np.full(rows, 5.0),
            np.full(rows, np.nan),
        ]
    )
    return matrix.astype(np.float32)


COLUMNS = tuple(Column(name, name == "code") for name in ("steps", "wide", "gaps", "code", "constant", "empty"))


@pytest.mark.parametrize("seed", range(6))
def test_trees_and_graph_take_the_same_branch_on_awkward_float32_values(seed: int) -> None:
    random = np.random.default_rng(100 + seed)
    matrix = random_matrix(seed, 1_500)
    odds = (matrix[:, 0] > 1.000002) * 2.0 + np.nan_to_num(matrix[:, 2], nan=1.5) + (matrix[:, 3] == 4) * 2 + (matrix[:, 1] > 0)
    labels = (odds + random.logistic(0, 1, len(odds)) > 2).astype(np.int64)
    learner = LEARNERS["lightgbm"]
    params = {name: p.default for name, p in learner.parameters.items()} | {"n_estimators": 60, "min_child_samples": 1}
    model = learner.fit(matrix, labels, None, COLUMNS, params, 7, lambda done, total: None, task="binary_classification")
    graph = Graph()
    positive = model.emit(graph, graph.input("features", Graph.FLOAT, len(COLUMNS)))
    graph.output(positive, Graph.FLOAT, ["N", 1])
    runtime = session(graph.serialize({}))
    fresh = random_matrix(seed + 1_000, 1_500)
    fresh[random.random(fresh.shape) < 0.1] = np.nan  # gaps also where training had none
    for rows in (matrix, fresh):
        served = runtime.run(None, {"features": rows})[0][:, 0]
        assert np.abs(served - model.predict(rows)).max() <= 1e-5


@pytest.mark.parametrize("seed", range(3))
def test_a_threshold_rounded_down_to_float32_splits_float32_values_as_the_double_does(seed: int) -> None:
    random = np.random.default_rng(seed)
    for threshold in random.normal(0, 1, 500) * 10.0 ** random.integers(-30, 30, 500):
        floor = np.float32(float32_floor(threshold))
        near = [np.nextafter(floor, np.float32(-np.inf)), floor, np.nextafter(floor, np.float32(np.inf))]
        for value in near:
            assert (float(value) <= threshold) == bool(value <= floor)
    assert float32_floor(1e300) == float(np.finfo(np.float32).max)


@learners
def test_gaps_unseen_codes_and_unseen_strings_are_scored_and_finite(run: Runner, learner: dict) -> None:
    graph = session(run(learner=learner).onnx)
    gap = np.nan
    feed = {
        "features": np.array([[gap, gap, gap, gap], [50, 20, 1, 99], [50, 20, 1, -1], [50, 20, 1, 3]], dtype=np.float32),
        "town": np.array([[""], ["Atlantis"], ["Salem"], ["Zürich"]], dtype=object),
    }
    probabilities = graph.run(["probabilities"], feed)[0]
    assert np.isfinite(probabilities).all() and (probabilities > 0).all() and (probabilities < 1).all()


@learners
def test_two_unseen_strings_score_alike_and_a_seen_one_does_not(run: Runner, learner: dict) -> None:
    graph = session(run(learner=learner).onnx)
    row = np.array([[50, 25, 0, 3]] * 3, dtype=np.float32)
    scores = graph.run(["probabilities"], {"features": row, "town": np.array([["Atlantis"], ["Oz"], ["Salem"]], dtype=object)})[0][:, 1]
    assert scores[0] == scores[1] and scores[0] != scores[2]


@learners
def test_holdout_only_strings_and_an_all_null_column_pass_parity(run: Runner, learner: dict) -> None:
    rows = 400
    towns = pa.array([f"town-{n}" for n in range(rows)])  # a string for each row: those of the holdout are unseen
    done = run(
        {"person__town": towns, "person__income": pa.nulls(rows, pa.float64())},
        learner=learner,
    )
    assert done.result["parity"]["label_mismatches"] == 0
    assert done.result["parity"]["max_abs_diff"] <= 1e-5
    income = next(f for f in done.document("baseline.json")["features"] if f["name"] == "income")
    assert income["nulls"] == rows and sum(income["counts"]) == 0


@learners
def test_a_gap_in_a_column_that_was_complete_takes_the_usual_value_in_both_worlds(run: Runner, learner: dict) -> None:
    ages = pa.array([40] * 300 + [70] * 100)
    graph = session(run({"person__age": ages}, learner=learner).onnx)
    towns = np.array([["Salem"], ["Salem"]], dtype=object)
    gap, usual = graph.run(["probabilities"], {"features": np.array([[np.nan, 25, 1, 3], [40, 25, 1, 3]], np.float32), "town": towns})[0]
    assert gap.tolist() == usual.tolist()


@learners
@pytest.mark.parametrize("kind", ["strings", "dense"])
def test_a_model_may_have_only_strings_or_only_dense_features(run: Runner, learner: dict, kind: str) -> None:
    features = [f for f in FEATURES if (f["type"] == "string") == (kind == "strings")]
    done = run(features=features, learner=learner)
    assert [i["name"] for i in done.result["signature"]["inputs"]] == (["town"] if kind == "strings" else ["features"])
    assert done.result["parity"]["label_mismatches"] == 0


def test_features_that_teach_nothing_still_export_a_model_of_the_base_rate(run: Runner) -> None:
    features = [f for f in FEATURES if f["name"] == "income"]
    done = run({"person__income": pa.nulls(400, pa.float64())}, features=features)
    golden = done.document("golden.json")["rows"]
    assert len({row["probability"] for row in golden}) == 1
    assert done.result["metrics"]["auc"] == 0.5


def test_a_large_forest_and_a_deep_one_keep_parity(run: Runner) -> None:
    done = run(rows=3_000, learner={"kind": "lightgbm", "params": {"n_estimators": 400, "num_leaves": 128, "min_child_samples": 1}})
    assert done.result["parity"]["max_abs_diff"] <= 1e-5

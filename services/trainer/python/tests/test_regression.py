"""A regression: values instead of probabilities, measured against a naive answer, in the same files."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from conftest import Runner
from make_small_set import FEATURES, REGRESSION, small_columns, small_spec
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score

from headrace_trainer.errors import TrainerError
from headrace_trainer.metrics import regression_metrics
from headrace_trainer.spec import parse_spec


@pytest.mark.parametrize("seed", range(5))
def test_the_metrics_are_those_of_scikit_learn_and_skills_compare_with_the_naive_answer(seed: int) -> None:
    random = np.random.default_rng(seed)
    labels = np.round(random.normal(8, 30, 500))
    answers, naive = labels + random.normal(1, 12, 500), np.full(500, 8.0)
    ours = regression_metrics(labels, answers, naive)
    assert ours["mae"] == pytest.approx(mean_absolute_error(labels, answers))
    assert ours["rmse"] == pytest.approx(mean_squared_error(labels, answers) ** 0.5)
    assert ours["r2"] == pytest.approx(r2_score(labels, answers))
    assert ours["naive_mae"] == pytest.approx(mean_absolute_error(labels, naive))
    assert ours["rmse_skill"] == pytest.approx(1 - ours["rmse"] / mean_squared_error(labels, naive) ** 0.5)
    perfect = regression_metrics(labels, answers, labels)
    assert perfect["naive_rmse"] == 0 and perfect["rmse_skill"] is None and perfect["mae_skill"] is None


def test_a_run_learns_values_and_writes_the_same_files(run: Runner) -> None:
    done = run(rows=4_000, **REGRESSION)
    metrics = done.result["metrics"]
    assert metrics["rmse_skill"] > 0.2 and metrics["r2"] > 0.3 and abs(metrics["mean_error"]) < 3
    assert done.result["signature"]["outputs"][1] == {"name": "value", "type": "FP32", "shape": [-1, 1]}
    assert done.result["signature"]["threshold"] == 15
    label = done.document("baseline.json")["label"]
    assert label["kind"] == "numeric" and label["n"] == 4_000 and sum(label["counts"]) == 4_000
    assert done.result["groups"][0]["equal_opportunity_difference"] is not None
    parity = done.result["parity"]
    assert parity["label_mismatches"] == 0 and parity["max_abs_diff"] < 1e-3


def test_golden_rows_replayed_give_the_written_values_and_labels_by_the_threshold(run: Runner) -> None:
    done = run(rows=2_000, **REGRESSION)
    runtime = onnxruntime.InferenceSession(done.onnx)
    golden = done.document("golden.json")["rows"]
    assert len(golden) == 16 and {row["label"] for row in golden} == {0, 1}
    for row in golden:
        features = row["features"]
        dense = [np.nan if features[n] is None else float(features[n]) for n in ("age", "income", "member", "sector")]
        feed = {"features": np.array([dense], np.float32), "town": np.array([[features["town"] or ""]], dtype=object)}
        label, value = runtime.run(["label", "value"], feed)
        assert value.shape == (1, 1) and float(value[0, 0]) == pytest.approx(row["value"], rel=1e-6)
        assert int(label[0]) == row["label"] == (1 if row["value"] >= 15 else 0)
        assert "probability" not in row


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_parity_and_skill_hold_in_any_unit(run: Runner, scale: float) -> None:
    label = pa.array(small_columns(1_000, task="regression")["label"].to_numpy() * scale)
    done = run({"label": label}, rows=1_000, **{**REGRESSION, "threshold": 15 * scale})
    assert done.result["metrics"]["r2"] > 0.2


def test_the_naive_answer_is_a_column_with_the_mean_label_in_its_gaps(run: Runner) -> None:
    columns = small_columns(800, task="regression")
    labels = columns["label"].to_numpy()
    known = np.arange(800) % 2 == 0
    naive = pa.array(labels, mask=~known)
    done = run({"naive": naive}, rows=800, **REGRESSION, naive={"column": "naive"})
    plain = run(rows=800, **REGRESSION)
    # Half of the rows are right already, so the naive error falls and the skill of the same model with it.
    assert done.result["metrics"]["naive_mae"] < 0.7 * plain.result["metrics"]["naive_mae"]
    assert done.result["metrics"]["mae"] == plain.result["metrics"]["mae"]
    assert done.onnx != b"" and done.result["metrics"]["mae_skill"] < plain.result["metrics"]["mae_skill"]


def test_the_same_spec_and_data_give_the_same_bytes(run: Runner) -> None:
    assert run(**REGRESSION, runId="a").onnx == run(**REGRESSION, runId="b").onnx


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"label": {"column": "label", "positive": 1}}, "label: unknown key positive"),
        ({"threshold": float("inf")}, "threshold must be a number"),
        ({"learner": {"kind": "logistic_regression", "params": {}}}, '"logistic_regression" does not do the task "regression"'),
        ({"mitigation": {"method": "reweighing", "attribute": "group"}}, "mitigation weighs classes"),
        ({"naive": {"column": "label"}}, "naive.column is the label column"),
        ({"naive": {"feature": "age"}}, "naive: key column is missing"),
        ({"features": [{**FEATURES[4], "name": "value"}]}, '"value" is reserved by the graph'),
    ],
)
def test_a_bad_spec_is_refused_with_the_key_in_the_message(changes: dict, message: str) -> None:
    document = copy.deepcopy({**small_spec(Path("set.parquet"), "a" * 64, **REGRESSION), **changes})
    with pytest.raises(TrainerError) as refused:
        parse_spec(document)
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (pa.array(["12"] * 400), "is string, a regression learns a number"),
        (pa.array([3.0] * 400), "has the value 3 only"),
        (pa.array([1.0, float("inf")] * 200), "infinite"),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(run: Runner, label: pa.Array, message: str) -> None:
    with pytest.raises(TrainerError, match=message) as refused:
        run({"label": label}, **REGRESSION)
    assert refused.value.code == "DATA_INVALID"


def test_a_string_feature_of_a_classifier_may_be_called_value(run: Runner) -> None:
    done = run(features=[*FEATURES[:4], {**FEATURES[4], "name": "value"}])
    assert [i["name"] for i in done.result["signature"]["inputs"]] == ["features", "value"]

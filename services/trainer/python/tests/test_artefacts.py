"""The files of a run: complete, consistent with each other and with the data."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest
from conftest import Runner
from make_small_set import FEATURES, make_small_set, small_columns

from headrace_trainer.baseline import CATEGORIES_MAX, numeric_profile


def test_progress_names_every_step_in_order_and_the_metrics(run: Runner) -> None:
    done = run()
    steps = [e["step"] for e in done.events if e["event"] == "step"]
    assert steps == ["load", "prepare", "fit", "evaluate", "export", "parity", "profile"]
    assert {e["name"]: e["value"] for e in done.events if e["event"] == "metric" and "attribute" not in e} == done.result["metrics"]
    assert [e["done"] for e in done.events if e["event"] == "progress"][-1] == 20


def test_the_result_has_the_agreed_keys_and_plausible_resources(run: Runner) -> None:
    result = run().result
    assert list(result) == [
        "runId", "onnx", "signature", "rows", "metrics", "groups", "parity", "importance", "mitigation", "resources", "environment",
    ]
    assert result["rows"]["train"] + result["rows"]["holdout"] == 400
    assert result["parity"]["rows"] == result["rows"]["holdout"]
    assert result["resources"]["peak_rss_bytes"] > 20e6 and result["resources"]["gpu"] is None
    assert result["environment"]["packages"]["lightgbm"].count(".") == 2
    assert sorted(i["feature"] for i in result["importance"]) == sorted(f["name"] for f in FEATURES)
    assert result["metrics"]["auc"] > 0.75 and result["mitigation"] is None


def test_reweighing_is_recorded_and_narrows_the_difference_in_selection(run: Runner) -> None:
    # The group itself is a feature here, as DIS is in the employment example.
    features = [*FEATURES, {"name": "group", "column": "person__group", "type": "int64", "categorical": True}]
    plain = run(rows=6_000, features=features)
    fair = run(rows=6_000, features=features, mitigation={"method": "reweighing", "attribute": "group"})
    # Selection is what reweighing equalises; a gap in true-positive rates follows only where the model had one.
    gap = [r.result["groups"][0]["demographic_parity_difference"] for r in (plain, fair)]
    assert gap[1] < gap[0] * 0.8, gap
    record = fair.result["mitigation"]
    assert record["method"] == "reweighing" and record["attribute"] == "group"
    assert sum(cell["rows"] for cell in record["weights"]) == fair.result["rows"]["train"]
    assert sum(cell["rows"] * cell["weight"] for cell in record["weights"]) == pytest.approx(fair.result["rows"]["train"])


def test_golden_rows_replayed_from_the_file_give_the_written_answers(run: Runner) -> None:
    done = run()
    golden = done.document("golden.json")["rows"]
    assert len(golden) == 16
    runtime = onnxruntime.InferenceSession(done.onnx)
    for row in golden:
        features = row["features"]
        assert list(features) == [f["name"] for f in FEATURES]
        dense = [np.nan if features[n] is None else float(features[n]) for n in ("age", "income", "member", "sector")]
        feed = {"features": np.array([dense], np.float32), "town": np.array([[features["town"] or ""]], dtype=object)}
        label, probabilities = runtime.run(["label", "probabilities"], feed)
        assert int(label[0]) == row["label"]
        assert float(probabilities[0, 1]) == pytest.approx(row["probability"], abs=1e-7)
    assert {row["label"] for row in golden} == {0, 1}


def test_the_baseline_counts_every_row_once_and_knows_gaps(run: Runner) -> None:
    done = run()
    baseline = done.document("baseline.json")
    assert baseline["rows"] == 400
    assert [f["name"] for f in baseline["features"]] == ["age", "income", "member", "sector", "town", "group"]
    kinds = {f["name"]: f["kind"] for f in baseline["features"]}
    assert kinds == {k: "categorical" for k in ("member", "sector", "town", "group")} | {"age": "numeric", "income": "numeric"}
    columns = small_columns()
    for feature in baseline["features"]:
        assert feature["nulls"] == columns["person__" + feature["name"]].null_count
        assert sum(feature["counts"]) + feature["nulls"] == 400
    by_name = {f["name"]: f for f in baseline["features"]}
    assert by_name["member"]["categories"] == ["0", "1"]
    assert by_name["group"]["categories"] == ["1", "2"]
    assert by_name["town"]["categories"] == ["Boston", "Lowell", "Salem", "Worcester"]
    assert baseline["scores"]["name"] == "score" and sum(baseline["scores"]["counts"]) == done.result["rows"]["holdout"]
    assert baseline["label"] == {"positives": int(np.sum(columns["label"].to_numpy())), "n": 400}


@pytest.mark.parametrize("seed", range(5))
def test_a_numeric_cell_counts_the_values_above_its_lower_edge_up_to_its_upper_one(seed: int) -> None:
    random = np.random.default_rng(seed)
    values = np.round(random.normal(0, 1, 3_000), random.integers(0, 4)).astype(np.float32)
    values[random.random(3_000) < 0.1] = np.nan
    profile = numeric_profile("x", values)
    edges = profile["edges"]
    assert len(edges) <= 127 and all(a < b for a, b in zip(edges, edges[1:], strict=False))
    bounds = [-np.inf, *edges, np.inf]
    present = values[~np.isnan(values)].astype(np.float64)
    assert profile["counts"] == [int(((present > a) & (present <= b)).sum()) for a, b in zip(bounds, bounds[1:], strict=False)]
    assert min(profile["counts"]) > 0
    assert profile["mean"] == pytest.approx(present.mean()) and profile["std"] == pytest.approx(present.std())
    assert (profile["min"], profile["max"]) == (present.min(), present.max())


def test_a_string_with_very_many_values_keeps_the_frequent_ones_and_counts_the_rest_together(run: Runner) -> None:
    rows = 1_500
    towns = pa.array(["common"] * 100 + [f"t{n}" for n in range(rows - 100)])
    town = run({"person__town": towns}, rows=rows).document("baseline.json")["features"][4]
    assert len(town["categories"]) == CATEGORIES_MAX and town["categories"][-1] == "(other)"
    assert town["counts"][town["categories"].index("common")] == 100 and sum(town["counts"]) == rows


def test_the_helper_for_other_tests_writes_the_same_bytes_twice(tmp_path) -> None:
    first, second = make_small_set(tmp_path / "a"), make_small_set(tmp_path / "b")
    hashes = [json.loads(spec.read_text())["trainingSet"]["sha256"] for spec in (first, second)]
    assert hashes[0] == hashes[1]

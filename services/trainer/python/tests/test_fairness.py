"""Group metrics against Fairlearn; differences count large enough groups only."""

from __future__ import annotations

import numpy as np
import pytest
from fairlearn import metrics as oracle
from sklearn import metrics as sk

from headrace_trainer.fairness import GROUP_MIN, group_report
from headrace_trainer.metrics import binary_metrics


def sample(seed: int, rows: int = 1_200) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    groups = random.choice(np.array(["1", "2", "3"], dtype=object), rows, p=[0.5, 0.3, 0.2])
    labels = (random.random(rows) < np.where(groups == "1", 0.6, 0.4)).astype(int)
    scores = np.clip(random.normal(0.35 + 0.3 * labels - 0.1 * (groups == "3"), 0.2), 0.001, 0.999)
    return groups, labels, scores, (scores >= 0.5).astype(int)


@pytest.mark.parametrize("seed", range(5))
def test_the_differences_equal_those_of_fairlearn(seed: int) -> None:
    groups, labels, _, predicted = sample(seed)
    report = group_report("g", groups, labels, predicted)
    given = {"y_true": labels, "y_pred": predicted, "sensitive_features": groups}
    assert report["demographic_parity_difference"] == pytest.approx(oracle.demographic_parity_difference(**given))
    assert report["equalized_odds_difference"] == pytest.approx(oracle.equalized_odds_difference(**given))
    assert report["equal_opportunity_difference"] == pytest.approx(oracle.equal_opportunity_difference(**given))
    assert report["disparate_impact"] == pytest.approx(oracle.demographic_parity_ratio(**given))


def test_the_rates_of_each_group_equal_those_of_fairlearn() -> None:
    groups, labels, _, predicted = sample(11)
    frame = oracle.MetricFrame(
        metrics={
            "n": oracle.count, "accuracy": sk.accuracy_score, "selection_rate": oracle.selection_rate,
            "tpr": oracle.true_positive_rate, "fpr": oracle.false_positive_rate,
        },
        y_true=labels, y_pred=predicted, sensitive_features=groups,
    ).by_group
    for row in group_report("g", groups, labels, predicted)["groups"]:
        for name in ("n", "accuracy", "selection_rate", "tpr", "fpr"):
            assert row[name] == pytest.approx(frame.loc[row["value"], name])


def test_a_group_below_the_minimum_is_shown_but_moves_no_difference() -> None:
    groups, labels, _, predicted = sample(3)
    few = GROUP_MIN - 1
    wide = group_report(
        "g",
        np.concatenate([groups, np.full(few, "tiny", dtype=object)]),
        np.concatenate([labels, np.ones(few, dtype=int)]),
        np.concatenate([predicted, np.zeros(few, dtype=int)]),
    )
    plain = group_report("g", groups, labels, predicted)
    assert [row["value"] for row in wide["groups"]] == ["1", "2", "3", "tiny"]
    assert {k: v for k, v in wide.items() if k != "groups"} == {k: v for k, v in plain.items() if k != "groups"}


def test_one_group_has_no_difference() -> None:
    labels = np.array([0, 1] * 50)
    report = group_report("g", np.full(100, "1", dtype=object), labels, labels)
    assert report["equal_opportunity_difference"] is None and report["disparate_impact"] is None


def test_numeric_group_values_are_ordered_by_size() -> None:
    groups = np.array(["10", "9", "(missing)", "-1"], dtype=object)
    report = group_report("g", groups, np.zeros(4, dtype=int), np.zeros(4, dtype=int))
    assert [row["value"] for row in report["groups"]] == ["-1", "9", "10", "(missing)"]


@pytest.mark.parametrize("seed", range(5))
def test_the_quality_metrics_equal_those_of_scikit_learn(seed: int) -> None:
    _, labels, scores, predicted = sample(seed)
    ours = binary_metrics(labels, scores, predicted)
    theirs = {
        "accuracy": sk.accuracy_score(labels, predicted), "auc": sk.roc_auc_score(labels, scores),
        "log_loss": sk.log_loss(labels, scores), "brier": sk.brier_score_loss(labels, scores),
        "f1": sk.f1_score(labels, predicted), "precision": sk.precision_score(labels, predicted),
        "recall": sk.recall_score(labels, predicted), "selection_rate": predicted.mean(),
    }
    assert ours == pytest.approx(theirs)


def test_undefined_metrics_are_null() -> None:
    ours = binary_metrics(np.zeros(4, dtype=int), np.full(4, 0.1), np.zeros(4, dtype=int))
    assert ours["auc"] is None and ours["precision"] is None and ours["recall"] is None and ours["f1"] is None
    assert ours["accuracy"] == 1.0

"""Reweighing: the hand-computed example, and independence of group and label under the weights."""

from __future__ import annotations

import numpy as np
import pytest

from headrace_trainer.mitigation.reweighing import reweighing_weights


def test_the_weights_are_those_computed_by_hand() -> None:
    # Ten people. Group f: 2 of 5 positive; group m: 4 of 5. P(f) = 0.5, P(+) = 0.6.
    # w(f,+) = .5*.6/.2 = 1.5; w(f,-) = .5*.4/.3 = 2/3; w(m,+) = .5*.6/.4 = 0.75; w(m,-) = .5*.4/.1 = 2.
    groups = np.array(["f"] * 5 + ["m"] * 5, dtype=object)
    labels = np.array([1, 1, 0, 0, 0, 1, 1, 1, 1, 0])
    weights, cells = reweighing_weights(labels, groups)
    assert weights == pytest.approx([1.5, 1.5, 2 / 3, 2 / 3, 2 / 3, 0.75, 0.75, 0.75, 0.75, 2.0])
    assert [(c["value"], c["label"], c["rows"]) for c in cells] == [("f", 0, 3), ("f", 1, 2), ("m", 0, 1), ("m", 1, 4)]
    assert [c["weight"] for c in cells] == pytest.approx([2 / 3, 1.5, 2.0, 0.75])


@pytest.mark.parametrize("seed", range(20))
def test_under_the_weights_group_and_label_are_independent_and_totals_are_kept(seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = 500
    groups = random.choice(np.array(["a", "b", "c"], dtype=object), rows, p=[0.6, 0.3, 0.1])
    labels = (random.random(rows) < np.where(groups == "a", 0.7, np.where(groups == "b", 0.3, 0.1))).astype(int)
    weights, _ = reweighing_weights(labels, groups)
    assert weights.sum() == pytest.approx(rows)
    rate = labels.mean()
    for value in "abc":
        mine = groups == value
        assert weights[mine].sum() == pytest.approx(mine.sum())
        assert (weights * labels)[mine].sum() / weights[mine].sum() == pytest.approx(rate)


def test_a_group_with_one_class_only_gets_a_weight_for_that_class() -> None:
    weights, cells = reweighing_weights(np.array([1, 1, 0, 1]), np.array(["a", "a", "b", "b"], dtype=object))
    assert [(c["value"], c["label"]) for c in cells] == [("a", 1), ("b", 0), ("b", 1)]
    assert weights == pytest.approx([0.75, 0.75, 0.5, 1.5])

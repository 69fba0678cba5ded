"""A bad spec is refused with a message that names the key."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from make_small_set import small_spec

from headrace_trainer.errors import TrainerError
from headrace_trainer.learners import LEARNERS
from headrace_trainer.spec import parse_spec

DELETE = object()
GOOD = small_spec(Path("set.parquet"), "a" * 64)
STRING = {"column": "person__town", "type": "string", "categorical": True}

BAD = [
    (("runId",), DELETE, "spec: key runId is missing"),
    (("runId",), "", "runId must be a non-empty string"),
    (("project",), 3, "project must be a non-empty string"),
    (("extra",), 1, "spec: unknown key extra"),
    (("trainingSet",), "x.parquet", "trainingSet must be an object"),
    (("trainingSet", "sha256"), "abc", "trainingSet.sha256 must be 64 lower-case hex digits"),
    (("trainingSet", "format"), "csv", "trainingSet: unknown key format"),
    (("entityColumns",), [], "entityColumns needs at least 1 item"),
    (("entityColumns",), ["a", "a"], 'entityColumns "a" is given twice'),
    (("eventTimeColumn",), None, "eventTimeColumn must be a non-empty string"),
    (("features",), {}, "features must be an array"),
    (("features",), [], "features needs at least 1 item"),
    (("features", 0, "type"), "float32", "features[0].type must be one of int64, float64, bool, string"),
    (("features", 0, "categorical"), "yes", "features[0].categorical must be true or false"),
    (("features", 0, "nullable"), True, "features[0]: unknown key nullable"),
    (("features", 1, "name"), "age", 'features: name "age" is given twice'),
    (("features", 1, "column"), "label", 'feature "income" reads the label column "label"'),
    (("features", 4), {"name": "features", **STRING}, '"features" is reserved by the graph'),
    (("features", 4), {"name": "_hr.t0", **STRING}, '"_hr.t0" is reserved by the graph'),
    (("label",), "label", "label must be an object"),
    (("label", "positive"), None, "label.positive must be a number, a boolean or a string"),
    (("protected", 0), "group", "protected[0] must be an object"),
    (("protected",), [{"name": "g", "column": "a"}, {"name": "g", "column": "b"}], 'protected: name "g" is given twice'),
    (("task",), "ranking", 'task must be one of binary_classification, regression, not "ranking"'),
    (("naive",), {"column": "person__age"}, "naive applies to a regression only"),
    (("learner", "kind"), "xgboost", 'learner.kind must be one of lightgbm, logistic_regression, not "xgboost"'),
    (("learner", "kind"), ["lightgbm"], "learner.kind must be one of"),
    (("learner", "params"), [], "learner.params must be an object"),
    (("learner", "params", "depth"), 3, 'learner.params.depth is not a parameter of "lightgbm"'),
    (("learner", "params", "n_estimators"), 0, "learner.params.n_estimators must be a whole number between 1 and 5000"),
    (("learner", "params", "num_leaves"), 7.5, "learner.params.num_leaves must be a whole number"),
    (("learner", "params", "learning_rate"), "fast", "learner.params.learning_rate must be a number"),
    (("learner", "params", "learning_rate"), float("nan"), "learner.params.learning_rate must be a number"),
    (("seed",), -1, "seed must be a whole number between 0 and"),
    (("seed",), True, "seed must be a whole number"),
    (("threshold",), 0, "threshold must be a number between 0 and 1 (ends excluded)"),
    (("holdout",), None, "holdout must be an object"),
    (("holdout", "fraction"), 1.0, "holdout.fraction must be a number between 0 and 1 (ends excluded)"),
    (("mitigation",), "reweighing", "mitigation must be an object"),
    (("mitigation",), {"method": "magic", "attribute": "group"}, "mitigation.method must be one of none, reweighing"),
    (("mitigation",), {"method": "reweighing"}, "mitigation: key attribute is missing"),
    (("mitigation",), {"method": "reweighing", "attribute": "age"}, '"age" is not among the protected attributes'),
]


def changed(path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    at: Any = document
    for key in path[:-1]:
        at = at[key]
    if value is DELETE:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return document


@pytest.mark.parametrize(("path", "value", "message"), BAD, ids=[m for _, _, m in BAD])
def test_a_bad_spec_is_refused_with_the_key_in_the_message(path: tuple[Any, ...], value: Any, message: str) -> None:
    with pytest.raises(TrainerError) as refused:
        parse_spec(changed(path, value))
    assert refused.value.code == "SPEC_INVALID"
    assert refused.value.exit_code == 2
    assert message in refused.value.message


@pytest.mark.parametrize("document", [None, [], "spec", 7])
def test_a_spec_that_is_no_object_is_refused(document: Any) -> None:
    with pytest.raises(TrainerError, match="spec must be an object"):
        parse_spec(document)


def test_all_mistakes_are_reported_in_one_message() -> None:
    document = changed(("seed",), -1)
    document["threshold"] = 2
    with pytest.raises(TrainerError) as refused:
        parse_spec(document)
    assert "seed" in refused.value.message and "threshold" in refused.value.message


def test_the_learner_defaults_stand_under_the_given_parameters() -> None:
    spec = parse_spec(changed(("learner", "params"), {"n_estimators": 12, "learning_rate": 1}))
    assert spec.learner_params["n_estimators"] == 12
    assert spec.learner_params["learning_rate"] == 1.0 and isinstance(spec.learner_params["learning_rate"], float)
    assert spec.learner_params["num_leaves"] == LEARNERS["lightgbm"].parameters["num_leaves"].default


@pytest.mark.parametrize("mitigation", [None, {"method": "none"}, {"method": "none", "attribute": "group"}])
def test_no_mitigation_may_be_written_in_three_ways(mitigation: Any) -> None:
    assert parse_spec(changed(("mitigation",), mitigation)).mitigation is None

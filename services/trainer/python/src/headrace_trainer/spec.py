"""SPEC.json -> TrainSpec. All mistakes are reported together; unknown keys are refused."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import TrainerError
from .graph_names import INTERNAL_PREFIX
from .learners import LEARNERS
from .mitigation import MITIGATIONS
from .tasks import BINARY, REGRESSION, TASKS

FEATURE_TYPES = ("int64", "float64", "bool", "string")
SEED_MAX = 2**31 - 1
FLOAT32_MAX = 3.4e38


@dataclass(frozen=True)
class Feature:
    name: str
    column: str
    type: str
    categorical: bool


@dataclass(frozen=True)
class Protected:
    name: str
    column: str


@dataclass(frozen=True)
class Mitigation:
    method: str
    attribute: str


@dataclass(frozen=True)
class TrainSpec:
    run_id: str
    project: str
    model: str
    training_set_path: Path
    training_set_sha256: str
    entity_columns: tuple[str, ...]
    event_time_column: str
    features: tuple[Feature, ...]
    task: str
    label_column: str
    label_positive: Any  # None for a regression
    naive_column: str | None  # regression: whose value is the naive answer; None: the mean label of training
    protected: tuple[Protected, ...]
    learner_kind: str
    learner_params: dict[str, Any]
    seed: int
    threshold: float
    holdout_fraction: float
    mitigation: Mitigation | None

    @property
    def dense_features(self) -> tuple[Feature, ...]:
        return tuple(f for f in self.features if f.type != "string")

    @property
    def string_features(self) -> tuple[Feature, ...]:
        return tuple(f for f in self.features if f.type == "string")


def read_spec(path: Path) -> TrainSpec:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TrainerError("SPEC_INVALID", f"the spec {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise TrainerError("SPEC_INVALID", f"the spec {path} is not JSON: {error}") from error
    return parse_spec(document)


def parse_spec(document: Any) -> TrainSpec:
    """Returns the typed spec, or raises SPEC_INVALID with every mistake in one message."""
    check = _Check()
    root = check.object(
        document,
        "spec",
        required=(
            "runId", "project", "model", "trainingSet", "entityColumns", "eventTimeColumn", "features", "label",
            "protected", "task", "learner", "seed", "threshold", "holdout", "mitigation",
        ),
        optional=("naive",),
    )
    if root is None:
        check.raise_if_any()
    training_set = check.object(root["trainingSet"], "trainingSet", required=("path", "sha256")) or {}
    task = check.choice(root["task"], "task", tuple(TASKS))
    label = check.object(root["label"], "label", required=("column",) if task == REGRESSION else ("column", "positive")) or {}
    learner = check.object(root["learner"], "learner", required=("kind", "params")) or {}
    holdout = check.object(root["holdout"], "holdout", required=("fraction",)) or {}

    sha256 = check.text(training_set.get("sha256"), "trainingSet.sha256")
    if sha256 and not re.fullmatch(r"[0-9a-f]{64}", sha256):
        check.add("trainingSet.sha256 must be 64 lower-case hex digits")
    positive = label.get("positive")
    if label and task == BINARY and (not isinstance(positive, (bool, int, float, str)) or positive != positive):
        check.add("label.positive must be a number, a boolean or a string")
    naive = None if root.get("naive") is None else check.object(root["naive"], "naive", required=("column",))
    if naive is not None and task == BINARY:
        check.add("naive applies to a regression only")

    features = _features(check, root["features"], task)
    protected = _protected(check, root["protected"])
    spec = TrainSpec(
        run_id=check.text(root["runId"], "runId"),
        project=check.text(root["project"], "project"),
        model=check.text(root["model"], "model"),
        training_set_path=Path(check.text(training_set.get("path"), "trainingSet.path")),
        training_set_sha256=sha256,
        entity_columns=_texts(check, root["entityColumns"], "entityColumns"),
        event_time_column=check.text(root["eventTimeColumn"], "eventTimeColumn"),
        features=features,
        task=task,
        label_column=check.text(label.get("column"), "label.column"),
        label_positive=positive,
        naive_column=None if naive is None else check.text(naive["column"], "naive.column"),
        protected=protected,
        learner_kind=check.choice(learner.get("kind"), "learner.kind", tuple(LEARNERS)),
        learner_params=_learner_params(check, learner),
        seed=int(check.number(root["seed"], "seed", 0, SEED_MAX, whole=True)),
        threshold=_threshold(check, root["threshold"], task),
        holdout_fraction=check.number(holdout.get("fraction"), "holdout.fraction", 0, 1, open_ends=True),
        mitigation=_mitigation(check, root["mitigation"], protected),
    )
    if task == REGRESSION and spec.mitigation is not None:
        check.add("mitigation weighs classes, and a regression has none")
    if spec.naive_column == spec.label_column:
        check.add(f'naive.column is the label column "{spec.label_column}"')
    if task not in LEARNERS[spec.learner_kind].tasks:
        check.add(f'learner.kind "{spec.learner_kind}" does not do the task "{task}"')
    for feature in features:
        if feature.column == spec.label_column:
            check.add(f'feature "{feature.name}" reads the label column "{spec.label_column}"')
    check.raise_if_any()
    return spec


def _threshold(check: _Check, value: Any, task: str) -> float:
    """Of probabilities between 0 and 1; of a regression in the unit of the label."""
    if task == REGRESSION:
        return check.number(value, "threshold", -FLOAT32_MAX, FLOAT32_MAX)
    return check.number(value, "threshold", 0, 1, open_ends=True)


def _features(check: _Check, value: Any, task: str) -> tuple[Feature, ...]:
    features = []
    for at, item in enumerate(check.array(value, "features", 1)):
        where = f"features[{at}]"
        entry = check.object(item, where, required=("name", "column", "type", "categorical"))
        if entry is None:
            continue
        kind = check.choice(entry["type"], f"{where}.type", FEATURE_TYPES)
        if not isinstance(entry["categorical"], bool):
            check.add(f"{where}.categorical must be true or false")
        name = check.text(entry["name"], f"{where}.name")
        if kind == "string" and (name in TASKS[task].reserved_inputs or name.startswith(INTERNAL_PREFIX)):
            check.add(f'{where}.name "{name}" is reserved by the graph; rename the string feature')
        features.append(Feature(name, check.text(entry["column"], f"{where}.column"), kind, entry["categorical"] is True))
    check.unique([f.name for f in features], "features: name")
    return tuple(features)


def _protected(check: _Check, value: Any) -> tuple[Protected, ...]:
    protected = []
    for at, item in enumerate(check.array(value, "protected", 0)):
        where = f"protected[{at}]"
        entry = check.object(item, where, required=("name", "column"))
        if entry is not None:
            protected.append(
                Protected(check.text(entry["name"], f"{where}.name"), check.text(entry["column"], f"{where}.column"))
            )
    check.unique([p.name for p in protected], "protected: name")
    return tuple(protected)


def _learner_params(check: _Check, learner: dict[str, Any]) -> dict[str, Any]:
    """Defaults of the learner, overlaid by the spec's parameters, each checked against its bounds."""
    kind = learner.get("kind")
    if not isinstance(kind, str) or kind not in LEARNERS:
        return {}
    known = LEARNERS[kind].parameters
    given = learner.get("params")
    if not isinstance(given, dict):
        check.add("learner.params must be an object")
        return {}
    params = {name: parameter.default for name, parameter in known.items()}
    for name, value in given.items():
        if name not in known:
            check.add(f'learner.params.{name} is not a parameter of "{kind}" (known: {", ".join(known)})')
            continue
        parameter = known[name]
        number = check.number(
            value, f"learner.params.{name}", parameter.least, parameter.most, whole=isinstance(parameter.default, int)
        )
        params[name] = type(parameter.default)(number)
    return params


def _mitigation(check: _Check, value: Any, protected: tuple[Protected, ...]) -> Mitigation | None:
    if value is None or value == {"method": "none"}:
        return None
    entry = check.object(value, "mitigation", required=("method", "attribute"))
    if entry is None:
        return None
    method = check.choice(entry["method"], "mitigation.method", ("none", *MITIGATIONS))
    attribute = check.text(entry["attribute"], "mitigation.attribute")
    if method == "none":
        return None
    if attribute and attribute not in [p.name for p in protected]:
        check.add(f'mitigation.attribute "{attribute}" is not among the protected attributes')
    return Mitigation(method, attribute)


def _texts(check: _Check, value: Any, where: str) -> tuple[str, ...]:
    texts = [check.text(item, f"{where}[{at}]") for at, item in enumerate(check.array(value, where, 1))]
    check.unique(texts, where)
    return tuple(texts)


class _Check:
    """Collects mistakes; each reader returns a harmless value after a mistake so that checking goes on."""

    def __init__(self) -> None:
        self._mistakes: list[str] = []

    def add(self, mistake: str) -> None:
        self._mistakes.append(mistake)

    def raise_if_any(self) -> None:
        if self._mistakes:
            raise TrainerError("SPEC_INVALID", "; ".join(self._mistakes))

    def object(self, value: Any, where: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any] | None:
        if not isinstance(value, dict):
            self.add(f"{where} must be an object")
            return None
        missing = [key for key in required if key not in value]
        unknown = [key for key in value if key not in required + optional]
        for key in missing:
            self.add(f"{where}: key {key} is missing")
        for key in unknown:
            self.add(f"{where}: unknown key {key}")
        return None if missing else value

    def array(self, value: Any, where: str, least: int) -> list[Any]:
        if not isinstance(value, list):
            self.add(f"{where} must be an array")
            return []
        if len(value) < least:
            self.add(f"{where} needs at least {least} item")
        return value

    def text(self, value: Any, where: str) -> str:
        if isinstance(value, str) and value != "":
            return value
        self.add(f"{where} must be a non-empty string")
        return ""

    def choice(self, value: Any, where: str, choices: tuple[str, ...]) -> str:
        if isinstance(value, str) and value in choices:
            return value
        self.add(f"{where} must be one of {', '.join(choices)}, not {json.dumps(value)}")
        return choices[0]

    def number(
        self, value: Any, where: str, least: float, most: float, *, whole: bool = False, open_ends: bool = False
    ) -> float:
        kind = "a whole number" if whole else "a number"
        span = f"between {least} and {most}" + (" (ends excluded)" if open_ends else "")
        ok = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        ok = ok and (not whole or float(value).is_integer())
        ok = ok and (least < value < most if open_ends else least <= value <= most)
        if ok:
            return value
        self.add(f"{where} must be {kind} {span}")
        return least

    def unique(self, names: list[str], where: str) -> None:
        for name in sorted({n for n in names if n and names.count(n) > 1}):
            self.add(f'{where} "{name}" is given twice')

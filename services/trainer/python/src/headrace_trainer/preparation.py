"""From columns as served to the learner's matrix, once in numpy and once as graph nodes; both must agree.

Matrix columns: the dense features in signature order, then one code column for each string feature.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .graph import Graph
from .graph_names import DENSE_INPUT
from .learners.contract import Column, Learner
from .spec import TrainSpec
from .table import Table

# Code of a string that training never saw, or saw too rarely to be kept.
UNSEEN_CODE = -1.0
VOCABULARY_MAX = 1_000


@dataclass(frozen=True)
class Preparation:
    columns: tuple[Column, ...]
    dense_count: int
    vocabularies: dict[str, tuple[str, ...]]  # by string feature; the code is the position
    fills: np.ndarray  # float32, one for each dense column; NaN: the model handles the gap itself

    def encode(self, table: Table) -> np.ndarray:
        """The matrix, float32 [rows, columns]."""
        dense = np.where(np.isnan(table.dense), self.fills, table.dense)
        codes = [_codes(table.strings[name], words) for name, words in self.vocabularies.items()]
        return np.ascontiguousarray(np.column_stack([dense, *codes]), dtype=np.float32)

    def emit(self, graph: Graph) -> str:
        """Declares the graph's inputs and adds the nodes of `encode`; returns the matrix tensor."""
        parts = []
        if self.dense_count:
            dense = graph.input(DENSE_INPUT, Graph.FLOAT, self.dense_count)
            if not np.isnan(self.fills).all():
                dense = graph.add(
                    "Imputer", [dense], domain="ai.onnx.ml",
                    imputed_value_floats=self.fills.tolist(), replaced_value_float=float("nan"),
                )
            parts.append(dense)
        for name, words in self.vocabularies.items():
            parts.append(
                graph.add(
                    "LabelEncoder", [graph.input(name, Graph.STRING, 1)], domain="ai.onnx.ml",
                    keys_strings=list(words), values_floats=[float(code) for code in range(len(words))],
                    default_float=UNSEEN_CODE,
                )
            )
        return parts[0] if len(parts) == 1 else graph.add("Concat", parts, axis=1)


def prepare(spec: TrainSpec, learner: Learner, train: Table) -> Preparation:
    """Learns vocabularies and fills from the training rows only."""
    dense = tuple(Column(f.name, f.categorical or f.type == "bool") for f in spec.dense_features)
    fills = [learner.fill(train.dense[:, at], column) for at, column in enumerate(dense)]
    return Preparation(
        columns=dense + tuple(Column(f.name, True) for f in spec.string_features),
        dense_count=len(dense),
        vocabularies={f.name: _vocabulary(train.strings[f.name]) for f in spec.string_features},
        fills=np.array(fills, dtype=np.float32),
    )


def _vocabulary(values: np.ndarray) -> tuple[str, ...]:
    """The most frequent strings, ties by name, then sorted by name; "" (missing) is one of them if training saw it."""
    counts = Counter(values.tolist())
    kept = sorted(counts, key=lambda word: (-counts[word], word))[:VOCABULARY_MAX]
    return tuple(sorted(kept))


def _codes(values: np.ndarray, words: tuple[str, ...]) -> np.ndarray:
    code = {word: float(at) for at, word in enumerate(words)}
    return np.fromiter((code.get(value, UNSEEN_CODE) for value in values), dtype=np.float32, count=len(values))

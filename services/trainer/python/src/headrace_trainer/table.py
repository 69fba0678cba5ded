"""The Parquet snapshot as typed columns: dense features as float32, strings, groups, labels, entity keys."""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from .errors import TrainerError
from .spec import Feature, TrainSpec
from .tasks import REGRESSION
from .values import MISSING_GROUP, render_number

log = logging.getLogger(__name__)

# Whole numbers above this are not exact in float32, the type of the graph's input.
FLOAT32_WHOLE_MAX = 2**24
# More groups than this give neither stable rates nor a readable report: group the column first.
GROUPS_MAX = 100


@dataclass(frozen=True)
class Table:
    """Rows of the snapshot that have a label. `dense` is [rows, F] float32 with NaN for missing."""

    dense: np.ndarray
    strings: dict[str, np.ndarray]  # by feature name; missing is ""
    labels: np.ndarray  # int64, 1 where the label equals the positive value; of a regression float64
    naive: np.ndarray | None  # regression with a naive column: float64, NaN for missing
    keys: np.ndarray  # entity key of each row, one string
    groups: dict[str, np.ndarray]  # by protected name; rendered values
    protected: dict[str, np.ndarray]  # by protected name; float32 with NaN, or strings with "" for missing
    unlabelled: int

    @property
    def rows(self) -> int:
        return len(self.labels)

    def take(self, mask: np.ndarray) -> Table:
        return Table(
            dense=self.dense[mask],
            strings={name: values[mask] for name, values in self.strings.items()},
            labels=self.labels[mask],
            naive=None if self.naive is None else self.naive[mask],
            keys=self.keys[mask],
            groups={name: values[mask] for name, values in self.groups.items()},
            protected={name: values[mask] for name, values in self.protected.items()},
            unlabelled=0,
        )


def load_table(spec: TrainSpec) -> Table:
    """Reads the snapshot after its hash was verified; raises a DATA_* refusal that names the column."""
    _verify_hash(spec.training_set_path, spec.training_set_sha256)
    arrow = _read(spec)
    if arrow.num_rows == 0:
        raise TrainerError("DATA_INVALID", f"the training set {spec.training_set_path} has no rows")
    labelled = _present(arrow[spec.label_column])
    unlabelled = arrow.num_rows - (pc.sum(labelled).as_py() or 0)
    if unlabelled:
        log.warning("%d of %d rows have no label and are left out", unlabelled, arrow.num_rows)
        arrow = arrow.filter(labelled)
    if arrow.num_rows == 0:
        raise TrainerError("DATA_INVALID", f'no row of the training set has a label in column "{spec.label_column}"')
    labels = (_values if spec.task == REGRESSION else _labels)(arrow[spec.label_column], spec)
    dense = [_dense(arrow[f.column], f) for f in spec.dense_features]
    protected = {p.name: _protected(arrow[p.column], p.name) for p in spec.protected}
    return Table(
        dense=np.column_stack(dense) if dense else np.empty((arrow.num_rows, 0), dtype=np.float32),
        strings={f.name: _strings(arrow[f.column], f"feature {f.name}") for f in spec.string_features},
        labels=labels,
        naive=None if spec.naive_column is None else _naive(arrow[spec.naive_column], spec.naive_column),
        keys=_keys(arrow, spec.entity_columns),
        groups={name: _groups(values, name) for name, values in protected.items()},
        protected=protected,
        unlabelled=unlabelled,
    )


def _verify_hash(path: Path, expected: str) -> None:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise TrainerError("DATA_UNREADABLE", f"the training set {path} cannot be read: {error.strerror}") from error
    if digest.hexdigest() != expected:
        raise TrainerError(
            "DATA_HASH_MISMATCH",
            f"the training set {path} has sha256 {digest.hexdigest()}, the spec says {expected}; "
            "the snapshot was changed or cut short: fetch or build it again",
        )


def _read(spec: TrainSpec) -> pa.Table:
    path = spec.training_set_path
    try:
        names = pq.read_schema(path).names
    except (pa.ArrowException, OSError) as error:
        raise TrainerError("DATA_UNREADABLE", f"the training set {path} is not Parquet: {error}") from error
    wanted = [*spec.entity_columns, spec.event_time_column, spec.label_column]
    wanted += [f.column for f in spec.features] + [p.column for p in spec.protected]
    wanted += [] if spec.naive_column is None else [spec.naive_column]
    missing = sorted({column for column in wanted if column not in names})
    if missing:
        raise TrainerError("DATA_INVALID", f"the training set {path} lacks column {', '.join(missing)}")
    try:
        return pq.read_table(path, columns=list(dict.fromkeys(wanted)))
    except (pa.ArrowException, OSError) as error:
        raise TrainerError("DATA_UNREADABLE", f"the training set {path} cannot be read: {error}") from error


def _present(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Neither null nor NaN: writers without nullable numbers write a gap as NaN."""
    return pc.invert(pc.is_null(column, nan_is_null=True))


def _dense(column: pa.ChunkedArray, feature: Feature) -> np.ndarray:
    where = f'column "{feature.column}" of feature {feature.name}'
    kind = column.type
    if pa.types.is_null(kind):
        return np.full(len(column), np.nan, dtype=np.float32)
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind) or pa.types.is_decimal(kind)):
        raise TrainerError("DATA_INVALID", f"{where} is {kind}, the spec says {feature.type}")
    values = _float64(column)
    present = values[~np.isnan(values)]
    if np.isinf(present).any() or (np.abs(present) > np.finfo(np.float32).max).any():
        raise TrainerError("DATA_INVALID", f"{where} has a value that is infinite or out of the range of float32")
    if feature.type == "bool" and not np.isin(present, (0, 1)).all():
        raise TrainerError("DATA_INVALID", f"{where} has a value that is neither 0 nor 1")
    if feature.type == "int64":
        if (present != np.trunc(present)).any():
            raise TrainerError("DATA_INVALID", f"{where} has a value that is not a whole number")
        if (np.abs(present) > FLOAT32_WHOLE_MAX).any():
            log.warning("%s has whole numbers above 2^24; the graph's float32 input rounds them", where)
    return values.astype(np.float32)


def _float64(column: pa.ChunkedArray) -> np.ndarray:
    """Nulls become NaN. int64 above 2^53 loses its last bits here, before float32 would drop them anyway."""
    if pa.types.is_boolean(column.type):
        column = pc.cast(column, pa.uint8())
    column = pc.cast(column, pa.float64(), safe=False)
    return column.combine_chunks().to_numpy(zero_copy_only=False).astype(np.float64)


def _strings(column: pa.ChunkedArray, where: str) -> np.ndarray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind)):
        raise TrainerError("DATA_INVALID", f"the column of {where} is {column.type}, the spec says string")
    return np.array(pc.fill_null(pc.cast(column, pa.string()), "").to_pylist(), dtype=object)


def _protected(column: pa.ChunkedArray, name: str) -> np.ndarray:
    kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _strings(column, f"protected attribute {name}")
    return _dense(column, Feature(name, name, "float64", True))


def _groups(values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype == object:
        groups = np.where(values == "", MISSING_GROUP, values)
    else:
        distinct, at = np.unique(values, return_inverse=True)
        names = np.array([MISSING_GROUP if np.isnan(v) else render_number(v) for v in distinct], dtype=object)
        groups = names[at]
    count = len(set(groups))
    if count > GROUPS_MAX:
        raise TrainerError(
            "DATA_INVALID",
            f"protected attribute {name} has {count} distinct values, at most {GROUPS_MAX} are compared; group its values in the view",
        )
    return groups


def _labels(column: pa.ChunkedArray, spec: TrainSpec) -> np.ndarray:
    positive = spec.label_positive
    text = isinstance(positive, str)
    if text:
        values = _strings(column, f"label {spec.label_column}")
    elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        raise TrainerError("DATA_INVALID", f'label column "{spec.label_column}" holds strings, label.positive is a number')
    else:
        values = _float64(column)
    labels = (values == (positive if text else float(positive))).astype(np.int64)
    distinct = list(dict.fromkeys(values.tolist()))
    if len(distinct) > 2:
        raise TrainerError(
            "DATA_INVALID", f'label column "{spec.label_column}" has {len(distinct)} distinct values, a binary label has two'
        )
    if labels.min() == labels.max():
        only = "positive" if labels[0] == 1 else "negative"
        raise TrainerError(
            "DATA_INVALID",
            f'label column "{spec.label_column}" has only {only} rows (positive is {positive!r}); nothing can be learnt from one class',
        )
    return labels


def _values(column: pa.ChunkedArray, spec: TrainSpec) -> np.ndarray:
    """The labels of a regression."""
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise TrainerError("DATA_INVALID", f'label column "{spec.label_column}" is {kind}, a regression learns a number')
    values = _float64(column)
    if not (np.abs(values) <= np.finfo(np.float32).max).all():
        raise TrainerError("DATA_INVALID", f'label column "{spec.label_column}" has a value that is infinite or out of the range of float32')
    if values.min() == values.max():
        raise TrainerError("DATA_INVALID", f'label column "{spec.label_column}" has the value {values[0]:g} only; nothing can be learnt from it')
    return values


def _naive(column: pa.ChunkedArray, name: str) -> np.ndarray:
    return _dense(column, Feature(name, name, "float64", False)).astype(np.float64)


def _keys(arrow: pa.Table, columns: tuple[str, ...]) -> np.ndarray:
    """One string an entity: its column values joined by the unit separator, whole numbers without a point."""
    parts = []
    for name in columns:
        column = arrow[name]
        missing = len(column) - (pc.sum(_present(column)).as_py() or 0)
        if missing:
            raise TrainerError("DATA_INVALID", f'entity column "{name}" has {missing} rows without a value')
        if pa.types.is_floating(column.type):
            parts.append([render_number(v) for v in column.to_pylist()])
        else:
            parts.append(pc.cast(column, pa.string()).to_pylist())
    return np.array(["\x1f".join(row) for row in zip(*parts, strict=True)], dtype=object)

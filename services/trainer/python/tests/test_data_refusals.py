"""Data that cannot be trained on is refused with a sentence that names what and where."""

from __future__ import annotations

import hashlib
import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import Runner
from make_small_set import small_columns, small_spec, write_parquet

from headrace_trainer.errors import TrainerError
from headrace_trainer.parity import compare, require_parity
from headrace_trainer.progress import Progress
from headrace_trainer.spec import TrainSpec, parse_spec
from headrace_trainer.table import load_table
from headrace_trainer.train import train

ROWS = 400


def refusal(run: Runner, columns: dict[str, pa.Array], **changes: object) -> TrainerError:
    with pytest.raises(TrainerError) as refused:
        run(columns, **changes)
    assert refused.value.exit_code == 3
    return refused.value


@pytest.mark.parametrize(
    ("columns", "code", "message"),
    [
        ({"label": pa.array([1] * ROWS)}, "DATA_INVALID", "has only positive rows"),
        ({"label": pa.array([0] * ROWS)}, "DATA_INVALID", "has only negative rows"),
        ({"label": pa.nulls(ROWS, pa.int64())}, "DATA_INVALID", "no row of the training set has a label"),
        ({"label": pa.array([0, 1, 2, 1] * (ROWS // 4))}, "DATA_INVALID", "has 3 distinct values"),
        ({"label": pa.array(["a", "b"] * (ROWS // 2))}, "DATA_INVALID", "holds strings, label.positive is a number"),
        ({"person__age": pa.array(["old"] * ROWS)}, "DATA_INVALID", 'column "person__age" of feature age is string'),
        ({"person__age": pa.array([1.5] * ROWS)}, "DATA_INVALID", "not a whole number"),
        ({"person__income": pa.array([np.inf] * ROWS)}, "DATA_INVALID", "infinite or out of the range of float32"),
        ({"person__income": pa.array([1e39] * ROWS)}, "DATA_INVALID", "infinite or out of the range of float32"),
        ({"person__member": pa.array([2] * ROWS)}, "DATA_INVALID", "neither 0 nor 1"),
        ({"person__town": pa.array([1] * ROWS)}, "DATA_INVALID", "the column of feature town is int64"),
        ({"person__group": pa.array(list(range(ROWS)))}, "DATA_INVALID", "protected attribute group has 400 distinct values"),
        ({"person_id": pa.array([None] + [1] * (ROWS - 1))}, "DATA_INVALID", 'entity column "person_id" has 1 rows without a value'),
        ({"person_id": pa.array([float("nan")] * 2 + [1.0] * (ROWS - 2))}, "DATA_INVALID", "has 2 rows without a value"),
        ({"person_id": pa.array([1] * ROWS)}, "DATA_INVALID", "holdout"),
    ],
)
def test_unusable_columns_are_refused(run: Runner, columns: dict[str, pa.Array], code: str, message: str) -> None:
    error = refusal(run, columns)
    assert error.code == code
    assert message in error.message


def spec_for(path: Path, sha256: str) -> TrainSpec:
    return parse_spec(small_spec(path, sha256))


def test_an_empty_training_set_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "empty.parquet"
    sha256 = write_parquet(path, {name: column[:0] for name, column in small_columns().items()})
    with pytest.raises(TrainerError, match="has no rows"):
        load_table(spec_for(path, sha256))


def test_a_changed_file_is_refused_by_its_hash(tmp_path: Path) -> None:
    path = tmp_path / "set.parquet"
    write_parquet(path, small_columns())
    with pytest.raises(TrainerError) as refused:
        load_table(spec_for(path, "0" * 64))
    assert refused.value.code == "DATA_HASH_MISMATCH" and "0" * 64 in refused.value.message


def test_a_missing_file_and_a_file_that_is_not_parquet_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainerError, match="cannot be read") as refused:
        load_table(spec_for(tmp_path / "absent.parquet", "0" * 64))
    assert refused.value.code == "DATA_UNREADABLE"
    other = tmp_path / "other.parquet"
    other.write_bytes(b"id,label\n1,0\n")
    with pytest.raises(TrainerError, match="is not Parquet"):
        load_table(spec_for(other, hashlib.sha256(other.read_bytes()).hexdigest()))


def test_missing_columns_are_all_named(tmp_path: Path) -> None:
    columns = small_columns()
    del columns["person__age"], columns["event_time"]
    path = tmp_path / "set.parquet"
    sha256 = write_parquet(path, columns)
    with pytest.raises(TrainerError, match="lacks column event_time, person__age"):
        load_table(spec_for(path, sha256))


def test_a_refused_run_leaves_no_file(run: Runner, tmp_path: Path) -> None:
    refusal(run, {"label": pa.array([1] * ROWS)})
    assert not (tmp_path / "out1").exists()


def test_a_refused_retry_removes_the_result_of_the_earlier_try(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "result.json").write_text("{}")
    with pytest.raises(TrainerError):
        train(spec_for(tmp_path / "absent.parquet", "0" * 64), out, Progress(io.StringIO()))
    assert not (out / "result.json").exists()


@pytest.mark.parametrize("gap", [None, float("nan")], ids=["null", "nan"])
def test_rows_without_a_label_are_left_out_and_counted(run: Runner, gap: float | None) -> None:
    labels = small_columns()["label"].to_pylist()
    done = run({"label": pa.array([gap] * 30 + labels[30:], pa.float64(), from_pandas=False)})
    assert done.result["rows"]["unlabelled"] == 30
    assert done.result["rows"]["train"] + done.result["rows"]["holdout"] == ROWS - 30


@pytest.mark.parametrize("positive", [True, "yes"])
def test_labels_may_be_booleans_or_strings(run: Runner, positive: object) -> None:
    labels = [("yes" if v else "no") if positive == "yes" else bool(v) for v in small_columns()["label"].to_pylist()]
    done = run({"label": pa.array(labels)}, label={"column": "label", "positive": positive})
    assert done.result["metrics"] == run().result["metrics"]


def test_groups_may_be_strings_and_missing_ones_are_a_group(run: Runner) -> None:
    groups = pa.array([None if n % 10 == 0 else ("x" if n % 2 else "y") for n in range(ROWS)])
    report = run({"person__group": groups}).result["groups"][0]
    assert [row["value"] for row in report["groups"]] == ["(missing)", "x", "y"]


def test_whole_numbers_may_arrive_as_doubles_and_flags_as_numbers(run: Runner) -> None:
    columns = small_columns()
    as_doubles = {
        "person__age": columns["person__age"].cast(pa.float64()),
        "person__member": columns["person__member"].cast(pa.int8()),
    }
    assert run(as_doubles).result["metrics"] == run().result["metrics"]


@pytest.mark.parametrize(
    ("python", "served", "labels"),
    [
        ([0.2, 0.9], [0.2, 0.90002], [0, 1]),  # probability off by more than 1e-5
        ([0.2, 0.9], [0.2, 0.9], [0, 0]),  # label differs far from the threshold
        ([0.2, 0.9], [0.2, np.nan], [0, 1]),  # NaN never passes
    ],
)
def test_a_graph_that_disagrees_fails_parity_with_exit_code_4(python: list, served: list, labels: list) -> None:
    with pytest.raises(TrainerError) as refused:
        require_parity(compare(np.array(python), np.array(served, np.float64), np.array(labels), 0.5))
    assert refused.value.code == "PARITY_FAILED" and refused.value.exit_code == 4


def test_labels_may_differ_within_a_millionth_of_the_threshold() -> None:
    parity = compare(np.array([0.5 - 5e-7]), np.array([0.5], np.float32), np.array([1]), 0.5)
    require_parity(parity)
    assert parity.label_mismatches == 0

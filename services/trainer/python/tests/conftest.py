from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from make_small_set import small_columns, small_spec, write_parquet

from headrace_trainer.progress import Progress
from headrace_trainer.spec import parse_spec
from headrace_trainer.train import train


@dataclass
class Run:
    out: Path
    result: dict[str, Any]
    events: list[dict[str, Any]]

    @property
    def onnx(self) -> bytes:
        return (self.out / "model.onnx").read_bytes()

    def document(self, name: str) -> Any:
        return json.loads((self.out / name).read_text(encoding="utf-8"))


Runner = Callable[..., Run]


@pytest.fixture
def run(tmp_path: Path) -> Runner:
    """Trains on the small set; `columns` replaces columns, `drop` removes some, the rest changes the spec."""
    count = 0

    def go(columns: dict[str, pa.Array] | None = None, rows: int = 400, **changes: Any) -> Run:
        nonlocal count
        count += 1
        out = tmp_path / f"out{count}"
        path = tmp_path / f"set{count}.parquet"
        sha256 = write_parquet(path, {**small_columns(rows, task=changes.get("task", "binary_classification")), **(columns or {})})
        stream = io.StringIO()
        result = train(parse_spec(small_spec(path, sha256, **changes)), out, Progress(stream))
        return Run(out, result, [json.loads(line) for line in stream.getvalue().splitlines()])

    return go

"""The command as the worker spawns it: argv in, JSON lines out, exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from make_small_set import make_small_set

SRC = Path(__file__).resolve().parents[1] / "src"


def spawn(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "headrace_trainer", *arguments], cwd=SRC, capture_output=True, text=True, timeout=60
    )


def test_a_good_run_writes_four_files_and_only_json_lines(tmp_path: Path) -> None:
    spec = make_small_set(tmp_path / "in")
    done = spawn("train", "--spec", str(spec), "--out", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {e["event"] for e in events} == {"step", "progress", "metric"}
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["baseline.json", "golden.json", "model.onnx", "result.json"]


def test_a_bad_spec_exits_2_with_one_error_line(tmp_path: Path) -> None:
    spec = tmp_path / "spec.json"
    spec.write_text("{")
    done = spawn("train", "--spec", str(spec), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    (event,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert event["event"] == "error" and event["code"] == "SPEC_INVALID" and "is not JSON" in event["message"]


def test_bad_data_exits_3_with_an_error_line(tmp_path: Path) -> None:
    spec = make_small_set(tmp_path / "in", seed=7)
    (tmp_path / "in" / "training-set.parquet").unlink()
    done = spawn("train", "--spec", str(spec), "--out", str(tmp_path / "out"))
    assert done.returncode == 3
    assert json.loads(done.stdout.splitlines()[-1])["code"] == "DATA_UNREADABLE"
    assert not (tmp_path / "out").exists()

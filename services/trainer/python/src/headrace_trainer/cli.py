"""The door: argv in, progress lines on stdout, logs on stderr, an exit code the worker can act on."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from . import __version__
from .errors import TrainerError
from .progress import Progress


def main(argv: list[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    progress = Progress()
    try:
        # Imported here so that --help and --version answer without loading the learners.
        from .spec import read_spec
        from .train import train

        train(read_spec(arguments.spec), arguments.out, progress)
        return 0
    except TrainerError as error:
        progress.emit("error", code=error.code, message=error.message)
        return error.exit_code
    except Exception as error:  # The last resort: the worker gets a line and a code, the log gets the trace.
        logging.getLogger(__name__).exception("training failed")
        progress.emit("error", code="TRAINING_FAILED", message=f"{type(error).__name__}: {error}")
        return 3


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="headrace_trainer", description="Train one model and export it as one ONNX graph.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train from a spec and a Parquet snapshot")
    train.add_argument("--spec", type=Path, required=True, help="SPEC.json")
    train.add_argument("--out", type=Path, required=True, help="folder for model.onnx, result.json, baseline.json, golden.json")
    return parser

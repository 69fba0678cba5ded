"""Progress as one JSON object a line on stdout; the worker parses it while the run goes on."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any


class Progress:
    def __init__(self, stream: IO[str] | None = None) -> None:
        self._stream = stream if stream is not None else sys.stdout

    def emit(self, event: str, **fields: Any) -> None:
        self._stream.write(json.dumps({"event": event, **fields}, allow_nan=False) + "\n")
        self._stream.flush()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Emits `step` with its wall seconds when the block ends well; a failing block emits nothing."""
        started = time.perf_counter()
        yield
        self.emit("step", step=name, seconds=round(time.perf_counter() - started, 4))

    def iterations(self, done: int, total: int) -> None:
        self.emit("progress", step="fit", done=done, total=total)

"""What a run used and what it ran on, for result.json."""

from __future__ import annotations

import platform
import resource
import sys
import time
from importlib import metadata
from typing import Any

PACKAGES = ("lightgbm", "numpy", "onnx", "onnxruntime", "pyarrow", "scikit-learn", "scipy")


class Meter:
    """Counts from its creation; CPU and peak memory are those of the whole process."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    def resources(self) -> dict[str, Any]:
        usage = resource.getrusage(resource.RUSAGE_SELF)
        # ru_maxrss is kilobytes on Linux, bytes on macOS.
        unit = 1 if sys.platform == "darwin" else 1024
        return {
            "peak_rss_bytes": usage.ru_maxrss * unit,
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "wall_seconds": round(time.perf_counter() - self._started, 3),
            "gpu": None,
        }


def environment() -> dict[str, Any]:
    return {
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "platform": platform.platform(),
    }

"""What the machine itself can do, so that a figure can be read as a share of it."""

import os
import tempfile
import time
from pathlib import Path

import numpy as np

_BYTES = 512 << 20


def machine_limits(folder: Path) -> dict[str, float]:
    """Durable writes and uncached reads in `folder`, and memory copies, in GB/s; the number of cores."""
    block = np.random.default_rng(0).integers(0, 255, 16 << 20, dtype=np.uint8).tobytes()
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        started = time.perf_counter()
        for _ in range(_BYTES // len(block)):
            file.write(block)
        file.flush()
        os.fsync(file.fileno())
        write = time.perf_counter() - started
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        started = time.perf_counter()
        file.seek(0)
        while file.read(16 << 20):
            pass
        read = time.perf_counter() - started
    source = np.ones(_BYTES // 8)
    target = np.empty_like(source)
    np.copyto(target, source)
    started = time.perf_counter()
    np.copyto(target, source)
    copy = time.perf_counter() - started
    return {
        "cores": float(len(os.sched_getaffinity(0))),
        "load_average": os.getloadavg()[0],
        "durable_write_gb_per_second": _BYTES / write / 1e9,
        "read_gb_per_second": _BYTES / read / 1e9,
        # A copy reads and writes each byte.
        "memory_gb_per_second": 2 * _BYTES / copy / 1e9,
    }


def folder_bytes(folder: Path) -> int:
    """Bytes of all files below `folder`."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

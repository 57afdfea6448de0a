"""What DCMTK's programs write."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def pnm(path: Path) -> NDArray[np.int64]:
    """A PGM image of DCMTK: text of 16 bits (P2) or bytes (P5)."""
    data = path.read_bytes()
    head = re.match(rb"P[25]\s+(?:#.*\n\s*)*(\d+)\s+(\d+)\s+(\d+)\s", data)
    assert head is not None
    columns, rows = int(head[1]), int(head[2])
    body = data[head.end() :]
    values = np.array(body.split(), np.int64) if data.startswith(b"P2") else np.frombuffer(body, np.uint8)
    return values[: rows * columns].reshape(rows, columns).astype(np.int64)

"""Look at many small images, or deliver them through a curve, beside a loop of pydicom; for `small_files.py`.

    python one_small_run.py inspect|deliver|no-gate FOLDER ROUNDS

It runs with the source and the tests of whatever checkout stands on PYTHONPATH: names are looked up by
`one_delivery.named`.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from one_delivery import (  # type: ignore[import-not-found]  # beside this file: it runs as a script
    CURVE,
    JOURNAL,
    Delivery,
    Job,
    named,
    scanner_harmonizer,
    with_gate,
)

TICK = os.sysconf("SC_CLK_TCK")


def processor() -> float:
    """Seconds of this process, its children, and the children that those have lost."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    fields = [Path(f"/proc/{child}/stat").read_text().rsplit(")", 1)[1].split() for child in children]
    return time.process_time() + sum(int(ticks) for field in fields for ticks in field[11:15]) / TICK


def headers(paths: list[Path]) -> None:
    """What cannot be less."""
    for path in paths:
        pydicom.dcmread(path, stop_before_pixels=True)


def rewritten(paths: list[Path], folder: Path) -> None:
    """Read, map, write whole, and read back."""
    table = (CURVE(np.linspace(0, 1, 4096)) * 65535).round().astype(np.uint16)
    for path in paths:
        dataset = pydicom.dcmread(path)
        mapped = table[dataset.pixel_array]
        dataset.PixelData = mapped.tobytes()
        dataset.BitsStored = dataset.BitsAllocated = 16
        dataset.HighBit = 15
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as file:
            dataset.save_as(file)
            file.flush()
            os.fsync(file.fileno())
        os.rename(file.name, folder / path.name)
        if not np.array_equal(pydicom.dcmread(folder / path.name).pixel_array, mapped):
            raise SystemExit("it was not written")


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds, and those of processors."""
    wall, used = time.perf_counter(), processor()
    work()
    return time.perf_counter() - wall, processor() - used


def inspected(folder: Path, rounds: int) -> dict[str, Any]:
    """The first time starts processes."""
    inspect = named("inspect", "isotone.imaging.inspect")
    paths = sorted(folder.glob("*.dcm"))
    headers(paths)

    def whole() -> None:
        assert all(finding.header is not None for finding in inspect(paths, workers=os.cpu_count() or 1))

    return {"first": timed(whole), "loop": [], "isotone": []} | _in_turn(lambda: headers(paths), whole, rounds)


def delivered(folder: Path, rounds: int, *, gate: bool) -> dict[str, Any]:
    """One image after the other, in this process."""
    paths = sorted(folder.glob("*.dcm"))
    harmonizer = scanner_harmonizer("any", curve=CURVE)
    if gate:
        harmonizer = with_gate(harmonizer, "any", paths[0])
    out = Path(tempfile.mkdtemp(dir=folder))
    (out / JOURNAL).touch()
    (out / "loop").mkdir()
    delivery = Delivery(harmonizer, out, "pixels")

    def whole() -> None:
        for path in paths:
            delivery(Job(path, "any", path.name, "key"))

    whole()
    return _in_turn(lambda: rewritten(paths, out / "loop"), whole, rounds)


def _in_turn(loop: Callable[[], object], ours: Callable[[], object], rounds: int) -> dict[str, Any]:
    both = [(timed(loop), timed(ours)) for _ in range(rounds)]
    return {"loop": [first for first, _ in both], "isotone": [second for _, second in both]}


def main() -> None:
    what, folder, rounds = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    said = inspected(folder, rounds) if what == "inspect" else delivered(folder, rounds, gate=what == "deliver")
    print(json.dumps(said))


if __name__ == "__main__":
    main()

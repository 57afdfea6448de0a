"""Peak memory of delivering and restoring objects of 10 and of 100 frames, each in a process of its own.

    python -m benchmarks.frames [--rows N] [--columns N]

Wanted: what 90 frames more take is less than one frame, functional groups apart (about 10 kB a frame).
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from dicoms import LOSSLESS, pixels, write
from several_frames import run

ONE = """
import sys, time
from pathlib import Path
from harmonizers import deliver_one
from isotone.deployment.restore import Task, restore_file
def peak():
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
source, small, out, deliver = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4]
path, _ = deliver_one(small, out, deliver)  # what is loaded once
restore_file(Task(path, out / "back.dcm"))
loaded, start = peak(), time.process_time()
path, _ = deliver_one(source, out, deliver)
delivered = time.process_time() - start
restore_file(Task(path, out / "back.dcm"))
print(peak() / 1024, loaded / 1024, delivered)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1024)
    parser.add_argument("--columns", type=int, default=1024)
    given = parser.parse_args()
    shape = {"rows": given.rows, "columns": given.columns}
    few = np.stack([pixels(seed=n, **shape) for n in range(5)])
    print(f"{given.rows} × {given.columns}, one frame {2 * few[0].size / 2**20:.1f} MB; tomosynthesis; peaks in MB\n")
    print(f"{'syntax':12}{'delivery':10}{'loaded':>8}{'10':>8}{'100':>8}{'more, in frames':>17}{'s for 100':>11}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = write(run(np.stack([pixels(rows=64, columns=64)] * 2)), folder / "small.dcm")
        for syntax in ("explicit", "rle", "jpeg-ls", "jpeg-2000"):
            sources = [
                write(run(np.tile(few, (n // 5, 1, 1)), syntax=LOSSLESS[syntax]), folder / f"{n}.dcm")
                for n in (10, 100)
            ]
            for deliver in ("pixels", "voi-lut"):
                found = [_one(source, small, folder / "out", deliver) for source in sources]
                peaks = [one[0] for one in found]
                more = (peaks[1] - peaks[0]) * 2**20 / (2 * few[0].size)
                print(
                    f"{syntax:12}{deliver:10}{found[0][1]:8.0f}{peaks[0]:8.0f}{peaks[1]:8.0f}{more:17.2f}"
                    f"{found[1][2]:11.1f}",
                    flush=True,
                )


def _one(source: Path, small: Path, out: Path, deliver: str) -> list[float]:
    arguments = [str(source), str(small), str(out), deliver]
    done = subprocess.run([sys.executable, "-c", ONE, *arguments], capture_output=True, text=True, check=True)
    return [float(number) for number in done.stdout.split()]


if __name__ == "__main__":
    main()

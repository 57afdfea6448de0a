"""Many small images: what looking at them, and applying a curve to them, takes beside plain loops of pydicom.

    python -m benchmarks.small_files [--files 1000] [--rounds 5] [--against CHECKOUT]

Images of 256 px, 12 bits, Explicit VR, which differ in their UIDs. `inspect` with a process for each core stands beside
``dcmread(stop_before_pixels=True)``, by the clock: wanted at most 1.3. What `apply` does with each image, gate
included, stands beside a loop that reads, maps, writes, waits for the disk, renames and reads back, by processor time:
wanted at most 2.5; beside that the same without a gate. Loop and isotone take turns; figures are medians. Of images
that are delivered there are a tenth. CHECKOUT is another commit's worktree.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.uid import UID

from benchmarks.checkouts import script_in
from dicoms import pixels, radiograph, write

KINDS = ("inspect", "deliver", "no-gate")
HERE = Path(__file__).parents[1]


def write_images(folder: Path, count: int) -> None:
    """So many images."""
    dataset = radiograph(pixels(rows=256, columns=256))
    for number in range(count):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number}")
        write(dataset, folder / f"{number:06}.dcm")


def run(root: Path, what: str, folder: Path, rounds: int) -> dict[str, Any]:
    """What `one_small_run` says with the source of a checkout."""
    script = script_in(root, "one_small_run.py", what, folder, rounds)
    ran = subprocess.run(**script, stdout=subprocess.PIPE, check=True)
    said: dict[str, Any] = json.loads(ran.stdout)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=KINDS)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    options = parser.parse_args()
    builds = {"here": HERE} | ({"there": options.against} if options.against else {})
    print(f"{options.files} images of 256 px, {options.rounds} rounds; ms an image, by the clock and of processors")
    print(f"{'':18}{'loop':>16}{'isotone':>16}{'ratio (clock)':>15}{'(processors)':>14}{'first time':>12}")
    for what in KINDS:
        if options.only not in (None, what):
            continue
        files = options.files if what == "inspect" else max(options.files // 10, 1)
        with tempfile.TemporaryDirectory() as name:
            write_images(Path(name), files)
            for build, root in builds.items():
                report(f"{what}, {build}", run(root, what, Path(name), options.rounds), files)


def report(name: str, said: dict[str, Any], files: int) -> None:
    """A line of the table."""
    loop, ours = (np.array(said[side]) for side in ("loop", "isotone"))
    clock, processors = np.median(ours / loop, axis=0)
    cells = [f"{wall:.2f} {used:.2f}" for wall, used in np.median([loop, ours], axis=1) / files * 1e3]
    first = said.get("first")
    start = f"{first[0] / np.median(loop[:, 0]):12.2f}" if first else ""
    print(f"{name:18}{cells[0]:>16}{cells[1]:>16}{clock:15.2f}{processors:14.2f}{start}", flush=True)


if __name__ == "__main__":
    main()

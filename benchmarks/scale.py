"""Resuming a finished run of many images: memory, processor time and bytes, against another commit.

    python -m benchmarks.scale [--rows N…] [--new N] [--against CHECKOUT]

Journals are made by each build's own code (`one_resume`), for images that do not exist and whose outputs are empty
files: what is measured is the table of images, the plan, the journal and ``curves.csv``. `--new` adds so many images of
32 px that are there and no run has done; of them the table has the time of `apply`. Wanted, against 01b34ed: peak
memory at most 0.15 at 300,000 rows, the same at 100,000 as at 1,000,000; bytes a row of the journal at most 0.3.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from pydicom.uid import UID

from benchmarks.checkouts import script_in
from dicoms import pixels, radiograph, write

HERE = Path(__file__).parents[1]


def write_manifest(path: Path, rows: int) -> None:
    """Names as archives give them, a thousand a folder."""
    with path.open("w", encoding="utf-8") as file:
        file.write("path,domain,label,patient_id\n")
        for i in range(rows):
            name = f"images/site{i // 1000:04}/1.2.826.0.1.3680043.8.498.{i:032}.dcm"
            file.write(f"{name},any,{'ABCD'[i % 4]},P{i * 2 // 5:07}\n")


def add_new(path: Path, count: int) -> None:
    """Tiny images beside a manifest, and their rows in it."""
    dataset = radiograph(pixels(rows=32, columns=32))
    (path.parent / "images" / "new").mkdir(parents=True)
    with path.open("a", encoding="utf-8") as file:
        for i in range(count):
            dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{i}")
            name = write(dataset, path.parent / "images" / "new" / f"{i:06}.dcm").relative_to(path.parent)
            file.write(f"{name},any,A,N{i}\n")


def run(root: Path, *arguments: object) -> dict[str, float]:
    """What `one_resume` says with the source of a checkout."""
    ran = subprocess.run(**script_in(root, "one_resume.py", *arguments), stdout=subprocess.PIPE, check=True)
    said: dict[str, float] = json.loads(ran.stdout)
    return said


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, nargs="+", default=[100_000, 300_000, 1_000_000])
    parser.add_argument("--new", type=int, default=0)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    options = parser.parse_args()
    builds = [HERE, *([options.against] if options.against else [])]
    print(f"{'rows':>9}  {'build':40}{'MB at most':>11}{'bytes/row':>11}{'read, µs/row':>14}{'apply, µs/row':>15}")
    for rows in options.rows:
        folder = Path(tempfile.mkdtemp())
        try:
            write_manifest(folder / "manifest.csv", rows)
            made = [
                run(root, "make", folder / "manifest.csv", folder / f"out-{number}")
                for number, root in enumerate(builds)
            ]
            if options.new:
                add_new(folder / "manifest.csv", options.new)
            for number, root in enumerate(builds):
                found = run(root, "resume", folder / "manifest.csv", folder / f"out-{number}")
                micro = [found[name] / rows * 1e6 for name in ("read", "apply")]
                name = "this" if root == HERE else str(root)
                print(f"{rows:9}  {name:40}{found['MB']:11.0f}{made[number]['bytes'] / rows:11.0f}", end="")
                print(f"{micro[0]:14.1f}{micro[1]:15.1f}  {found['resumed']:.0f} resumed", flush=True)
        finally:
            shutil.rmtree(folder)


if __name__ == "__main__":
    main()

"""Applying a scanner curve to DICOM files, by transfer syntax, against reading, decoding and writing unchanged.

    PYTHONPATH=tests python benchmarks/dicom.py [--rounds N]

Both sides use the same decoders, write Explicit VR Little Endian, fsync and rename, on one core. Wanted: at most 1.6
times as long for native and 1.15 for compressed syntaxes; presentation states decode nothing; two processes on two
cores at least 1.7 times one; at most 400 MB beyond the imports for 13.6 Mpx.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pydicom.uid import ExplicitVRLittleEndian

from dicoms import LOSSLESS, encoded, pixels, radiograph, write
from harmonizers import scanner_harmonizer
from isotone.apply import apply
from isotone.curves import ToneCurve
from isotone.data.manifest import Manifest
from isotone.export.deliver import Delivery, Job
from isotone.export.deliver_states import Survey
from isotone.export.write import write_dicom
from isotone.imaging.dicom import read_dicom
from isotone.journal import JOURNAL
from paired import medians

CURVE = ToneCurve([0.5, -0.3, 0.4, 0.2, -0.1, 0.3, 0.1, -0.2])
ROWS, COLUMNS = 3328, 2560
NATIVE = ("implicit", "explicit", "big-endian", "deflated")
HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"


def by_syntax(folder: Path, rounds: int) -> None:
    print(f"{ROWS} × {COLUMNS}, 12 bits, {rounds} rounds, medians; ms\n")
    print(f"{'transfer syntax':20}{'unchanged':>10}{'pixels':>10}{'ratio':>7}{'voi-lut':>10}{'gsps':>8}")
    (folder / JOURNAL).touch()
    harmonizer = scanner_harmonizer("any", curve=CURVE)
    for name, syntax in LOSSLESS.items():
        path = write(encoded(radiograph(pixels(rows=ROWS, columns=COLUMNS)), syntax), folder / f"{name}.dcm")
        job = Job(path, "any", "harmonized.dcm", "key")

        def unchanged(path: Path = path) -> None:
            image, dataset = read_dicom(path)
            dataset.add_new("PixelData", "OW", image.stored.tobytes())
            write_dicom(dataset, ExplicitVRLittleEndian, folder / "unchanged.dcm")  # by pydicom alone

        ways = {"unchanged": unchanged}
        for deliver in ("pixels", "voi-lut"):
            ways[deliver] = lambda d=Delivery(harmonizer, folder, deliver), j=job: d(j)
        ways["gsps"] = lambda s=Survey(harmonizer), j=job: s(j)
        seconds, ratios = medians(ways, rounds)
        limit = 1.6 if name in NATIVE else 1.15
        print(
            f"{name:20}{seconds['unchanged'] * 1e3:10.0f}{seconds['pixels'] * 1e3:10.0f}{ratios['pixels']:7.2f}"
            f"{seconds['voi-lut'] * 1e3:10.0f}{seconds['gsps'] * 1e3:8.0f}"
            + ("" if ratios["pixels"] <= limit else f"   above {limit}")
        )


def two_processes(folder: Path, images: int = 24) -> None:
    """The whole of `apply` on JPEG 2000, start of the processes included."""
    source = folder / "many"
    source.mkdir()
    ds = encoded(radiograph(pixels(rows=1664, columns=1280)), LOSSLESS["jpeg-2000"])
    for number in range(images):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        write(ds, source / f"{number}.dcm")
    manifest = Manifest.from_paths([source])
    seconds = {}
    for workers in (1, 2):
        start = time.perf_counter()
        apply(
            scanner_harmonizer(HOLOGIC, curve=CURVE), manifest, folder / f"out-{workers}", workers=workers, quiet=True
        )
        seconds[workers] = time.perf_counter() - start
    print(
        f"\n{images} JPEG 2000 images of 2.1 Mpx: {seconds[1]:.1f} s with one process, {seconds[2]:.1f} s with two: ",
        end="",
    )
    print(f"{seconds[1] / seconds[2]:.2f} times (wanted: 1.7)")


def peak_memory(path: Path) -> None:
    """Run in a process of its own: how far one delivery raises the peak."""
    (path.parent / JOURNAL).touch()
    before = _peak()
    Delivery(scanner_harmonizer("any", curve=CURVE), path.parent, "pixels")(Job(path, "any", "out.dcm", "key"))
    print(f"  {path.stem:20}{_peak() - before:8.0f} MB")


def _peak() -> float:
    """Megabytes; getrusage would count what the parent had, too."""
    [line] = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")]
    return int(line.split()[1]) / 1024


def memory(folder: Path) -> None:
    print("\npeak memory beyond the imports, 4096 × 3328 (wanted: at most 400 MB)")
    for name in ("explicit", "jpeg-lossless", "jpeg-ls", "jpeg-2000"):
        path = folder / "memory" / f"{name}.dcm"
        path.parent.mkdir(exist_ok=True)
        write(encoded(radiograph(pixels(rows=4096, columns=3328)), LOSSLESS[name]), path)
        subprocess.run([sys.executable, __file__, "--memory", str(path)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    np.seterr(all="raise")
    if options.memory is not None:
        peak_memory(options.memory)
        return
    folder = Path(tempfile.mkdtemp())
    try:
        memory(folder)
        two_processes(folder)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {next(iter(os.sched_getaffinity(0)))})
        by_syntax(folder, options.rounds)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

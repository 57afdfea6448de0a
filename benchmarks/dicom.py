"""Applying a scanner curve to DICOM files, by transfer syntax, against reading, decoding and writing unchanged.

    python -m benchmarks.dicom [--rounds N] [--only SECTION] [--syntax NAME]… [--network HARMONIZER]
        [--against CHECKOUT]

Both sides use the same decoders, write Explicit VR Little Endian, fsync and rename, on one core; the harmonizer has a
gate, as every fit leaves one. Wanted: at most 1.6 times as long for native and 1.15 for compressed syntaxes;
presentation states of a scanner's curve decode nothing, those of a network take at most half of the full decode of
JPEG 2000, with coefficients within 1e-3 of its; two processes on two cores at least 1.7 times one; at most 400 MB
beyond the imports for 13.6 Mpx. HARMONIZER is a folder that `isotone fit --method gdce` wrote; without one, networks
with random weights that are made sensitive to the image stand in. CHECKOUT is another commit's worktree, with which
deliveries are compared one by one, in turn and by processor time: since 01b34ed every file is read back before it is
done, for which at most 1.15 times the time of that commit is wanted at 8.5 Mpx native. Beside that ratio stand those
without the gate on either side, and of deliveries here to the same ones that are not read back.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from pydicom.uid import UID, ExplicitVRLittleEndian

from benchmarks.checkouts import script_in
from benchmarks.one_delivery import CURVE, with_gate
from benchmarks.paired import medians
from dicoms import LOSSLESS, LOSSY, encoded, pixels, radiograph, write
from harmonizers import scanner_harmonizer
from isotone._runtime.journal import JOURNAL
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.deliver import Delivery, Job
from isotone.deployment.deliver_states import Survey
from isotone.deployment.dicom_objects.write import write_dicom
from isotone.deployment.reduced_reading import Trial, agreed, read_for_curve
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.dicom.read_dicom import read_dicom
from isotone.networks.gdce import GDCE
from isotone.networks.gdce_mapper import GDCEMapper

ROWS, COLUMNS = 3328, 2560
HERE = Path(__file__).parents[1]
NATIVE = ("implicit", "explicit", "big-endian", "deflated")
HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"


def by_syntax(folder: Path, rounds: int, names: list[str]) -> None:
    print(f"\n{ROWS} × {COLUMNS}, 12 bits, {rounds} rounds, medians; ms\n")
    print(f"{'transfer syntax':20}{'unchanged':>10}{'pixels':>10}{'ratio':>7}{'voi-lut':>10}{'gsps':>8}")
    (folder / JOURNAL).touch()
    for name in names:
        syntax = LOSSLESS[name]
        path = write(encoded(radiograph(pixels(rows=ROWS, columns=COLUMNS)), syntax), folder / f"{name}.dcm")
        harmonizer = with_gate(scanner_harmonizer("any", curve=CURVE), "any", path)
        job = Job(path, "any", "harmonized.dcm", "key")

        def unchanged(path: Path = path) -> None:
            image, dataset = read_dicom(path)
            dataset.add_new("PixelData", "OW", image.stored.tobytes())
            write_dicom(dataset, ExplicitVRLittleEndian, folder / "unchanged.dcm")  # by pydicom alone

        ways: dict[str, Callable[[], object]] = {"unchanged": unchanged}
        for deliver in ("pixels", "voi-lut"):
            ways[deliver] = partial(Delivery(harmonizer, folder, deliver), job)
        ways["gsps"] = partial(Survey(harmonizer), job)
        seconds, ratios = medians(ways, rounds)
        limit = 1.6 if name in NATIVE else 1.15
        print(
            f"{name:20}{seconds['unchanged'] * 1e3:10.0f}{seconds['pixels'] * 1e3:10.0f}{ratios['pixels']:7.2f}"
            f"{seconds['voi-lut'] * 1e3:10.0f}{seconds['gsps'] * 1e3:8.0f}"
            + ("" if ratios["pixels"] <= limit else f"   above {limit}")
        )


def against(folder: Path, rounds: int, names: list[str], checkout: Path) -> None:
    """The same deliveries by this checkout and another one, in turn: what else the machine does hits both."""
    print(f"\n{ROWS} × {COLUMNS}, {rounds} rounds, processor time against {checkout}; ms\n")
    print(f"{'source':20}{'delivery':10}{'there':>8}{'here':>8}{'ratio':>7}{'no gate':>9}{'read-back':>11}")
    ways = [(name, deliver) for name in names for deliver in ("pixels", "voi-lut")]
    for name, deliver in [*ways, ("png", "pixels")]:
        stored = pixels(rows=ROWS, columns=COLUMNS)
        path = folder / (f"{name}.png" if name == "png" else f"{name}.dcm")
        if name == "png":
            Image.fromarray(stored).save(path)
        else:
            write(encoded(radiograph(stored), LOSSLESS[name]), path)
        runs = [(checkout, ""), (HERE, ""), (checkout, "gate"), (HERE, "gate"), (HERE, "read-back")]
        servers = [_server(root, path, folder / f"out-{i}", deliver, without) for i, (root, without) in enumerate(runs)]
        seconds = np.array([[_next(server) for server in servers] for _ in range(rounds + 1)])[1:]
        for server in servers:
            server.communicate()
        there, here = np.median(seconds[:, :2], axis=0) * 1e3
        pairs = ((1, 0), (3, 2), (1, 4))
        whole, no_gate, read_back = (float(np.median(seconds[:, a] / seconds[:, b])) for a, b in pairs)
        above = "   above 1.15" if whole > 1.15 and name in NATIVE else ""
        print(
            f"{name:20}{deliver:10}{there:8.0f}{here:8.0f}{whole:7.2f}{no_gate:9.2f}{read_back:11.2f}{above}",
            flush=True,
        )


def _server(root: Path, *arguments: object) -> subprocess.Popen[str]:
    script = script_in(root, "one_delivery.py", *arguments)
    return subprocess.Popen(**script, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def _next(server: subprocess.Popen[str]) -> float:
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write("\n")
    server.stdin.flush()
    return float(server.stdout.readline())


def two_processes(folder: Path, images: int = 24) -> None:
    """The whole of `apply` on JPEG 2000, start of the processes included."""
    source = folder / "many"
    source.mkdir()
    ds = encoded(radiograph(pixels(rows=1664, columns=1280)), LOSSLESS["jpeg-2000"])
    for number in range(images):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = UID(f"1.2.3.{number}")
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


def networks(fitted: Path | None) -> dict[str, GDCE]:
    if fitted is not None:
        mappers = {domain: scanner.mapper for domain, scanner in ToneCurveHarmonizer.load(fitted).scanners.items()}
        return {domain: mapper.network for domain, mapper in mappers.items() if isinstance(mapper, GDCEMapper)}
    made = {}
    for input_size in (64, 256):
        torch.manual_seed(0)
        network = GDCE(input_size=input_size).eval()
        with torch.no_grad():
            for layer in network.modules():
                if isinstance(layer, torch.nn.Conv2d):
                    layer.weight *= 3.5
        made[f"random, sees {input_size}"] = network
    return made


def per_image_curves(folder: Path, rounds: int, fitted: Path | None) -> None:
    """Presentation states by a network: reduced against full decode, and what the coefficients make of it."""
    torch.set_num_threads(1)
    paths = {}
    for name in ("jpeg-2000", "jpeg-2000-lossy", "htj2k"):
        ds = encoded(radiograph(pixels(rows=ROWS, columns=COLUMNS)), (LOSSLESS | LOSSY)[name])
        paths[f"{name}, {ROWS} × {COLUMNS}"] = write(ds, folder / f"{name}.dcm")
    real = Path(__file__).parents[2] / "shared" / "data" / "dicom"
    paths |= {path.stem: path for path in sorted(real.glob("*_J2K?.dcm"))}
    print(f"\npresentation states by a network, JPEG 2000, {rounds} rounds, medians; ms\n")
    print(f"{'image':32}{'network':24}{'full':>8}{'reduced':>9}{'ratio':>7}{'1 /':>5}{'coefficients differ by':>24}")
    for image, path in paths.items():
        for name, network in networks(fitted).items():
            harmonizer = ToneCurveHarmonizer("reference", "any", method="gdce")
            harmonizer.scanners = {"any": FittedScanner(GDCEMapper(network))}
            job = Job(path, "any", "state.dcm", "key")
            changes = Trial(harmonizer)(job)
            reduced = agreed([(job, changes)])
            if not reduced:
                tried = ", ".join(f"{change:.1e}" for change in changes.values())
                print(f"{image:32}{name:24}{'decoded whole; coefficients differ by':>47} {tried}")
                continue
            finer = reduced["any"]
            small = read_for_curve(harmonizer, job, finer=finer)
            ways = {
                "full": partial(Survey(harmonizer), job),
                "reduced": partial(Survey(harmonizer, reduced=reduced), job),
            }
            seconds, ratios = medians(ways, rounds)
            print(
                f"{image:32}{name:24}{seconds['full'] * 1e3:8.0f}{seconds['reduced'] * 1e3:9.0f}"
                f"{ratios['reduced']:7.2f}{small.step:5}{changes[finer]:>24.1e}"
            )


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
        subprocess.run([sys.executable, "-m", "benchmarks.dicom", "--memory", str(path)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--only", choices=["memory", "processes", "syntax", "network"])
    parser.add_argument("--syntax", action="append", choices=list(LOSSLESS))
    parser.add_argument("--network", type=Path)
    parser.add_argument("--memory", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--against", type=Path, metavar="CHECKOUT")
    options = parser.parse_args()
    np.seterr(all="raise")
    if options.memory is not None:
        peak_memory(options.memory)
        return
    folder = Path(tempfile.mkdtemp())
    try:
        if options.against is not None:
            against(folder, options.rounds, options.syntax or ["explicit", "jpeg-ls"], options.against)
            return
        if options.only in (None, "memory"):
            memory(folder)
        if options.only in (None, "processes"):
            two_processes(folder)
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {next(iter(os.sched_getaffinity(0)))})
        if options.only in (None, "syntax"):
            by_syntax(folder, options.rounds, options.syntax or list(LOSSLESS))
        if options.only in (None, "network"):
            per_image_curves(folder, options.rounds, options.network)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()

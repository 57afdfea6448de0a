"""Does a fit survive what strangers' images contain? Exports, frames and marks on the phantom, where truth is known.

Reference and source are phantom scanners; one side's images, all of them, every other or one in ten, are exported to
8 bits, coded as JPEG, collimated, framed, written on, or cropped until no air is left. The fit is the one of
`isotone fit --method scanner` without labels and without a classifier. The error of its curve is the mean absolute
difference from the true one, in the unit range, over the grey levels that the source's clean images occupy (0.5th to
99.5th percentile): evenly over that range, and over the pixels.

    python -m benchmarks.strangers [--quick] [--size 128] [--seeds 0 1] [--only KIND ...] [--shares SHARE ...]
        [--output FILE.json]
    python -m benchmarks.strangers --table FILE.json     # the table of docs/results_strangers.md
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from isotone._runtime.files import write_text
from isotone.data.phantom.anatomy import CLASSES, FIELD_MM, Anatomy, draw_breast
from isotone.data.phantom.scanners import ALDER, BIRCH, CEDAR, Scanner, reference_presentation
from isotone.data.sample import Sample
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings

Floats = NDArray[np.float64]
Rng = np.random.Generator

HERE = Path(__file__).resolve().parent
REFERENCE = dict.fromkeys(CLASSES, 15)
SOURCE = {"B": 22, "C": 22}
"""Patients of each class, one image each: as in the phantom cohort, the source lacks A and D."""
SHARES = {"all": 1, "half": 2, "a tenth": 10}
"""Every how many images are touched."""
LIMIT, RATIO = 0.02, 1.5
"""An error is good enough below the first, or below the second times that of clean images."""


def jpeg(quality: int) -> Callable[[Floats, Rng], Floats]:
    def coded(grey: Floats, rng: Rng) -> Floats:
        file = io.BytesIO()
        Pillow.fromarray(np.rint(255 * grey).astype(np.uint8)).save(file, "JPEG", quality=quality)
        return np.asarray(Pillow.open(file), np.float64) / 255

    return coded


def eight_bits(grey: Floats, rng: Rng) -> Floats:
    return np.asarray(np.rint(255 * grey) / 255)


def border(level: float, noise: float = 0.0) -> Callable[[Floats, Rng], Floats]:
    """On one to four sides, 5 to 25 % of the image in all along each axis."""

    def framed(grey: Floats, rng: Rng) -> Floats:
        out = np.ones(grey.shape, bool)
        sides = rng.random(4) < 0.7
        sides[rng.integers(4)] = True
        top, bottom, left, right = np.rint(sides * rng.uniform(0.05, 0.25, 4) * np.repeat(grey.shape, 2)).astype(int)
        out[top : grey.shape[0] - bottom, left : grey.shape[1] - right] = False
        return np.where(out, level + rng.normal(0, noise, grey.shape) if noise else level, grey)

    return framed


def shutter(kind: str, level: float = 0.0) -> Callable[[Floats, Rng], Floats]:
    """Outside an ellipse, or outside four lines that run obliquely."""

    def shut(grey: Floats, rng: Rng) -> Floats:
        rows, columns = grey.shape
        y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
        if kind == "round":
            inside = (x / rng.uniform(0.95, 1.2)) ** 2 + (y / rng.uniform(0.95, 1.2)) ** 2 < 1
        else:
            angle = rng.uniform(-0.2, 0.2)
            u, v = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
            inside = (np.abs(u) < rng.uniform(0.7, 1.0)) & (np.abs(v) < rng.uniform(0.7, 1.0))
        return np.where(inside, grey, level)

    return shut


def _written(shape: tuple[int, int], rng: Rng, text: str, size: int, place: tuple[float, float]) -> Floats:
    """Coverage of each pixel by letters, in [0, 1]."""
    sheet = Pillow.new("L", shape[::-1])
    at = place[1] * shape[1], place[0] * shape[0]
    ImageDraw.Draw(sheet).text(at, text, 255, ImageFont.load_default(size=size))
    return np.asarray(sheet, np.float64) / 255


def letters(level: float) -> Callable[[Floats, Rng], Floats]:
    """Two lines of text, anywhere in the image."""

    def written(grey: Floats, rng: Rng) -> Floats:
        for text in ("HOSPITAL 4711", "12-03-2019 RCC"):
            place = rng.uniform(0.02, 0.85), rng.uniform(0.0, 0.4)
            cover = _written(grey.shape, rng, text, max(9, grey.shape[0] // 14), place)
            grey = grey + cover * (level - grey)
        return grey

    return written


def lead_marker(grey: Floats, rng: Rng) -> Floats:
    """A letter as opaque as the detector can tell, slightly noisy, and the clip it sits in."""
    size = grey.shape[0] // 6
    place = rng.uniform(0.05, 0.75), rng.uniform(0.05, 0.75)
    cover = _written(grey.shape, rng, "LR"[rng.integers(2)], size, place)
    return np.asarray(grey + cover * (1 - rng.uniform(0, 0.01, grey.shape) - grey))


def film_label(where: str) -> Callable[[Floats, Rng], Floats]:
    """A bright plate with dark letters: in a corner, or anywhere."""

    def labelled(grey: Floats, rng: Rng) -> Floats:
        height, width = grey.shape[0] // 7, grey.shape[1] // 2
        rows, columns = grey.shape[0] - height, grey.shape[1] - width
        top, left = rng.choice([0, rows]), rng.choice([0, columns])
        if where == "anywhere":
            top, left = rng.integers(rows), rng.integers(columns)
        plate = np.zeros(grey.shape, bool)
        plate[top : top + height, left : left + width] = True
        place = (top + 2) / grey.shape[0], (left + 2) / grey.shape[1]
        cover = _written(grey.shape, rng, "CC R 0815", max(8, height // 2), place)
        return np.asarray(np.where(plate, 0.97 * (1 - cover) + 0.1 * cover, grey))

    return labelled


KINDS: dict[str, Callable[[Floats, Rng], Floats]] = {
    "8 bits": eight_bits,
    "JPEG 90": jpeg(90),
    "JPEG 50": jpeg(50),
    "black border": border(0.0),
    "black border, noisy": border(0.01, 0.004),
    "white border": border(1.0),
    "white border, noisy": border(0.99, 0.004),
    "grey border": border(0.3),
    "round shutter": shutter("round"),
    "round shutter, white": shutter("round", 1.0),
    "oblique shutter": shutter("oblique"),
    "oblique shutter, white": shutter("oblique", 1.0),
    "letters, white": letters(1.0),
    "letters, grey": letters(0.3),
    "lead marker": lead_marker,
    "film label": film_label("corner"),
    "film label, anywhere": film_label("anywhere"),
    "border and letters, 8 bits": lambda grey, rng: eight_bits(letters(1.0)(border(0.0)(grey, rng), rng), rng),
    "border, JPEG 75": lambda grey, rng: jpeg(75)(border(0.0)(grey, rng), rng),
}
NO_AIR = "no air"
CLEAN = "clean"


@dataclass(frozen=True, eq=False)
class Exposure:
    """An image before any scanner wrote it, and the part of it that lies within the breast."""

    grey: Floats
    inner: Floats
    label: str
    patient: str


@cache
def exposures(seed: int, side: str, size: int) -> tuple[Exposure, ...]:
    made = []
    for label, count in (REFERENCE if side == "reference" else SOURCE).items():
        for number in range(count):
            rng = np.random.default_rng([seed, side == "source", CLASSES.index(label), number])
            anatomy, laterality = Anatomy.draw(rng, label), "LR"[rng.integers(2)]
            grey, inner = (
                reference_presentation(draw_breast(rng, anatomy, size, laterality=laterality, field_mm=field))
                for field in (FIELD_MM, 0.9 * min(anatomy.half_height, anatomy.depth))
            )
            made.append(Exposure(grey, inner, label, f"{side} {label}{number}"))
    order = np.random.default_rng(seed).permutation(len(made))
    return tuple(made[i] for i in order)


def samples(seed: int, side: str, scanner: Scanner, size: int, kind: str, every: int) -> list[Sample]:
    found = []
    for number, exposure in enumerate(exposures(seed, side, size)):
        touched = kind != CLEAN and number % every == 0
        shown = np.clip(scanner.response(exposure.inner if touched and kind == NO_AIR else exposure.grey), 0, 1)
        steps = 2**scanner.bits - 1
        stored = np.rint(shown * steps) / steps
        if touched and kind in KINDS:
            # Exports, marks and frames are made of what the scanner stored.
            stored = np.clip(KINDS[kind](stored, np.random.default_rng([seed, 99, number])), 0, 1)
            steps = 255 if "8 bits" in kind or "JPEG" in kind else steps
            stored = np.rint(stored * steps) / steps
        pixels = np.rint(stored * 65535).astype(np.uint16)
        label = exposure.label if side == "reference" else None
        split = "val" if number % 4 == 0 else "train"
        found.append(Sample(pixels, np.ones(pixels.shape, bool), None, label, exposure.patient, side, split))
    return found


def cell(job: tuple[int, str, int, str, str, str]) -> dict[str, Any]:
    seed, scanner_name, size, kind, side, share = job
    scanner = {s.manufacturer: s for s in (BIRCH, CEDAR)}[scanner_name]
    touched = {"source": CLEAN, "reference": CLEAN} | ({side: kind} if side in ("source", "reference") else {})
    every = SHARES.get(share, 1)
    source = samples(seed, "source", scanner, size, touched["source"], every)
    reference = samples(seed, "reference", ALDER, size, touched["reference"], every)
    clean = np.concatenate([s.pixels.ravel() for s in samples(seed, "source", scanner, size, CLEAN, 1)]) / 65535
    low, high = np.quantile(clean, [0.005, 0.995])
    grid, pixels = np.linspace(low, high, 513), np.quantile(clean, np.linspace(0.005, 0.995, 513))
    try:
        known = ReferenceModel(reference)
        fit = fit_source(source, known, FitOptions(settings=ScannerSettings(resamples=0)))
    except Exception as error:  # a refusal is a result
        return dict(zip(JOB, job, strict=True)) | {"error": None, "refused": repr(error)}
    curve, report = fit.curves[0], fit.report
    return dict(zip(JOB, job, strict=True)) | {
        "error": float(np.abs(curve(grid) - scanner.undo(grid)).mean()),
        "by_pixel": float(np.abs(curve(pixels) - scanner.undo(pixels)).mean()),
        "warnings": [w.split()[0] for w in report.warnings],
        "odd": len(source) - len(fit.images),
        "air": known.air,
        **{k: getattr(report, k) for k in ("mix", "window", "mismatch", "mismatch_limit", "variance", "air_share")},
    }


JOB = ("seed", "scanner", "size", "kind", "side", "share")


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    kinds = options.only or [*KINDS, NO_AIR]
    shares = ("all",) if options.quick else tuple(options.shares)
    scanners = ("Birch", "Cedar")
    jobs = [(s, n, options.size, CLEAN, "", "") for s, n in product(options.seeds, scanners)]
    jobs += [
        (s, n, options.size, *rest)
        for rest in product(kinds, ("source", "reference"), shares)
        for s, n in product(options.seeds, scanners)
    ]
    with ProcessPoolExecutor(options.workers) as pool:
        found = []
        for row in pool.map(cell, jobs, chunksize=2):
            found.append(row)
            if options.verbose:
                print({k: v for k, v in row.items() if k != "size"}, file=sys.stderr, flush=True)
    return found


def table(rows: list[dict[str, Any]]) -> str:
    clean = {(r["seed"], r["scanner"]): r for r in rows if r["kind"] == CLEAN}
    base = np.mean([r["error"] for r in clean.values()]), np.mean([r["by_pixel"] for r in clean.values()])
    warned = sorted({w for r in clean.values() for w in r["warnings"]})
    lines = [
        f"Clean images: {base[0]:.4f} over the range, {base[1]:.4f} over the pixels, "
        f"at most {max(r['error'] for r in clean.values()):.4f}; warnings: {', '.join(warned) or 'none'}.",
        "",
        "| kind | side | images | error | over pixels | worst | good enough | warnings |",
        "|---|---|---|---|---|---|---|---|",
    ]
    cells: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for r in rows:
        if r["kind"] != CLEAN:
            cells.setdefault((r["kind"], r["side"], r["share"]), []).append(r)
    for key, own in cells.items():
        good = [r for r in own if r["error"] is not None]
        if not good:
            lines.append("| " + " | ".join(key) + f" | refused | | | | {own[0]['refused'][:60]} |")
            continue
        errors = np.array([r["error"] for r in good])
        limits = np.array([max(LIMIT, RATIO * clean[r["seed"], r["scanner"]]["error"]) for r in good])
        pixels = np.mean([r["by_pixel"] for r in good])
        codes = {w: sum(w in r["warnings"] for r in good) for r in good for w in r["warnings"]}
        said = ", ".join(f"{w} {n}/{len(good)}" for w, n in sorted(codes.items()))
        verdict = f"{int((errors <= limits).sum())}/{len(own)}"
        cols = f"{errors.mean():.4f} | {pixels:.4f} | {errors.max():.4f} | {verdict}"
        lines.append("| " + " | ".join(key) + f" | {cols} | {said} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="all images touched, or none")
    parser.add_argument("--shares", nargs="+", choices=list(SHARES), default=list(SHARES), metavar="SHARE")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--only", nargs="+", choices=[*KINDS, NO_AIR], metavar="KIND")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--table", type=Path)
    options = parser.parse_args()
    rows = json.loads(options.table.read_text()) if options.table else run(options)
    if options.output:
        write_text(options.output, json.dumps(rows))
    print(table(rows))


if __name__ == "__main__":
    main()

"""Does a local enhancer trained with the paper's loss move the verdict by patterns that no tone curve can make (§3.2)?

On the phantom, two designs are trained as GDCE is, by the same loss, schedule and images: a residual U-Net, and Eq. 1
with a coefficient for each pixel (Zero-DCE, the paper's [11]). What each makes of a test image is split into tone, the
monotone curve of that image's grey levels that comes closest to it, and pattern, the rest. The classifier sees the
image, the whole change, its tone alone and its pattern alone; so does a second classifier, of another architecture,
which took no part in the training. If the claim holds, the pattern moves the first and not the second.

    python -m benchmarks.local_enhancer FOLDER [--seeds 0 1]      # resumes; `--table` prints what there is

64 px; the folder gets a picture of two images for each scanner. docs/results_local.md has the table.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import isotonic_regression
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks import residual_net
from isotone import Classifier, GDCESettings, TrainSettings, make_phantom
from isotone._runtime.files import write_text
from isotone._runtime.run_options import RunOptions
from isotone.curves.stages import apply_steps
from isotone.data.phantom.scanners import ALDER, BIRCH, DOGWOOD
from isotone.data.sample import Sample, load_samples
from isotone.evaluation.bootstrap import interval, patient_weights
from isotone.evaluation.metrics import macro_auc
from isotone.networks.enhancer import PixelEnhancer
from isotone.networks.gdce import GDCE
from isotone.networks.prepare import Prepare
from isotone.networks.training.fit_gdce import fit_by_task
from isotone.networks.training.loop import seeded
from isotone.networks.training.train import fit_classifier, fit_network

SIZE = 64
RATES = (1e-3, 3e-4)
"""Each network is trained at both until its validation stops improving; the better on validation is kept."""
SETTINGS = GDCESettings.quick(input_size=SIZE // 2)
TRAINING = TrainSettings.small(image_size=SIZE, batch_size=16)
CLASSES = ("A", "B", "C", "D")
SHOWN, GAIN = ("B", "D"), 4
"""Classes of the two images in the picture, and how often a pattern's contrast is raised there."""

Grey = NDArray[np.float32]


class CurveOfEachPixel(nn.Module):
    """Eq. 1 with coefficients of their own for every pixel: Zero-DCE (Guo et al., CVPR 2020), small."""

    def __init__(self, width: int = 16, steps: int = 8) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(1, width, 3, padding=1)])
        self.layers.extend(nn.Conv2d(width, width, 3, padding=1) for _ in range(2))
        self.last = nn.Conv2d(2 * width, steps, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        x = first = F.relu(self.layers[0](images))
        for layer in self.layers[1:]:
            x = F.relu(layer(x))
        alphas = self.last(torch.cat([first, x], 1)).tanh()
        enhanced: Tensor = apply_steps(images, alphas.transpose(0, 1)[:, :, None])
        return enhanced


DESIGNS: dict[str, Callable[[], nn.Module]] = {
    "GDCE": lambda: GDCE(SETTINGS.num_layers, SETTINGS.num_iterations, SETTINGS.input_size),
    "U-Net": PixelEnhancer,
    "a curve for each pixel": CurveOfEachPixel,
}


@dataclass(frozen=True, eq=False)
class Bench:
    """One cohort and its two classifiers of the same reference images."""

    samples: list[Sample]
    first: Classifier
    second: Classifier

    def of(self, domain: str, split: str) -> list[Sample]:
        """The images of one scanner and split."""
        return [s for s in self.samples if s.domain == domain and s.split == split]


def set_up(here: Path, seed: int) -> Bench:
    """Draw the cohort and train both classifiers, as far as they are not there."""
    manifest = make_phantom(here / "cohort", patients=360, size=2 * SIZE, seed=seed, quiet=True, force=True)
    manifest = manifest.select(domains=[ALDER.domain, BIRCH.domain, DOGWOOD.domain])
    samples, _ = load_samples(list(manifest), Prepare(SIZE), quiet=True)
    train, val = ([s for s in samples if s.domain == ALDER.domain and s.split == part] for part in ("train", "val"))
    if not (here / "first" / "config.json").exists():
        fit_classifier(train, val, TRAINING, seed=seed, quiet=True).save(here / "first")
    if not (here / "second" / "config.json").exists():
        with seeded(seed, 0):
            module = residual_net.build_four()
        known: dict[str, Any] = {"classes": CLASSES, "image_size": SIZE, "channels": 1}
        classifier = Classifier.from_module(module, **known, backbone="benchmarks.residual_net:build_four")
        fit_network(classifier, train, val, TRAINING, seed=seed, quiet=True).save(here / "second")
    second = Classifier.load(here / "second", allow_code="benchmarks.residual_net:build_four")
    return Bench(samples, Classifier.load(here / "first"), second)


def fitted(bench: Bench, domain: str, name: str, seed: int) -> tuple[nn.Module, str]:
    """A design trained at both rates, the better on validation; and how it was trained."""
    parts = bench.of(domain, "train"), bench.of(ALDER.domain, "train"), bench.of(domain, "val")
    found = []
    for rate in RATES:
        with seeded(seed, 0):
            network = DESIGNS[name]()
        settings = SETTINGS.model_copy(update={"learning_rate": rate})
        rows = fit_by_task(network, parts, bench.first, settings, run=RunOptions(seed=seed, quiet=True))
        kept = next(row for row in rows if row["kept"])
        said = f"{rate:g}: epoch {kept['epoch'] + 1:.0f} of {len(rows)}, {kept['val_loss']:.2f}"
        found.append((kept["val_loss"], said, network.eval()))
    best = min(found, key=lambda each: each[0])
    return best[2], "; ".join(said for _, said, _ in found)


def tone_of(image: Grey, changed: Grey) -> Grey:
    """The monotone function of the image's grey levels that comes closest to what it was changed to (least squares)."""
    _, place, counts = np.unique(image, return_inverse=True, return_counts=True)
    means = np.bincount(place.ravel(), changed.ravel()) / counts
    curve = isotonic_regression(means, weights=counts).x
    return np.asarray(curve[place].reshape(image.shape), np.float32)


def measured(bench: Bench, domain: str, network: nn.Module) -> tuple[dict[str, Any], dict[str, Grey]]:
    """Both classifiers on the image, the whole change, its tone and its pattern; and the images."""
    test = bench.of(domain, "test")
    images = np.stack([np.asarray(s.prepared) for s in test])
    with torch.no_grad():
        whole = torch.cat([network(part) for part in torch.split(torch.from_numpy(images)[:, None], 64)])[:, 0].numpy()
    tone = np.stack([tone_of(image, changed) for image, changed in zip(images, whole, strict=True)])
    pattern = whole - tone
    shown = {"none": images, "whole": whole, "tone": tone, "pattern": np.clip(images + pattern, 0, 1)}
    result: dict[str, Any] = {"pattern_rms": float(np.sqrt((pattern**2).mean())), "auc": {}, "moved": {}}
    numbers = np.array([CLASSES.index(s.label or "") for s in test])
    weights = np.concatenate(
        [np.ones((1, len(test)), np.uint16), patient_weights([s.patient for s in test], draws=1000)]
    )
    for name, classifier in (("first", bench.first), ("second", bench.second)):
        said = {way: classifier.predict(grey) for way, grey in shown.items()}
        areas = {way: macro_auc(numbers, p.astype(np.float64), weights) for way, p in said.items()}
        areas["whole - tone"] = areas["whole"] - areas["tone"]
        result["auc"][name] = {way: [a[0], *(interval(a[1:]) or (np.nan, np.nan))] for way, a in areas.items()}
        verdicts = {way: p.argmax(1) for way, p in said.items()}
        moved = verdicts["whole"] != verdicts["tone"]
        result["moved"][name] = [
            float(moved.mean()),
            float((moved & (verdicts["whole"] == numbers)).mean()),
            float((moved & (verdicts["tone"] == numbers)).mean()),
        ]
    return result, shown | {"raw pattern": pattern}


def picture(bench: Bench, domain: str, shown: dict[str, dict[str, Grey]], path: Path) -> None:
    """Two test images, one row each: the image, then by design the whole change, its tone, its pattern."""
    labels = [s.label for s in bench.of(domain, "test")]
    rows = []
    for label in SHOWN:
        k = labels.index(label)
        tiles = [shown["GDCE"]["none"][k]]
        for name, ways in shown.items():
            tiles += [ways["whole"][k]]
            if name != "GDCE":
                tiles += [ways["tone"][k], np.clip(0.5 + GAIN * ways["raw pattern"][k], 0, 1)]
        rows.append(np.concatenate(tiles, axis=1))
    grey = (255 * np.concatenate(rows)).round().astype(np.uint8)
    Image.fromarray(grey).resize((2 * grey.shape[1], 2 * grey.shape[0]), Image.Resampling.NEAREST).save(
        path, optimize=True
    )


def run(folder: Path, seed: int, domain: str) -> None:
    """All designs on one scanner; a finished one is not run again."""
    here = folder / f"seed-{seed}"
    result = here / f"{domain.split()[0].lower()}.json"
    if result.exists():
        return
    bench, found, shown = set_up(here, seed), {}, {}
    for name in DESIGNS:
        network, how = fitted(bench, domain, name, seed)
        found[name], shown[name] = measured(bench, domain, network)
        found[name]["training"] = how
        print(f"seed {seed}, {domain}, {name}: {how}", flush=True)
    picture(bench, domain, shown, result.with_suffix(".png"))
    write_text(result, json.dumps(found, indent=1) + "\n")


def table(folder: Path) -> None:
    """Markdown: what each classifier says of the whole change, its tone and its pattern."""
    print("| seed, scanner | design | classifier | none | whole | tone alone | pattern alone | whole − tone | moved |")
    print("|---" * 9 + "|")
    for path in sorted(folder.glob("seed-*/*.json")):
        for name, found in json.loads(path.read_text(encoding="utf-8")).items():
            for which, areas in found["auc"].items():
                cells = [f"{areas[way][0]:.2f}" for way in ("none", "whole", "tone", "pattern")]
                off, low, high = areas["whole - tone"]
                moved = ", ".join(f"{100 * share:.0f} %" for share in found["moved"][which])
                where = f"{path.parent.name[5:]}, {path.stem.capitalize()}"
                print(f"| {where} | {name} | {which} | " + " | ".join(cells), end=" | ")
                print(f"{off:+.2f} [{low:+.2f}, {high:+.2f}] | {moved} |")
            print(f"<!-- {name}: pattern {255 * found['pattern_rms']:.1f} of 255; {found['training']} -->")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--table", action="store_true", help="print, run nothing")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    for seed in () if options.table else options.seeds:
        for scanner in (DOGWOOD, BIRCH):
            run(options.folder, seed, scanner.domain)
    table(options.folder)


if __name__ == "__main__":
    main()

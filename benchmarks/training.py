"""How fast an epoch's batches come at 512 px: decoded in every epoch, or decoded once and mapped from disk.

    OMP_NUM_THREADS=1 python -m benchmarks.training [--folder DIR] [--nih DIR] [--rounds N]

Wanted: at least 5 times as fast from the cache as decoding in every epoch with one worker. Both ways deliver the same
tensors in the same order, from files that the system holds in memory. The phantom, 120 DICOM images of 1024 px, is
drawn once into DIR (default: benchmarks/out/training); real images, the first 120 PNG files of --nih (default:
../shared/data/nih), join where they are. Beside it: the whole epoch, by network and precision.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import Tensor

from benchmarks.paired import medians
from isotone import Manifest, TrainSettings, make_phantom
from isotone.data.images import map_images
from isotone.data.manifests.manifest import Row
from isotone.data.sample import Sample, load_samples
from isotone.networks.prepare import Prepare
from isotone.networks.training.task import Labelled
from isotone.networks.training.train import fit_classifier

SIZE, IMAGES, BATCH = 512, 120, 12


def decoding(rows: Sequence[Row], order: np.ndarray) -> Iterator[Tensor]:
    """The batches of an epoch, every image decoded and resized by one process."""
    chosen = [rows[i] for i in order]
    images = (np.asarray(image) for _, image in map_images(chosen, Prepare(SIZE), workers=1, quiet=True))
    while batch := list(islice(images, BATCH)):
        yield torch.from_numpy(np.stack(batch)).unsqueeze(1)


def mapped(data: Labelled, order: np.ndarray) -> Iterator[Tensor]:
    """The same from the cache, as training has them."""
    for start in range(0, len(order), BATCH):
        yield data.batch(order[start : start + BATCH], torch.device("cpu"))[0]


def compare(name: str, rows: Sequence[Row], rounds: int) -> list[Sample]:
    """Print both times and their ratio."""
    with TemporaryDirectory() as folder:
        start = time.perf_counter()
        samples, refused = load_samples(rows, Prepare(SIZE), workers=1, quiet=True, cache=Path(folder))
        once = time.perf_counter() - start
        assert not refused
        size = sum(path.stat().st_size for path in Path(folder).rglob("*.safetensors"))
        data = Labelled.of(samples, sorted({str(s.label) for s in samples}), name)
        order = np.random.default_rng(0).permutation(len(rows))
        for ours, plain in zip(mapped(data, order), decoding(rows, order), strict=True):
            assert torch.equal(ours, plain)
        ways = {
            "from the cache": lambda: sum(batch.sum() for batch in mapped(data, order)),
            "decoded, one worker": lambda: sum(batch.sum() for batch in decoding(rows, order)),
        }
        seconds, ratios = medians(ways, rounds)
        print(f"{name}: {len(rows)} images, an epoch's batches at {SIZE} px")
        for way, value in seconds.items():
            print(f"  {way:28}{value:8.3f} s")
        print(f"  the cache is {ratios['decoded, one worker']:.1f} times as fast (wanted: 5)")
        print(f"  filling it once: {once:.1f} s, {size / len(rows) / 2**20:.2f} MB per image\n")
        return [replace(s, prepared=np.array(s.prepared)) for s in samples]  # in memory: the folder goes


def whole_epoch(samples: list[Sample], backbone: str, precision: str, images: int) -> None:
    """Print how long one epoch of training takes, validation on two images included."""
    settings = TrainSettings.small(
        backbone=backbone, precision=precision, image_size=SIZE, epochs=1, batch_size=min(BATCH, images // 4)
    )
    halves = [replace(sample, label="ab"[i % 2]) for i, sample in enumerate(samples)]  # as many of either class
    start = time.perf_counter()
    fit_classifier(halves[:images], halves[images : images + 2], settings, quiet=True)
    seconds = time.perf_counter() - start
    print(f"  {backbone:10}{precision:10}{seconds:8.1f} s for {images} images, {seconds / images:.2f} s each")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "out" / "training")
    parser.add_argument("--nih", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "nih")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    phantom = make_phantom(options.folder, patients=IMAGES // 2, size=1024, seed=0, workers=2)
    samples = compare("phantom, DICOM", list(phantom), options.rounds)
    if (options.nih / "manifest.csv").exists():
        compare("NIH, PNG", list(Manifest.read(options.nih / "manifest.csv"))[:IMAGES], options.rounds)
    else:
        print(f"NIH: skipped, {options.nih} is absent\n")
    print(f"one whole epoch at {SIZE} px from the cache, {torch.get_num_threads()} thread(s)")
    whole_epoch(samples, "small", "float32", 96)
    whole_epoch(samples, "small", "mixed", 96)
    whole_epoch(samples, "resnet50", "float32", 16)
    whole_epoch(samples, "resnet50", "mixed", 16)


if __name__ == "__main__":
    main()

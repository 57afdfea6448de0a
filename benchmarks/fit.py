"""How long `fit --method scanner` takes on 800 images of 256 px with the small classifier (target: 60 s, two cores).

    python -m benchmarks.fit [--folder DIR]

The phantom is drawn once into DIR (default: benchmarks/out/fit). The classifier is trained for one epoch: how well it
classifies does not change the time.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import pandas as pd

from isotone import Manifest, ToneCurveHarmonizer, TrainSettings, make_phantom, train_classifier
from isotone.data.phantom.scanners import ALDER, BIRCH

IMAGES = 800


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(__file__).parent / "out" / "fit")
    folder = parser.parse_args().folder
    workers = os.cpu_count() or 1
    make_phantom(folder, patients=1000, size=256, seed=0, workers=workers)
    table = Manifest.read(folder / "manifest.csv").table
    table = table[table["split"].isin(["train", "val"])]
    source = table[table["domain"] == BIRCH.domain]
    reference = table[table["domain"] == ALDER.domain].groupby("split").sample(frac=1, random_state=0)
    rows = Manifest(pd.concat([source, reference.head(IMAGES - len(source))]))
    print(f"{len(rows)} images: {len(source)} of the source, {len(rows) - len(source)} of the reference")
    classifier = train_classifier(
        Manifest(table), [ALDER.domain], TrainSettings.small(epochs=1), workers=workers, quiet=True
    )
    for labels in ("all", "none"):
        start = time.perf_counter()
        ToneCurveHarmonizer(ALDER.domain, BIRCH.domain).fit(rows, classifier, labels=labels, workers=workers)
        print(f"fit --method scanner --labels {labels}: {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    main()

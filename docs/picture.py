"""Draws docs/images/before-after.png from the demo's folder: an image before, after and as the target, with the AUC.

isotone demo -o demo && python docs/picture.py demo
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from matplotlib.figure import Figure

from isotone import Manifest, ToneCurveHarmonizer, read_radiograph
from isotone.data.phantom.scanners import ALDER, DOGWOOD
from isotone.evaluation.results import Results


def oracle_of(demo: Path, path: Path) -> Path:
    """The same image as the reference would have written it."""
    with (demo / "cohort" / "manifest.csv").open(encoding="utf-8") as table:
        found = {demo / "cohort" / line["path"]: line["oracle_path"] for line in csv.DictReader(table)}
    return demo / "cohort" / found[path]


def main() -> None:
    """Draw the test image of class C that comes first."""
    demo = Path(sys.argv[1])
    results = Results.read(demo / "results.json")
    manifest = Manifest.read(demo / "cohort" / "manifest.csv")
    row = next(r for r in manifest.select(domains=[DOGWOOD.domain], splits=["test"]) if r.label == "C")
    source, oracle = read_radiograph(row.path), read_radiograph(oracle_of(demo, row.path))
    after = ToneCurveHarmonizer.load(demo / "harmonizers" / "tone-curve").transform(source)
    shown = (
        (source, "none", f"before\n{DOGWOOD.domain}, as it comes"),
        (after, "tone-curve", "after\nthe same image behind isotone's curve"),
        (oracle, "oracle", f"target\nas {ALDER.domain} would have written it"),
    )
    figure = Figure(figsize=(9, 4.6), facecolor="white", layout="constrained")
    for axes, (image, method, title) in zip(figure.subplots(1, 3), shown, strict=True):
        axes.imshow(image.pixels, cmap="gray", vmin=0, vmax=1)
        found = results.row(DOGWOOD.domain, method)
        axes.set_title(title, fontsize=10)
        axes.set_xlabel(f"AUC {found.auc:.2f} [{found.auc_ci[0]:.2f}, {found.auc_ci[1]:.2f}]", fontsize=12)
        axes.set_xticks([])
        axes.set_yticks([])
    figure.savefig(Path(__file__).parent / "images" / "before-after.png", dpi=110)


if __name__ == "__main__":
    main()

"""Draws the pictures of docs/gallery.md from the phantom: `python docs/gallery.py FOLDER`.

FOLDER holds the phantom afterwards, and is used as it is where it holds one.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

import isotone
from isotone.curves.notebook import GRID
from isotone.curves.svg import Panel, sheet

PICTURES = Path(__file__).resolve().parent / "images"
REFERENCE = "Alder Mammo One"
BINS = 64


def main(folder: Path) -> None:
    """Pictures before and after, curves beside the true ones, and grey levels."""
    if not (folder / "manifest.csv").exists():
        isotone.make_phantom(folder, patients=72, size=128, quiet=True)
    manifest = isotone.Manifest.read(folder / "manifest.csv")
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))["scanners"]
    sources = [domain for domain in manifest.domains if domain != REFERENCE]
    harmonizer = isotone.ToneCurveHarmonizer(REFERENCE, sources).fit(manifest)
    images = {domain: images_of(manifest, domain) for domain in manifest.domains}
    curves, levels = [], []
    for domain in sources:
        curve = harmonizer.curve(images[domain][0])
        known = truth[domain]["reference_to_source"]
        panel = Panel(domain, "dashed: the true curve", "grey level in", "grey level out")
        curves.append(
            panel.draw(panel.line(GRID, curve(GRID), "curve"), panel.line(known["y"], known["x"], "reference"))
        )
        levels.append(shares(domain, images[domain], harmonizer, images[REFERENCE]))
        save_strip(domain, images[domain][0], harmonizer, images[REFERENCE][0])
    (PICTURES / "gallery-curves.svg").write_text(sheet(curves, len(curves)), encoding="utf-8")
    (PICTURES / "gallery-levels.svg").write_text(sheet(levels, len(levels)), encoding="utf-8")


def images_of(manifest: isotone.Manifest, domain: str) -> list[isotone.Radiograph]:
    """The images of a scanner that the fit does not read."""
    rows = [row for row in manifest if row.domain == domain and row.split == "test"]
    return [isotone.read_radiograph(row.path, domain=domain) for row in rows]


def save_strip(
    domain: str, image: isotone.Radiograph, harmonizer: isotone.ToneCurveHarmonizer, reference: isotone.Radiograph
) -> None:
    """The image before and after its curve, and one of the reference, side by side."""
    three = [image.pixels, harmonizer.transform(image).pixels, reference.pixels]
    rows = min(len(pixels) for pixels in three)
    strip = np.hstack([np.pad(pixels[:rows], ((0, 0), (0, 4)), constant_values=1) for pixels in three])[:, :-4]
    name = f"gallery-{domain.split()[0].lower()}.png"
    picture = Image.fromarray(np.rint(255 * strip).astype(np.uint8))
    picture.resize((2 * picture.width, 2 * picture.height), Image.Resampling.BICUBIC).save(
        PICTURES / name, optimize=True
    )


def shares(
    domain: str,
    images: list[isotone.Radiograph],
    harmonizer: isotone.ToneCurveHarmonizer,
    reference: list[isotone.Radiograph],
) -> str:
    """Shares of grey levels before, after and of the reference; those below 0.02 are left out."""
    ways = {
        "before": [image.pixels for image in images],
        "after": [harmonizer.transform(image).pixels for image in images],
        "reference": [image.pixels for image in reference],
    }
    found = {}
    for name, pixels in ways.items():
        counts, edges = np.histogram(np.concatenate([one.ravel() for one in pixels]), BINS, (0.02, 1))
        found[name] = counts / counts.sum()
    middles = (edges[1:] + edges[:-1]) / 2
    panel = Panel(domain, "dashed: the reference", "grey level", "share of pixels", top=0.12, ticks=False)
    return panel.draw(*(panel.line(middles, np.minimum(share, 0.12), name) for name, share in found.items()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

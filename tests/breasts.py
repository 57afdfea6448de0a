"""Half discs on dark air, as samples: a breast of a class, and the same behind a tone."""

from dataclasses import replace

import numpy as np

from isotone.curves.tone_curve import quantize
from isotone.data.sample import Sample

LEVEL = {"A": 0.3, "B": 0.4, "C": 0.55, "D": 0.7}


def breast(seed: int, label: str) -> Sample:
    """A half disc on dark air: the brighter and blotchier, the higher the class."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:56j, 0:1:44j]
    radius = rng.uniform(0.7, 0.9)
    edge = radius - np.hypot(x, 0.8 * (y - rng.normal(0, 0.05)))
    blobs = np.kron(rng.standard_normal((7, 11)), np.ones((8, 4)))
    tissue = LEVEL[label] * (1 + 0.25 * LEVEL[label] * blobs + rng.normal(0, 0.04)) * np.clip(edge / 0.15, 0, 1) ** 0.3
    pixels = np.where(edge > 0, np.clip(tissue, 0.06, 1), 0.03) + 0.005 * rng.standard_normal(x.shape)
    stored = quantize(np.clip(pixels, 0, 1), 16).astype(np.uint16)
    return Sample(stored, np.ones(x.shape, bool), label=label, patient=str(seed))


def toned(sample: Sample, tone: object) -> Sample:
    table = quantize(np.clip(tone(np.linspace(0, 1, 65536)), 0, 1), 16)  # type: ignore[operator]
    return replace(sample, pixels=table.astype(np.uint16)[sample.pixels])

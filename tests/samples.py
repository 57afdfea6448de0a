"""Samples made in memory: two classes that differ in brightness, and a second scanner that writes them darker."""

import numpy as np

from isotone.data.sample import Sample

SIDE = 32
CLASSES = ("dim", "bright")


def draw_samples(count: int, *, gamma: float = 1.0, seed: int = 0, classes: tuple[str, ...] = CLASSES) -> list[Sample]:
    """Images of a noisy disc on black, brighter for the second class, as a scanner with response x^gamma has them."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    samples = []
    for i in range(count):
        label = classes[i % len(classes)]
        level = 0.35 + 0.25 * CLASSES.index(label) + 0.05 * rng.normal()
        grey = np.where(x**2 + y**2 < 0.16, level + 0.1 * rng.random((SIDE, SIDE)), 0.02).clip(0, 1) ** gamma
        samples.append(
            Sample(
                pixels=np.rint(65535 * grey).astype(np.uint16),
                valid=np.ones((SIDE, SIDE), bool),
                prepared=grey.astype(np.float32),
                label=label,
                patient=f"p{i}",
                domain="Ref One" if gamma == 1 else "Src Two",
            )
        )
    return samples

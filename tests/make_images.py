"""Small images and manifests that tests write by script."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image


def write_png(path: Path, *, response: float = 1.0, level: float = 0.5, seed: int = 0, size: int = 32) -> None:
    """A 16-bit disc on a black ground whose mean grey level is about `level`, through the response x**response."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    disc = x**2 + y**2 < 0.7
    texture = np.clip(level + 0.12 * rng.standard_normal((size, size)), 0.05, 1)
    pixels = np.where(disc, texture, 0.02 + 0.01 * rng.random((size, size)))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.rint(pixels**response * 65535).astype(np.uint16)).save(path)


def write_cohort(folder: Path, *, patients: int = 24, responses: dict[str, float] | None = None) -> Path:
    """PNGs of two classes (dark, bright) on scanners of different responses, with a manifest; its path."""
    rows = []
    for number, (domain, response) in enumerate((responses or {"ref": 1.0, "src": 2.0}).items()):
        for i in range(patients):
            label = "bright" if i % 2 else "dark"
            path = folder / domain / f"{i}.png"
            write_png(path, response=response, level=0.65 if i % 2 else 0.35, seed=1000 * number + i)
            split = ("train", "train", "val", "test")[i // 2 % 4]
            rows.append((f"{domain}/{i}.png", domain, label, f"{domain}-{i}", split))
    pd.DataFrame(rows, columns=["path", "domain", "label", "patient_id", "split"]).to_csv(
        folder / "manifest.csv", index=False
    )
    return folder / "manifest.csv"

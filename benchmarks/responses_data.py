"""The anatomies, responses and populations of `responses.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from isotone.data.manifests.manifest import Manifest
from isotone.data.phantom.anatomy import CLASSES, FIELD_MM, Anatomy, draw_breast
from isotone.data.phantom.scanners import reference_presentation
from isotone.imaging.radiograph import Header, Radiograph
from isotone.imaging.read import read_radiograph

Floats = NDArray[np.float64]
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"

UNSEEN = "bacterial or viral"
"""The task of `unseen.py`, of Kermany's images."""
SIDE = 128
"""Longest side of the images."""
BITS = 12
"""Responses are applied in floating point; then the image is rounded to this depth."""
SMALL_FIELD = (150.0, 185.0)
"""Height of the phantom's smaller field of view, mm."""
WINDOW = (0.70, 0.88)
"""Share of each side that a chest in a smaller field keeps."""


@dataclass(frozen=True, eq=False)
class Image:
    """One image as the reference scanner sees it, before any rounding."""

    grey: Floats
    label: str
    patient: str


def _sigmoid(x: Floats, k: float = 6.0) -> Floats:
    low, high = 1 / (1 + np.exp(k / 2)), 1 / (1 + np.exp(-k / 2))
    return np.asarray((1 / (1 + np.exp(-k * (x - 0.5))) - low) / (high - low))


_GRID = np.linspace(0, 1, 20001)

RESPONSES: dict[str, Callable[[Floats], Floats]] = {
    "gamma 0.4": lambda x: x**0.4,
    "gamma 0.7": lambda x: x**0.7,
    "gamma 1.5": lambda x: x**1.5,
    "gamma 2.5": lambda x: x**2.5,
    "log": lambda x: np.log1p(100 * x) / np.log(101),
    "exp": lambda x: np.expm1(4 * x) / np.expm1(4),
    "sigmoid": _sigmoid,
    "inverse-S": lambda x: np.interp(x, _sigmoid(_GRID), _GRID),
    "narrow, lifted black": lambda x: 0.05 + 0.35 * x**1.4,
    "film": lambda x: 0.03 + 0.93 / (1 + np.exp(-4 * (x - 0.45))) ** 1.3,
    "hard window": lambda x: np.clip((x - 0.15) / 0.55, 0, 1),
}
MIXTURE = "two settings"


def _exposed(x: Floats, number: int) -> Floats:
    return x ** np.exp(0.3 * np.random.default_rng([7, number]).standard_normal())


def _windowed(x: Floats, number: int) -> Floats:
    rng = np.random.default_rng([8, number])
    return np.asarray(rng.uniform(0, 0.12) + rng.uniform(0.6, 0.88) * x)


BY_IMAGE: dict[str, Callable[[Floats, int], Floats]] = {
    MIXTURE: lambda x, number: x ** (0.7 if number % 2 else 1.5),
    "gamma by image": _exposed,
    "offset and gain by image": _windowed,
}
"""Settings that change from image to image."""
CROSSED = ("gamma 0.4", "gamma 2.5", "log", "narrow, lifted black")
"""Responses that are crossed with every population."""
BEYOND = ("noise", "blur", "local contrast", "auto-window")
"""Shifts beyond tone, before the response "log"."""
UNTARGETED = ("hard window", *(name for name in BY_IMAGE if name != MIXTURE))


def beyond_tone(kind: str, grey: Floats, rng: np.random.Generator) -> Floats:
    if kind == "noise":
        return np.clip(grey + rng.normal(0, 0.03, grey.shape), 0, 1)
    if kind == "blur":
        return np.asarray(ndimage.gaussian_filter(grey, 1.2))
    if kind == "local contrast":
        from skimage.exposure import equalize_adapthist

        return np.asarray(equalize_adapthist(grey, kernel_size=SIDE // 4, clip_limit=0.005))
    low, high = np.quantile(grey, [0.01, 0.995])
    return np.clip((grey - low) / max(high - low, 1e-6), 0, 1)


def radiograph(image: Image, response: str, number: int, domain: str) -> Radiograph:
    """The image as a scanner with this response writes it."""
    grey = np.clip(image.grey, 0, 1)
    if response in BEYOND:
        grey = RESPONSES["log"](beyond_tone(response, grey, np.random.default_rng(number)))
    elif response in BY_IMAGE:
        grey = BY_IMAGE[response](grey, number)
    elif response != "none":
        grey = RESPONSES[response](grey)
    stored = np.rint(grey * (2**BITS - 1)).astype(np.uint16)
    rows, columns = stored.shape
    header = Header(path=Path("array"), format="array", domain=domain, bits_stored=BITS, rows=rows, columns=columns)
    return Radiograph(stored, np.linspace(0, 1, 2**BITS), header)


@dataclass(frozen=True, eq=False)
class World:
    """One draw of an anatomy: the reference's images, test images by field of view, and source populations.

    Attributes
    ----------
    populations : dict
        Name → (images to fit on, "test" or "test, small field").
    """

    classes: tuple[str, ...]
    train: list[Image]
    val: list[Image]
    tests: dict[str, list[Image]]
    populations: dict[str, tuple[list[Image], str]]


def make_world(anatomy: str, seed: int, scale: float = 1.0) -> World:
    """`scale` below 1 makes everything smaller, to try the script."""
    return _phantom(seed, scale) if anatomy == "phantom" else _chest(anatomy, seed, scale)


def _draw(number: int, density: str, field: float | tuple[float, float]) -> Image:
    rng = np.random.default_rng([number, CLASSES.index(density)])
    anatomy = Anatomy.draw(rng, density)
    side = "LR"[rng.integers(2)]
    height = field if isinstance(field, float) else float(rng.uniform(*field))
    line = draw_breast(rng, anatomy, SIDE, laterality=side, field_mm=height)
    return Image(reference_presentation(line), density, f"{density}{number}")


def _phantom(seed: int, scale: float) -> World:
    def group(block: int, counts: Mapping[str, int], field: float | tuple[float, float] = FIELD_MM) -> list[Image]:
        start = (100 * seed + block) * 10_000
        return [_draw(start + i, c, field) for c, n in counts.items() for i in range(round(n * scale))]

    each = dict.fromkeys(CLASSES, 50)
    matched = group(10, each)
    return World(
        tuple(CLASSES),
        train=group(1, dict.fromkeys(CLASSES, 160)),
        val=group(2, dict.fromkeys(CLASSES, 50)),
        tests={
            "test": group(3, dict.fromkeys(CLASSES, 60)),
            "test, small field": group(4, dict.fromkeys(CLASSES, 60), SMALL_FIELD),
        },
        populations={
            "matched, 200": (matched, "test"),
            "A and D only": (group(11, {"A": 100, "D": 100}), "test"),
            "B and C only": (group(12, {"B": 100, "C": 100}), "test"),
            "C : D 1 : 3": (group(13, {"C": 50, "D": 150}), "test"),
            "smaller field": (group(14, each, SMALL_FIELD), "test, small field"),
            **_few(matched, seed),
        },
    )


def _few(images: Sequence[Image], seed: int) -> dict[str, tuple[list[Image], str]]:
    order = np.random.default_rng(seed).permutation(len(images))
    return {f"{n} images": ([images[i] for i in order[:n]], "test") for n in (10, 25, 50)}


def _chest(name: str, seed: int, scale: float) -> World:
    table = Manifest.read(SHARED / ("nih" if name == "nih" else "kermany") / "manifest.csv").table
    if name == "nih":
        table = table[table["domain"] == "spacing 0.168"]
    elif name == UNSEEN:
        table = table[table["label"] == "pneumonia"].assign(label=lambda rows: rows["subtype"])
    rng = np.random.default_rng(seed)
    patients = rng.permutation(np.unique(table["patient_id"].to_numpy(str)))
    shares = (0.45, 0.10, 0.22, 0.23) if name == "nih" else (0.3, 0.1, 0.2, 0.4)
    limits = (500, 500, 500, 500) if name == "nih" else (300, 80, 120, 100)
    ends = np.cumsum(np.array(shares) * len(patients)).astype(int)
    parts = np.split(patients, ends[:-1])
    train, val, test, pool = (
        _read(table[table["patient_id"].isin(part)], round(limit * scale), seed)
        for part, limit in zip(parts, limits, strict=True)
    )
    first, second = classes = tuple(sorted(table["label"].unique()))
    few = min(sum(i.label == c for i in pool) for c in classes)
    by_class = {c: [i for i in pool if i.label == c][:few] for c in classes}
    matched = [*by_class[first], *by_class[second]]
    third = max(few // 3, 1)
    return World(
        classes,
        train,
        val,
        tests={"test": test, "test, small field": [_smaller(i, rng) for i in test]},
        populations={
            f"matched, {len(matched)}": (matched, "test"),
            f"{first} : {second} 1 : 3": ([*by_class[first][:third], *by_class[second]], "test"),
            f"{first} only": (by_class[first], "test"),
            "smaller field": ([_smaller(i, rng) for i in matched], "test, small field"),
            **_few(matched, seed),
        },
    )


def _read(table: pd.DataFrame, per_class: int, seed: int) -> list[Image]:
    images = []
    chosen = table.sample(frac=1, random_state=seed).groupby("label").head(per_class).sort_index()
    for path, label, patient in chosen[["path", "label", "patient_id"]].values:
        grey = read_radiograph(path, domain="x").decimated(SIDE).pixels.astype(np.float64)
        images.append(Image(grey, label, patient))
    return images


def _smaller(image: Image, rng: np.random.Generator) -> Image:
    """A window about the middle, as a tighter collimation would leave it."""
    share = rng.uniform(*WINDOW)
    spans = []
    for length in image.grey.shape:
        kept = int(length * share)
        start = int((length - kept) * rng.uniform(0.3, 0.7))
        spans.append(slice(start, start + kept))
    return replace(image, grey=image.grey[tuple(spans)])

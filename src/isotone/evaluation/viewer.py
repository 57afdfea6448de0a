"""A handful of images for the report: which, and what the browser needs to show them."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from isotone.curves.tone_curve import ToneCurve, quantize
from isotone.data.images import map_images
from isotone.errors import IsotoneError
from isotone.evaluation.observations import Material
from isotone.evaluation.predict import Transform, tone_map
from isotone.evaluation.scores import NONE
from isotone.imaging.radiograph import Radiograph

SIDE = 320
"""Longer side in pixels of an image in the report."""
SAMPLES = 257
"""Points of a curve that the browser interpolates."""
MOST = 12
"""Source images at most."""


def choose(material: Material, method: str | None, reference_domains: Sequence[str]) -> dict[int, str]:
    """For each source domain: typical, most helped and the three worst failures of a method; by position, and why."""
    scores, chosen = material.scores, dict[int, str]()
    name = method if method is not None and method in scores.probabilities else NONE
    sources = [d for d in scores.domains if d not in reference_domains]
    for domain in sources:
        inside = np.flatnonzero((scores.domain == domain) & scores.scored(name) & scores.scored(NONE))
        if not len(inside):
            continue
        after, before = (scores.probabilities[m][inside, scores.label[inside]] for m in (name, NONE))
        order = np.argsort(after, kind="stable")
        picks = {
            "typical": order[len(order) // 2],
            "most helped": np.argmax(after - before),
            "worst failure": order[0],
            "second worst": order[min(1, len(order) - 1)],
            "third worst": order[min(2, len(order) - 1)],
        }
        taken: dict[int, str] = {}
        for why, k in picks.items():
            taken.setdefault(int(inside[k]), why)
        chosen |= dict([*taken.items()][: max(1, MOST // len(sources))])
    return chosen


def twin(material: Material, position: int, reference_domains: Sequence[str]) -> int | None:
    """An image of the reference with the same label, as typical as can be; else any of it."""
    scores = material.scores
    reference = np.flatnonzero(np.isin(scores.domain, list(reference_domains)) & scores.scored(NONE))
    alike = reference[scores.label[reference] == scores.label[position]]
    pool = alike if len(alike) else reference
    certain = scores.probabilities[NONE][pool, scores.label[position]]
    return int(pool[np.argsort(certain, kind="stable")[len(pool) // 2]]) if len(pool) else None


@dataclass(frozen=True)
class Show:
    """What the page needs of one image; picklable where the methods are."""

    methods: Mapping[str, Transform]
    with_pixels: bool

    def __call__(self, radiograph: Radiograph) -> dict[str, Any]:
        """Width, height, base64 of little-endian uint16 pixels; per method its curve and its numbers."""
        shown: dict[str, Any] = {"curves": {}, "numbers": {}}
        if self.with_pixels:
            shown |= _pixels(radiograph)
        x = np.linspace(0, 1, SAMPLES)
        for name, method in self.methods.items():
            try:
                result = method.transform(radiograph)
                curve = method.curve(radiograph) if hasattr(method, "curve") else None
            except IsotoneError:
                continue
            if result.stored is radiograph.stored:
                shown["curves"][name] = [round(float(v), 5) for v in tone_map(radiograph, result, x)]
            if isinstance(curve, ToneCurve):
                shown["numbers"][name] = numbers(curve, radiograph.header.bits_stored)
        return shown


def numbers(curve: ToneCurve, bits: int) -> dict[str, str]:
    """The curve and its certificate in words, for images of `bits` bits."""
    proof = curve.certificate(bits_in=bits)
    return {
        "coefficients": ", ".join(f"{a:+.4f}" for a in curve.coefficients) or "none (identity)",
        "other stages": ", ".join(type(s).__name__.lower() for s in curve.stages if not hasattr(s, "alpha")) or "none",
        "slope": f"{proof.min_slope:.3g} to {proof.max_slope:.3g}",
        "strictly monotone": "yes" if proof.strictly_monotone else "no",
        "levels kept": f"{proof.levels_kept} of {2**bits}",
        "undone within": "cannot be undone"
        if np.isnan(proof.inverse_error)
        else f"{proof.inverse_error_levels:.2g} levels",
        "not clipped": f"{proof.unclipped[0]:.3f} to {proof.unclipped[1]:.3f}",
    }


def payload(
    material: Material,
    methods: Mapping[str, Transform],
    method: str | None,
    reference_domains: Sequence[str],
    *,
    with_images: bool,
    workers: int = 1,
) -> dict[str, Any]:
    """Everything the viewer shows, ready for JSON: {"classes", "images", "references"}."""
    chosen = choose(material, method, reference_domains)
    beside = {i: twin(material, i, reference_domains) if with_images else None for i in chosen}
    needed = list(dict.fromkeys([*chosen, *(t for t in beside.values() if t is not None)]))
    rows = [material.images[i].row for i in needed]
    read = map_images(rows, Show(methods, with_images), workers=workers, label="images", quiet=True)
    shown = {i: s for i, (_, s) in zip(needed, read, strict=True) if isinstance(s, dict)}
    references = [t for t in dict.fromkeys(beside.values()) if t is not None and t in shown]
    place: dict[int | None, int] = {t: k for k, t in enumerate(references)}
    images = [
        shown[i] | _described(material, i, why, methods) | {"reference": place.get(beside[i])}
        for i, why in chosen.items()
        if i in shown
    ]
    return {
        "classes": list(material.scores.classes),
        "images": images,
        "references": [
            {k: shown[i][k] for k in ("width", "height", "pixels")} | {"title": _title(material, i)} for i in references
        ],
    }


def _described(material: Material, position: int, why: str, methods: Iterable[str]) -> dict[str, Any]:
    """What an image is, why it is shown, and what the classifier says of it."""
    scores, title = material.scores, f"{_title(material, position)}: {why}"
    said = {
        name: [round(float(p), 3) for p in scores.probabilities[name][position]]
        for name in (NONE, *methods)
        if scores.scored(name)[position]
    }
    domain, label = str(scores.domain[position]), scores.classes[int(scores.label[position])]
    image = str(scores.image[position])
    return {"domain": domain, "label": label, "why": why, "title": title, "said": said, "image": image}


def _title(material: Material, position: int) -> str:
    scores = material.scores
    return f"{scores.domain[position]}, label {scores.classes[int(scores.label[position])]}"


def _pixels(radiograph: Radiograph) -> dict[str, Any]:
    image = Image.fromarray(radiograph.pixels)
    scale = min(1.0, SIDE / max(image.size))
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    small: NDArray[np.float64] = np.asarray(image.resize(size, Image.Resampling.BOX), np.float64).clip(0, 1)
    data = quantize(small, 16).astype("<u2").tobytes()
    return {"width": size[0], "height": size[1], "pixels": base64.b64encode(data).decode()}

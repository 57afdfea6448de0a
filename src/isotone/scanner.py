"""One tone curve for a scanner, from images nobody has paired, in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from isotone.curves import ToneCurve
from isotone.data.sample import Sample
from isotone.errors import UsageError
from isotone.foreground import regions
from isotone.mix import confusion, estimate_mix
from isotone.stages import Affine, Knots
from isotone.transport import GreyLevels, air_share, grey_levels, quantile_map

Floats = NDArray[np.float64]


class _Config(Protocol):
    @property
    def classes(self) -> tuple[str, ...]: ...


class FrozenClassifier(Protocol):
    """What a fit needs of a classifier."""

    @property
    def config(self) -> Any:
        """Has `classes`, a tuple of str."""
        ...

    def predict(self, prepared: NDArray[np.float32]) -> Floats:
        """Probabilities of shape (n, classes) for inputs of shape (n, S, S) in [0, 1]."""
        ...


class ScannerSettings(BaseModel):
    """Settings of `fit_scanner`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_iterations: int = Field(16, ge=2, le=64, description="Steps of the curve, every other one inverse.")
    free: bool = Field(False, description="Keep the free monotone curve instead of projecting it onto steps.")
    rounds: int = Field(6, ge=1, le=50, description="At most so many rounds of match, classify, reweight.")
    resamples: int = Field(200, ge=0, le=5000, description="Bootstrap resamples of patients behind the band.")


@dataclass(frozen=True)
class ScannerFit:
    """A scanner's curve and what is known of the fit.

    Attributes
    ----------
    curve : ToneCurve
        Source domain → reference domain.
    notes : dict
        Ready for JSON: images and patients, class mix and where it comes from, band, projection cost, warnings.
    """

    curve: ToneCurve
    notes: dict[str, Any]


def fit_scanner(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    *,
    classifier: FrozenClassifier | None = None,
    labels: bool = True,
    mix: Mapping[str, float] | None = None,
    settings: ScannerSettings = ScannerSettings(),  # frozen
    seed: int = 0,
) -> ScannerFit:
    """Fit the curve that brings a scanner's grey levels to those of the reference domain.

    Parameters
    ----------
    source, reference : sequence of Sample
        Train and validation images of the source scanner and of the reference domain.
    classifier : Classifier, optional
        Frozen. Tells the class mix where labels do not; its confusion matrix is taken on the reference samples of
        split "val".
    labels : bool
        Whether labels of the source may be read.
    mix : mapping of str to float, optional
        The source's class mix, if you know it; it goes before labels and classifier.
    settings : ScannerSettings
    seed : int
        Of the bootstrap.

    Raises
    ------
    UsageError
        E_DATA: no images on one of the sides, or a stated mix of classes that the reference lacks.
    """
    for samples, name in ((source, "source"), (reference, "reference")):
        if not samples:
            raise UsageError(f"no image of the {name} domain can be used", code="E_DATA")
    parts_s, parts_r = [regions(s) for s in source], [regions(s) for s in reference]
    air = air_share(parts_s, parts_r)
    ours, theirs = grey_levels(source, parts_s, air), grey_levels(reference, parts_r, air)
    wanted = _known_mix(source, labels, mix)
    how = "stated" if mix else "labels" if wanted else "none"
    warnings: list[str] = []
    weights = _reference_weights(reference, wanted, warnings)
    ones = np.ones(len(source))
    mapped = quantile_map(ours, theirs, ones, weights)
    if wanted is None and classifier is not None and all(s.prepared is not None for s in (*source, *reference)):
        how = "classifier"
        for _ in range(settings.rounds):
            new = _classified_mix(source, reference, classifier, _knots(ours.levels, mapped))
            change = 1.0 if wanted is None else max(abs(new[c] - wanted[c]) for c in new)
            wanted = new
            weights = _reference_weights(reference, wanted, warnings)
            mapped = quantile_map(ours, theirs, ones, weights)
            if change < 0.005:
                break
    share = ours.pooled(ones)
    free = _knots(ours.levels, mapped)
    curve = free if settings.free else _project(ours.levels, mapped, share, settings)
    cost = float(np.sqrt(share @ (curve(ours.levels) - mapped) ** 2))
    notes = {
        "method": "scanner",
        "images": len(source),
        "patients": len({s.patient for s in source}),
        "reference_images": len(reference),
        "labels_used": how == "labels",
        "mix": wanted,
        "mix_from": how,
        "air_share": air,
        "projection_rmse_levels_8bit": 255 * cost,
        "clipped_share": _clipped(curve, ours, share),
        "band": _band(source, reference, ours, theirs, weights, settings.resamples, seed),
        "warnings": warnings,
    }
    return ScannerFit(curve, notes)


def _known_mix(source: Sequence[Sample], labels: bool, mix: Mapping[str, float] | None) -> dict[str, float] | None:
    if mix:
        return {c: float(v) / sum(mix.values()) for c, v in mix.items()}
    known = [s.label for s in source if s.label is not None] if labels else []
    return {c: known.count(c) / len(known) for c in sorted(set(known))} if known else None


def _reference_weights(reference: Sequence[Sample], mix: Mapping[str, float] | None, warnings: list[str]) -> Floats:
    """Weights that give the reference images the class mix of the source."""
    if mix is None:
        return np.ones(len(reference))
    counts: dict[str | None, int] = {}
    for s in reference:
        counts[s.label] = counts.get(s.label, 0) + 1
    lacking = [c for c, share in mix.items() if share > 0 and c not in counts]
    if lacking:
        text = f"the reference has no image of class {', '.join(lacking)}; the source's are matched to the rest"
        warnings[:] = [*[w for w in warnings if w != text], text]
    weights = np.array([mix.get(s.label or "", 0.0) / counts[s.label] for s in reference])
    if weights.sum() <= 0:
        raise UsageError("the source and the reference share no class", code="E_DATA")
    return np.asarray(weights / weights.mean())


def _classified_mix(
    source: Sequence[Sample], reference: Sequence[Sample], classifier: FrozenClassifier, curve: ToneCurve
) -> dict[str, float]:
    """The source's class mix by what the classifier says of its images through `curve`."""
    classes = list(classifier.config.classes)
    held_out = [s for s in reference if s.split == "val" and s.label in classes]
    known = held_out or [s for s in reference if s.label in classes]
    true = np.array([classes.index(str(s.label)) for s in known])
    matrix = confusion(_say(known, classifier, ToneCurve()), true, len(classes))
    said = np.bincount(_say(source, classifier, curve), minlength=len(classes)).astype(np.float64)
    present = {s.label for s in reference}
    prior = np.array([float(c in present) for c in classes])
    mix = estimate_mix(said, matrix, prior)
    return {c: float(v) for c, v in zip(classes, mix, strict=True)}


def _say(samples: Sequence[Sample], classifier: FrozenClassifier, curve: ToneCurve) -> NDArray[np.intp]:
    prepared = np.stack([s.prepared for s in samples if s.prepared is not None])
    return np.argmax(classifier.predict(curve(prepared)), axis=1)


def _knots(levels: Floats, mapped: Floats) -> ToneCurve:
    """Straight lines through the points, ends included, slopes kept above zero."""
    x = np.concatenate([[0.0], levels, [1.0]])
    y = np.concatenate([[0.0], mapped, [1.0]])
    keep = np.concatenate([[True], (levels > 1e-6) & (levels < 1 - 1e-6), [True]])
    x, y = x[keep], y[keep]
    y = 1e-4 * x + (1 - 1e-4) * np.maximum.accumulate(y)
    return ToneCurve([Knots(tuple(x.tolist()), tuple(y.tolist()))])


def _project(levels: Floats, mapped: Floats, share: Floats, settings: ScannerSettings) -> ToneCurve:
    """The steps nearest to the free curve; with an affine stage where they cannot do without."""
    plain = ToneCurve.fit(levels, mapped, num_iterations=settings.num_iterations, weights=share)
    error = share @ (plain(levels) - mapped) ** 2
    if error < 0.004**2:
        return plain
    affine = ToneCurve.fit(levels, mapped, num_iterations=settings.num_iterations, weights=share, affine=True)
    better = share @ (affine(levels) - mapped) ** 2
    return affine if better < 0.5 * error else plain


def _clipped(curve: ToneCurve, ours: GreyLevels, share: Floats) -> float:
    if not any(isinstance(stage, Affine) for stage in curve.stages):
        return 0.0
    low, high = curve.unclipped()
    return float(share[(ours.levels < low) | (ours.levels > high)].sum())


def _band(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    ours: GreyLevels,
    theirs: GreyLevels,
    weights: Floats,
    resamples: int,
    seed: int,
) -> dict[str, list[float]]:
    """Pointwise 95 % band of the free curve at given source levels, patients of both scanners resampled."""
    rng = np.random.default_rng(seed)
    at = np.unique(np.linspace(0, len(ours.levels) - 1, 33).astype(int))
    groups = [np.unique([s.patient for s in side], return_inverse=True)[1] for side in (source, reference)]
    curves = []
    for _ in range(resamples):
        counts = [np.bincount(rng.integers(0, g.max() + 1, g.max() + 1), minlength=g.max() + 1)[g] for g in groups]
        draw = counts[1] * weights
        if counts[0].any() and draw.sum() > 0:
            curves.append(quantile_map(ours, theirs, counts[0].astype(np.float64), draw)[at])
    if not curves:
        return {}
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    return {"x": ours.levels[at].tolist(), "low": low.tolist(), "high": high.tolist()}

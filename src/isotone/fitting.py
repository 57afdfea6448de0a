"""From a manifest to the curves of a harmonizer: which rows each method may see, and in what form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from isotone.adaptive import fit_adaptive
from isotone.bank import lean
from isotone.brightness import Brightness, learned
from isotone.data.manifest import Manifest
from isotone.data.sample import Sample, load_samples
from isotone.data.splits import with_splits
from isotone.drift import Drift
from isotone.errors import IsotoneError, UsageError
from isotone.gate import Gate
from isotone.look import look, through
from isotone.mapper import Mapper, ScannerMapper, mapper_of
from isotone.matching import FrozenClassifier
from isotone.presets import find_presets
from isotone.scanner import VARIES, VARY, ScannerFit, ScannerSettings, fit_scanner
from isotone.seen import seen_in
from isotone.views import Described, described

if TYPE_CHECKING:
    from isotone.models.classifier import Classifier
    from isotone.training.run_files import RunFiles


Method = Literal["scanner", "adaptive", "gdce"]
Labels = Literal["all", "none"]
Fit = tuple[Mapper, dict[str, Any]]
"""A scanner's curves, and what the fit says of itself."""


OF_CURVE = ("band", "score_interval", "projection_rmse_levels_8bit", "clipped_share")
"""Notes of a fit that are of its curve."""


@dataclass(frozen=True)
class Fitted:
    """What `fit_mappers` learned, by source domain."""

    mappers: dict[str, Mapper]
    notes: dict[str, dict[str, Any]]
    seen: dict[str, dict[str, dict[str, int]]]
    gates: dict[str, Gate]
    drifts: dict[str, Drift]


def fit_mappers(
    manifest: Manifest,
    reference_domains: Sequence[str],
    source_domains: Sequence[str],
    classifier: Classifier | None,
    *,
    method: Method,
    settings: Any,
    labels: Labels,
    mix: Mapping[str, float] | None,
    seed: int,
    device: str,
    workers: int,
    quiet: bool,
    on_refusal: Callable[[IsotoneError], None] | None,
    files: RunFiles,
) -> Fitted:
    """The work of `ToneCurveHarmonizer.fit`, whose parameters these are."""
    _check(method, classifier, labels, mix)
    rows = with_splits(manifest).select(domains=[*reference_domains, *source_domains])
    samples, refused = load_samples(
        list(rows.select(splits=("train", "val"))),
        None if classifier is None else classifier.prepare,
        workers=workers,
        quiet=quiet,
        cache=files.images if method == "gdce" else None,
    )
    for error in refused:
        if on_refusal is not None:
            on_refusal(error)
    reference = described([s for s in samples if s.domain in reference_domains])
    _enough(reference, "the reference domain", refused)
    sources: dict[str, Described] = {}
    for domain in source_domains:
        own = [s for s in samples if s.domain == domain]
        _enough(own, repr(domain), refused)
        sources[domain] = described([replace(s, label=None) for s in own] if labels == "none" else own)
    level = learned(reference.views, seed)
    if method == "gdce":  # for the gates
        plain = _fit_scanners(sources, reference, None, level, ScannerSettings(resamples=0), None, seed)
    else:
        plain = _fit_scanners(sources, reference, classifier, level, settings or ScannerSettings(), mix, seed)
    found: dict[str, Fit] = {}
    for number, (domain, source) in enumerate(sources.items()):
        if method == "gdce" and classifier is not None:
            run = files.of(str(number))
            found[domain] = _fit_gdce(source, reference, classifier, settings, seed, device, quiet, run)
        else:
            chosen, adaptive = settings or ScannerSettings(), method == "adaptive"
            scanner = plain[domain]
            found[domain] = fit_mapper(source, reference, scanner, level, classifier, chosen, seed, adaptive=adaptive)
    return Fitted(
        {domain: mapper for domain, (mapper, _) in found.items()},
        {domain: notes | {"refused": len(refused)} for domain, (_, notes) in found.items()},
        {domain: seen_in(s.header for s in source if s.header is not None) for domain, source in sources.items()},
        _gates(sources, reference, plain, seed),
        _drifts(sources, reference, plain, level),
    )


def fit_mapper(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    level: Brightness | None,
    classifier: FrozenClassifier | None,
    settings: ScannerSettings,
    seed: int,
    *,
    adaptive: bool = False,
) -> Fit:
    """From a scanner's fit to how its images get their curves: one for each preset, or one for all.

    Parameters
    ----------
    source, reference : Described
    scanner : ScannerFit
        Of these images.
    level : Brightness or None
        Of the reference; without it there is nothing to tell presets by.
    classifier : Classifier or None
        As of `fit_scanner`.
    settings : ScannerSettings
    seed : int
    adaptive : bool
        Whether what its images deviate from those curves is taken back too, as far as a classifier finds that it earns
        its place.
    """
    if level is None:
        return ScannerMapper(scanner.curve), scanner.notes
    presets = find_presets(source, reference, scanner, level, classifier, settings, seed)
    curves, deviation, notes = presets.curves, presets.deviation, dict(scanner.notes)
    if len(curves) > 1:  # what is known of the one curve is not known of theirs
        own = [{name: fit.notes[name] for name in OF_CURVE} for fit in presets.fits]
        notes |= {name: {} for name in ("band", "score_interval")}
        notes["presets"] = [{"images": count} | known for count, known in zip(presets.images, own, strict=True)]
    if adaptive and classifier is not None:
        found = fit_adaptive(source, reference, scanner, presets, level, classifier, seed=seed)
        curves, deviation = found.curves, found.deviation
        notes |= {"method": "adaptive", "adaptive": found.notes}
    if presets.variance < VARIES or deviation.strength:
        notes["warnings"] = [warning for warning in notes["warnings"] if warning != VARY]
    return mapper_of(curves, deviation), notes


def settings_of(method: Method) -> type[BaseModel]:
    """The class of a method's settings; every field is documented and has its default."""
    if method == "gdce":
        from isotone.training.fit_gdce import GDCESettings  # torch

        return GDCESettings
    return ScannerSettings


def _check(method: Method, classifier: Classifier | None, labels: Labels, mix: Mapping[str, float] | None) -> None:
    """Refuse, before an image is read, what cannot be done."""
    if find_spec("sklearn") is None:  # what a fit needs of it is loaded where it is used
        raise IsotoneError("E_EXTRA", "fitting needs scikit-learn")
    if method == "gdce" and (classifier is None or labels == "none"):
        raise UsageError("gdce needs a classifier and source labels", next_step="Use --method scanner.")
    if method == "adaptive" and classifier is None:
        raise UsageError("adaptive needs a classifier", next_step="Use --method scanner, or give --classifier.")
    if not mix:
        return
    if method == "gdce":
        raise UsageError("gdce takes no class mix", next_step="Leave it out, or use --method scanner.")
    if not (all(0 <= share < math.inf for share in mix.values()) and any(mix.values())):
        raise UsageError("a class mix has a share that is negative or no number, or none above 0")


def _enough(samples: Sequence[Sample], name: str, refused: Sequence[IsotoneError]) -> None:
    if len(samples) < 2:
        raise IsotoneError(
            "E_DATA",
            f"{len(samples)} readable train and val images of {name}",
            next_step=f"Give at least two, better 25. First refusal: {refused[0]}"
            if refused
            else "Give at least two, better 25.",
        )


def _gates(
    sources: Mapping[str, Described], reference: Described, plain: Mapping[str, ScannerFit], seed: int
) -> dict[str, Gate]:
    looks = _looks(reference)
    return {
        domain: Gate.fit(
            _looks(source),
            [s.patient for s in source],
            through(looks, plain[domain].curve.inverse()),
            [s.label for s in reference],
            seed,
        )
        for domain, source in sources.items()
    }


def _looks(samples: Described) -> NDArray[np.float64]:
    return np.stack([look(s, parts) for s, parts in zip(samples, samples.parts, strict=True)])


def _drifts(
    sources: Mapping[str, Described],
    reference: Described,
    plain: Mapping[str, ScannerFit],
    level: Brightness | None,
) -> dict[str, Drift]:
    if level is None:
        return {}
    return {domain: Drift.fit(source, reference, plain[domain].curve, level) for domain, source in sources.items()}


def _fit_scanners(
    sources: Mapping[str, Described],
    reference: Described,
    classifier: Classifier | None,
    level: Brightness | None,
    settings: ScannerSettings,
    mix: Mapping[str, float] | None,
    seed: int,
) -> dict[str, ScannerFit]:
    """A curve for every scanner, those with few images leaning on the others."""
    fits = {
        domain: fit_scanner(
            source, reference, classifier=classifier, level=level, mix=mix, settings=settings, seed=seed
        )
        for domain, source in sources.items()
    }
    return lean(fits, settings)


def _fit_gdce(
    source: Described,
    reference: Described,
    classifier: Classifier,
    settings: Any,
    seed: int,
    device: str,
    quiet: bool,
    files: RunFiles,
) -> Fit:
    from isotone.models.gdce_mapper import GDCEMapper
    from isotone.training.fit_gdce import GDCESettings, fit_gdce

    network, log = fit_gdce(
        [s for s in source if s.split == "train"],
        [s for s in reference if s.split == "train"],
        [s for s in source if s.split == "val"],
        classifier,
        settings or GDCESettings(),
        seed=seed,
        device=device,
        quiet=quiet,
        files=files,
    )
    return GDCEMapper(network), {"epochs": log}

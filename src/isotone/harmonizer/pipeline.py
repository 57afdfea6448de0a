"""From a manifest to the curves of a harmonizer: which rows each method may see, and in what form."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pydantic import BaseModel

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.appearance import through
from isotone.data.descriptors.image_set import Described, described
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import Sample, load_samples
from isotone.data.splits import with_splits
from isotone.data.trained_on import VALIDATION, TrainingRecord
from isotone.data.weak_classifier import auc_on, weak_sentence
from isotone.errors import IsotoneError, UsageError
from isotone.estimation.acquisition_modes import Presets, find_presets
from isotone.estimation.comparable import comparable
from isotone.estimation.matching import FrozenClassifier, odd_images
from isotone.estimation.partial_pooling import lean
from isotone.estimation.per_image import fit_adaptive
from isotone.estimation.scanner_curve import VARIES, ScannerFit, ScannerSettings, fit_scanner
from isotone.estimation.tone_model import FEWEST, Brightness, learned
from isotone.harmonizer.mappers import Mapper, ScannerMapper, mapper_of
from isotone.monitoring.header_novelty import mixed, refuse_mixed_intents, seen_in
from isotone.monitoring.novelty import Gate
from isotone.monitoring.response_drift import Drift

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier
    from isotone.networks.training.run_files import RunFiles


Method = Literal["scanner", "adaptive", "gdce"]
Labels = Literal["all", "none"]
Fit = tuple[Mapper, dict[str, Any]]
"""A scanner's curves, and what the fit says of itself."""
Sides = tuple[Described, Described]
"""The images of a source and of the reference."""


OF_CURVE = ("band", "score_interval", "free", "projection_rmse_levels_8bit", "clipped_share")
"""Notes of a fit that are of its curve."""


AIRLESS = 0.1
"""Share of a side's images in which no air is told, unlike the others, from which on that is said."""
ROUNDED = 0.02
"""How far from 1 shares that were rounded may add up to; more hides a class that was forgotten."""


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
    record = getattr(classifier, "trained_on", None)
    samples, refused = load_samples(
        list(rows.select(splits=("train", "val"))),
        None if classifier is None else classifier.prepare,
        workers=workers,
        quiet=quiet,
        cache=files.images if method == "gdce" else None,
        identify=record is not None,
    )
    for error in refused:
        if on_refusal is not None:
            on_refusal(error)
    samples = _with_record(samples, record)
    said = _refuse_or_say_mixed(samples, reference_domains, source_domains)
    reference = described([s for s in samples if s.domain in reference_domains])
    _enough(reference, "the reference domain", refused, FEWEST if method == "adaptive" else 3)
    sources: dict[str, Described] = {}
    for domain in source_domains:
        own = [s for s in samples if s.domain == domain]
        _enough(own, repr(domain), refused, 1)
        sources[domain] = described([replace(s, label=None) for s in own] if labels == "none" else own)
    odd: dict[str, int] = {}
    for domain, source in sources.items() if method != "gdce" else ():
        far = odd_images(source.views_with(reference.air), reference, seed)
        odd[domain] = int(far.sum())
        if far.any():
            sources[domain] = source.only(~far)
    # Grey levels are compared where both sides show the same; what images look like, the gate learns of all of them.
    pairs = {domain: comparable(source, reference, seed) for domain, source in sources.items()}
    once = cache(lambda views: learned(views, seed))
    levels = {domain: once(theirs.views) for domain, (_, theirs) in pairs.items()}
    if method == "gdce":  # for the gates
        asked, chosen = None, ScannerSettings(resamples=0)
    else:
        asked, chosen = classifier, settings or ScannerSettings()
    plain = _fit_scanners(pairs, asked, levels, chosen, mix, seed)
    presets = {
        domain: find_presets(*pair, plain[domain], levels[domain], asked, chosen, seed)
        for domain, pair in pairs.items()
    }
    found: dict[str, Fit] = {}
    for number, (domain, source) in enumerate(sources.items()):
        if method == "gdce" and classifier is not None:
            run = files.of(str(number))
            found[domain] = _fit_gdce(source, reference, classifier, settings, seed, device, quiet, run)
        else:
            adaptive = asked if method == "adaptive" else None
            found[domain] = fit_mapper(*pairs[domain], plain[domain], presets[domain], adaptive, seed)
    return Fitted(
        {domain: mapper for domain, (mapper, _) in found.items()},
        {
            domain: _warned(
                _with_left_out(notes, odd.get(domain, 0), (sources[domain], reference), pairs[domain]), said[domain]
            )
            | {"refused": len(refused)}
            | ({} if classifier is None else _training(sources[domain], reference, classifier, record))
            for domain, (_, notes) in found.items()
        },
        {domain: seen_in(s.header for s in source if s.header is not None) for domain, source in sources.items()},
        {
            domain: fit_gate(sources[domain], reference, [plain[domain].curve] if own is None else own.curves, seed)
            for domain, own in presets.items()
        },
        {
            domain: Drift.fit(sources[domain], pairs[domain][1], own.curves, own.deviation, own.level)
            for domain, own in presets.items()
            if own is not None
        },
    )


def fit_mapper(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    presets: Presets | None,
    adaptive: FrozenClassifier | None,
    seed: int,
) -> Fit:
    """From a scanner's fit to how its images get their curves: one for each preset, or one for all.

    Parameters
    ----------
    source, reference : Described
    scanner : ScannerFit
        Of these images.
    presets : Presets or None
        Of that fit; None: there is nothing to tell them by.
    adaptive : FrozenClassifier or None
        Takes back what images deviate from those curves too, as far as this classifier finds that it earns its place.
    seed : int
    """
    notes = dict(scanner.notes)
    if presets is None:
        return ScannerMapper(scanner.curve), notes
    deviation = presets.deviation
    if adaptive is not None:
        found = fit_adaptive(source, reference, scanner, presets, adaptive, seed=seed)
        presets, deviation = found.presets, found.deviation
        notes |= {"method": "adaptive", "adaptive": found.notes}
    notes |= _of_curves(presets)
    if presets.excess.left(deviation.strength) < VARIES:
        notes["warnings"] = _but_variance(notes["warnings"])
    return mapper_of(presets.curves, deviation), notes


def fit_gate(source: Described, reference: Described, curves: Sequence[ToneCurve], seed: int) -> Gate:
    """What a scanner's images look like, a class that it lacks as the reference's would look on it.

    Parameters
    ----------
    source, reference : Described
    curves : sequence of ToneCurve
        Source → reference, one for each preset.
    seed : int
    """
    air, looks = reference.air, reference.looks_with(reference.air)
    lent = np.concatenate([through(looks, curve.inverse()) for curve in curves])
    # Images of one class behind several presets are several kinds, of which any mix is no difference.
    kinds = [s.label and f"{s.label} {k}" for k in range(len(curves)) for s in reference]
    gate = Gate.fit(source.looks_with(air), [s.patient for s in source], lent, kinds, seed)
    return replace(gate, air=air)


def _with_record(samples: Sequence[Sample], record: TrainingRecord | None) -> list[Sample]:
    """The samples, each told whether the classifier was trained on it. An image that chose an epoch may validate."""
    if record is None:
        return list(samples)
    found = record.holds([s.patient for s in samples], [s.identity for s in samples], VALIDATION)
    return [replace(s, trained=trained) for s, trained in zip(samples, found, strict=True)]


def _training(
    source: Sequence[Sample], reference: Sequence[Sample], classifier: Classifier, record: TrainingRecord | None
) -> dict[str, Any]:
    """What is known of the classifier: the images that it was trained on, and whether it tells its own classes."""
    held_out = [s for s in reference if s.split == "val" and not s.trained]
    found = auc_on(held_out, classifier)
    weak = None if found is None else weak_sentence("validation images of the reference", *found)
    sides = {"reference": [s for s in reference if s.split == "val"], "source": source}
    counts = {side: {"left_out": sum(s.trained for s in part), "images": len(part)} for side, part in sides.items()}
    return {"training": {"recorded": record is not None} | counts} | ({"weak": weak} if weak else {})


def _refuse_or_say_mixed(
    samples: Sequence[Sample], reference_domains: Sequence[str], source_domains: Sequence[str]
) -> dict[str, list[str]]:
    """For each source the warnings that its images, or the reference's, are of several kinds; intents are refused."""
    said: dict[str, list[str]] = {}
    for domain in (*reference_domains, *source_domains):
        headers = [s.header for s in samples if s.domain == domain and s.header is not None]
        refuse_mixed_intents(headers, domain)
        said[domain] = mixed(headers, "images of the reference" if domain in reference_domains else "its images")
    shared = [warning for domain in reference_domains for warning in said[domain]]
    return {domain: [*said[domain], *shared] for domain in source_domains}


def _warned(notes: dict[str, Any], said: Sequence[str]) -> dict[str, Any]:
    return notes | {"warnings": [*notes.get("warnings", ()), *said]} if said else notes


def _with_left_out(notes: dict[str, Any], odd: int, given: Sides, kept: Sides) -> dict[str, Any]:
    """Say how many images look like none of the reference's, and of how many of the source and the reference no air is
    told, unlike most.
    """
    said = [f"W_ODD {odd} images look like none of the reference's and were left out of the fit"] if odd else []
    for all_of, used, side in zip(given, kept, ("source", "reference"), strict=True):
        if len(all_of) - len(used) >= max(1, AIRLESS * len(all_of)):
            airless = f"{len(all_of) - len(used)} of {len(all_of)} images of the {side} show no air, unlike the others"
            said.append(f"W_AIR {airless}, and were left out of the fit")
    return _warned(notes, said)


def _of_curves(presets: Presets) -> dict[str, Any]:
    """What is known of the one curve; of several, preset by preset."""
    known = [{name: fit.notes[name] for name in OF_CURVE} for fit in presets.fits]
    if len(known) == 1:
        return known[0]
    warned = [{"warnings": _but_variance(fit.notes["warnings"])} for fit in presets.fits]
    own = [{"images": n} | a | b for n, a, b in zip(presets.images, known, warned, strict=True)]
    return {"presets": own, "band": {}, "score_interval": {}, "leans_on": {}}


def _but_variance(warnings: Sequence[str]) -> list[str]:
    return [warning for warning in warnings if not warning.startswith("W_VARIES")]


def settings_of(method: Method) -> type[BaseModel]:
    """The class of a method's settings; every field is documented and has its default."""
    if method == "gdce":
        from isotone.networks.training.fit_gdce import GDCESettings  # torch

        return GDCESettings
    return ScannerSettings


def _check(method: Method, classifier: Classifier | None, labels: Labels, mix: Mapping[str, float] | None) -> None:
    """Refuse, before an image is read, what cannot be done."""
    if labels not in get_args(Labels):
        raise UsageError(f"labels is {labels!r}", next_step='Give "all" or "none".')
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
    total = sum(mix.values())
    if min(abs(total - 1), abs(total / 100 - 1)) > ROUNDED:
        raise UsageError(
            f"the class mix adds up to {total:.4g}",
            next_step="State the share of every class; they add up to 1 (or 100).",
        )


def _enough(samples: Sequence[Sample], name: str, refused: Sequence[IsotoneError], patients: int) -> None:
    found = len({s.patient for s in samples})
    if len(samples) < 2 or found < patients:
        wanted = "two images" if patients == 1 else f"{patients} patients"
        first = f" First refusal: {refused[0]}" if refused else ""
        raise IsotoneError(
            "E_DATA",
            f"{name} has {len(samples)} readable train and val images, of {found} patients",
            next_step=f"Give at least {wanted}, better 25.{first}",
        )


def _fit_scanners(
    pairs: Mapping[str, Sides],
    classifier: Classifier | None,
    levels: Mapping[str, Brightness | None],
    settings: ScannerSettings,
    mix: Mapping[str, float] | None,
    seed: int,
) -> dict[str, ScannerFit]:
    """A curve for every scanner, those with few images leaning on the others."""
    fits = {
        domain: fit_scanner(*pair, classifier=classifier, level=levels[domain], mix=mix, settings=settings, seed=seed)
        for domain, pair in pairs.items()
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
    from isotone.networks.gdce_mapper import GDCEMapper
    from isotone.networks.training.fit_gdce import GDCESettings, fit_gdce
    from isotone.networks.training.learned import warnings_of

    val = [s for s in source if s.split == "val"]
    unseen = [s for s in val if not s.trained]
    if val and not unseen:
        raise IsotoneError(
            "E_DATA",
            "the classifier was trained on every val image of a source scanner, or on its patients",
            next_step="Add labelled images of other patients, or use --method scanner.",
        )
    network, log = fit_gdce(
        [s for s in source if s.split == "train"],
        [s for s in reference if s.split == "train"],
        unseen,
        classifier,
        settings or GDCESettings(),
        seed=seed,
        device=device,
        quiet=quiet,
        files=files,
    )
    return GDCEMapper(network), {"epochs": log, "warnings": warnings_of(log, [s.label for s in unseen if s.label])}

"""From a manifest to the scanners of a harmonizer: which rows each method may see, and in what form."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal, get_args

from pydantic import BaseModel

from isotone._runtime.disk_cache import DiskCache
from isotone._runtime.run_options import RunOptions
from isotone.data.descriptors.image_set import ImageSet, image_set
from isotone.data.kept_samples import kept_samples
from isotone.data.manifests.manifest import Manifest, Row
from isotone.data.sample import Sample, TakeSample, load_samples, parted
from isotone.data.splits import with_splits
from isotone.data.trained_on import VALIDATION, TrainingRecord
from isotone.errors import IsotoneError, UsageError
from isotone.estimation.fit_source import SourceFit, fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.report import FitReport, LeftOut, TrainingOverlap
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.estimation.tone_model import FEWEST
from isotone.harmonizer.fitted_scanner import FittedScanner, NetworkReport
from isotone.harmonizer.kept_fits import KeptFits
from isotone.harmonizer.mappers import Mapper, mapper_of
from isotone.monitoring.header_novelty import mixed, refuse_mixed_intents, seen_in
from isotone.monitoring.novelty import Novelty
from isotone.monitoring.response_drift import ResponseDrift

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier
    from isotone.networks.training.run_files import RunFiles


Method = Literal["auto", "scanner", "adaptive", "gdce"]
Labels = Literal["all", "none"]

ROUNDED = 0.02
"""How far from 1 shares that were rounded may add up to; more hides a class that was forgotten."""


@dataclass(frozen=True)
class FitPlan:
    """What is fitted, and how.

    Attributes
    ----------
    references, sources : tuple of str
        Domains.
    method : str
    settings : pydantic model or None
        Of the method; None: its defaults.
    labels : str
        "all", or "none": no label of a source is read.
    mix : mapping of str to float, optional
        The class mix of each source, where the user knows it.
    """

    references: tuple[str, ...]
    sources: tuple[str, ...]
    method: Method = "auto"
    settings: Any = None
    labels: Labels = "all"
    mix: Mapping[str, float] | None = None

    def check(self, classifier: Classifier | None) -> None:
        """Refuse, before an image is read, what cannot be done.

        Raises
        ------
        UsageError
            Labels, a class mix or a classifier that do not go with the method.
        IsotoneError
            E_EXTRA: scikit-learn is not installed.
        """
        if self.labels not in get_args(Labels):
            raise UsageError(f"labels is {self.labels!r}", next_step='Give "all" or "none".')
        if find_spec("sklearn") is None:  # what a fit needs of it is loaded where it is used
            raise IsotoneError("E_EXTRA", "fitting needs scikit-learn")
        if self.method == "gdce" and (classifier is None or self.labels == "none"):
            raise UsageError("gdce needs a classifier and source labels", next_step='Use method="scanner".')
        if self.mix:
            self._check_mix(self.mix)

    def _check_mix(self, mix: Mapping[str, float]) -> None:
        if self.method == "gdce":
            raise UsageError("gdce takes no class mix", next_step='Leave it out, or use method="scanner".')
        if not (all(0 <= share < math.inf for share in mix.values()) and any(mix.values())):
            raise UsageError("a class mix has a share that is negative or no number, or none above 0")
        total = sum(mix.values())
        if min(abs(total - 1), abs(total / 100 - 1)) > ROUNDED:
            raise UsageError(
                f"the class mix adds up to {total:.4g}",
                next_step="State the share of every class; they add up to 1 (or 100).",
            )

    def options(self, classifier: Classifier | None) -> FitOptions:
        """Of the fit of each source by distributions; for a network only its monitors come from that."""
        if self.method == "gdce":
            return FitOptions(settings=ScannerSettings(resamples=0))
        return FitOptions(
            classifier=classifier,
            mix=self.mix,
            modes=self.method == "adaptive",
            auto=self.method == "auto",
            settings=self.settings or ScannerSettings(),
        )


def fit_scanners(
    manifest: Manifest, plan: FitPlan, classifier: Classifier | None, run: RunOptions, files: RunFiles
) -> dict[str, FittedScanner]:
    """The work of `ToneCurveHarmonizer.fit`: a fitted scanner for each source domain of a plan."""
    plan.check(classifier)
    images = _read(manifest, plan, classifier, run, files)
    try:
        return _fitted(images, plan, classifier, run, files)
    finally:
        _keep(images, run.kept)


def _keep(images: _Images, cache: DiskCache | None) -> None:
    """Write down what was worked out of images, also by a fit that failed."""
    if cache is not None:
        for sample in {id(s.known): s for side in (images.reference, *images.sources.values()) for s in side}.values():
            sample.known.keep(cache)
        cache.trim()


def _fitted(
    images: _Images, plan: FitPlan, classifier: Classifier | None, run: RunOptions, files: RunFiles
) -> dict[str, FittedScanner]:
    """A scanner for each source: of an earlier fit, or of a new one."""
    kept = KeptFits(None if plan.method == "gdce" else run.kept, [plan, run.seed, images.refused], classifier)
    found: dict[str, FittedScanner] = {}
    reference: ReferenceModel | None = None
    for number, (domain, source) in enumerate(images.sources.items()):
        key = kept.key(source, images.reference)
        known = kept.get(key)
        if known is None:
            reference = reference or ReferenceModel(images.reference, run.seed)
            known = _fit_scanner(domain, images, reference, plan, classifier, run, files.of(str(number)))
            kept.put(key, known)
        found[domain] = known
    return found


def _fit_scanner(
    domain: str,
    images: _Images,
    reference: ReferenceModel,
    plan: FitPlan,
    classifier: Classifier | None,
    run: RunOptions,
    files: RunFiles,
) -> FittedScanner:
    source = images.sources[domain]
    fit = fit_source(source, reference, plan.options(classifier))
    mapper, report = (
        _fit_network(source, reference, plan, classifier, run, files)
        if plan.method == "gdce" and classifier is not None
        else (mapper_of(fit), fit.report)
    )
    report = replace(
        report,
        warnings=(*report.warnings, *images.warnings[domain]),
        refused=images.refused,
        training=None if classifier is None else _training(fit, reference, getattr(classifier, "trained_on", None)),
        weak=reference.asked(classifier).weak,
    )
    return FittedScanner(
        mapper,
        report,
        headers=seen_in(s.header for s in fit.images if s.header is not None),
        novelty=Novelty.of_fit(fit),
        drift=ResponseDrift.of_fit(fit),
    )


def settings_of(method: Method) -> type[BaseModel]:
    """The class of a method's settings; every field is documented and has its default."""
    if method == "gdce":
        from isotone.networks.training.fit_gdce import GDCESettings  # torch

        return GDCESettings
    return ScannerSettings


@dataclass(frozen=True)
class _Images:
    """What a fit reads: images by domain, how many were refused, and by source what is said of their headers."""

    reference: ImageSet
    sources: dict[str, ImageSet]
    refused: int
    warnings: dict[str, list[str]]


def _read(
    manifest: Manifest, plan: FitPlan, classifier: Classifier | None, run: RunOptions, files: RunFiles
) -> _Images:
    rows = with_splits(manifest).select(domains=[*plan.references, *plan.sources])
    record = getattr(classifier, "trained_on", None)
    samples, refused = _load(list(rows.select(splits=("train", "val"))), plan, classifier, run, files)
    run.refuse(refused)
    samples = _with_record(samples, record)
    warnings = _refuse_or_say_mixed(samples, plan)
    reference = image_set([s for s in samples if s.domain in plan.references])
    _enough(reference, "the reference domain", refused, FEWEST if plan.method == "adaptive" else 3)
    sources: dict[str, ImageSet] = {}
    for domain in plan.sources:
        own = [s for s in samples if s.domain == domain]
        _enough(own, repr(domain), refused, 1)
        sources[domain] = image_set([s.told(label=None) for s in own] if plan.labels == "none" else own)
    return _Images(reference, sources, len(refused), warnings)


def _load(
    rows: Sequence[Row], plan: FitPlan, classifier: Classifier | None, run: RunOptions, files: RunFiles
) -> tuple[list[Sample], list[IsotoneError]]:
    prepare = None if classifier is None else classifier.prepare
    identify = getattr(classifier, "trained_on", None) is not None
    cache = run.kept
    if cache is not None and plan.method != "gdce":  # which needs all pixels in any case
        take = TakeSample(prepare, identify)
        return parted(kept_samples(rows, take, cache, workers=run.workers, quiet=run.quiet))
    return load_samples(
        rows,
        prepare,
        workers=run.workers,
        quiet=run.quiet,
        cache=files.images if plan.method == "gdce" else None,
        identify=identify,
    )


def _with_record(samples: Sequence[Sample], record: TrainingRecord | None) -> list[Sample]:
    """The samples, each told whether the classifier was trained on it. An image that chose an epoch may validate."""
    if record is None:
        return list(samples)
    found = record.holds([s.patient for s in samples], [s.identity for s in samples], VALIDATION)
    return [s.told(trained=trained) for s, trained in zip(samples, found, strict=True)]


def _training(fit: SourceFit, reference: ReferenceModel, record: TrainingRecord | None) -> TrainingOverlap:
    validation = [s for s in reference.given if s.split == "val"]
    sides = (LeftOut(sum(s.trained for s in part), len(part)) for part in (validation, fit.images))
    return TrainingOverlap(record is not None, *sides)


def _refuse_or_say_mixed(samples: Sequence[Sample], plan: FitPlan) -> dict[str, list[str]]:
    """For each source the warnings that its images, or the reference's, are of several kinds; intents are refused."""
    said: dict[str, list[str]] = {}
    for domain in (*plan.references, *plan.sources):
        headers = [s.header for s in samples if s.domain == domain and s.header is not None]
        refuse_mixed_intents(headers, domain)
        said[domain] = mixed(headers, "images of the reference" if domain in plan.references else "its images")
    shared = [warning for domain in plan.references for warning in said[domain]]
    return {domain: [*said[domain], *shared] for domain in plan.sources}


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


def _fit_network(
    source: ImageSet,
    reference: ReferenceModel,
    plan: FitPlan,
    classifier: Classifier,
    run: RunOptions,
    files: RunFiles,
) -> tuple[Mapper, FitReport | NetworkReport]:
    from isotone.networks.gdce_mapper import GDCEMapper
    from isotone.networks.training.fit_gdce import GDCESettings, fit_gdce
    from isotone.networks.training.learned import warnings_of

    val = [s for s in source if s.split == "val"]
    unseen = [s for s in val if not s.trained]
    if val and not unseen:
        raise IsotoneError(
            "E_DATA",
            "the classifier was trained on every val image of a source scanner, or on its patients",
            next_step='Add labelled images of other patients, or use method="scanner".',
        )
    network, log = fit_gdce(
        [s for s in source if s.split == "train"],
        [s for s in reference.given if s.split == "train"],
        unseen,
        classifier,
        plan.settings or GDCESettings(),
        seed=run.seed,
        device=run.device,
        quiet=run.quiet,
        files=files,
    )
    warnings = warnings_of(log, [s.label for s in unseen if s.label])
    return GDCEMapper(network), NetworkReport(epochs=tuple(log), warnings=tuple(warnings))

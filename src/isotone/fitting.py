"""From a manifest to the curves of a harmonizer: which rows each method may see, and in what form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from pydantic import BaseModel

from isotone.data.manifest import Manifest
from isotone.data.sample import Sample, load_samples
from isotone.data.splits import with_splits
from isotone.errors import IsotoneError, UsageError
from isotone.gate import Gate
from isotone.look import look, through
from isotone.mapper import Mapper, ScannerMapper
from isotone.scanner import ScannerSettings, fit_scanner
from isotone.seen import seen_in

if TYPE_CHECKING:
    from isotone.models.classifier import Classifier
    from isotone.training.run_files import RunFiles


Method = Literal["scanner", "gdce"]
Labels = Literal["all", "none"]


@dataclass(frozen=True)
class Fitted:
    """What `fit_mappers` learned, by source domain."""

    mappers: dict[str, Mapper]
    notes: dict[str, dict[str, Any]]
    seen: dict[str, dict[str, dict[str, int]]]
    gates: dict[str, Gate]


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
    files: RunFiles,
) -> Fitted:
    """The work of `ToneCurveHarmonizer.fit`, whose parameters these are."""
    rows = with_splits(manifest, seed).select(domains=[*reference_domains, *source_domains])
    samples, refused = load_samples(
        list(rows.select(splits=("train", "val"))),
        None if classifier is None else classifier.prepare,
        workers=workers,
        quiet=quiet,
        cache=files.images if method == "gdce" else None,
    )
    reference = [s for s in samples if s.domain in reference_domains]
    _enough(reference, "the reference domain", refused)
    fitted = Fitted({}, {}, {}, {})
    looks = np.stack([look(s) for s in reference])
    for number, domain in enumerate(source_domains):
        source = [s for s in samples if s.domain == domain]
        _enough(source, repr(domain), refused)
        if labels == "none":
            source = [replace(s, label=None) for s in source]
        if method == "gdce":
            if classifier is None or labels == "none":
                raise UsageError("gdce needs a classifier and source labels", next_step="Use --method scanner.")
            mapper, notes = _fit_gdce(
                source, reference, classifier, settings, seed, device, quiet, files.of(str(number))
            )
        else:
            mapper, notes = _fit_scanner(source, reference, classifier, settings, mix, seed)
        fitted.mappers[domain] = mapper
        fitted.notes[domain] = notes | {"refused": len(refused)}
        fitted.seen[domain] = seen_in(s.header for s in source if s.header is not None)
        if isinstance(mapper, ScannerMapper):
            curve = mapper.scanner_curve
        else:
            curve = fit_scanner(source, reference, settings=ScannerSettings(resamples=0)).curve
        fitted.gates[domain] = Gate.fit(
            np.stack([look(s) for s in source]),
            [s.patient for s in source],
            through(looks, curve.inverse()),
            [s.label for s in reference],
            seed,
        )
    return fitted


def settings_of(method: Method) -> type[BaseModel]:
    """The class of a method's settings; every field is documented and has its default."""
    if method == "gdce":
        from isotone.training.fit_gdce import GDCESettings  # torch

        return GDCESettings
    return ScannerSettings


def _enough(samples: Sequence[Sample], name: str, refused: Sequence[IsotoneError]) -> None:
    if len(samples) < 2:
        raise IsotoneError(
            "E_DATA",
            f"{len(samples)} readable train and val images of {name}",
            next_step=f"Give at least two, better 25. First refusal: {refused[0]}"
            if refused
            else "Give at least two, better 25.",
        )


def _fit_scanner(
    source: list[Sample],
    reference: list[Sample],
    classifier: Classifier | None,
    settings: Any,
    mix: Mapping[str, float] | None,
    seed: int,
) -> tuple[Mapper, dict[str, Any]]:
    try:
        fit = fit_scanner(
            source, reference, classifier=classifier, mix=mix, settings=settings or ScannerSettings(), seed=seed
        )
    except ImportError:  # what a fit needs of it is loaded where it is used
        raise IsotoneError("E_EXTRA", "fitting needs scikit-learn") from None
    return ScannerMapper(fit.curve), fit.notes


def _fit_gdce(
    source: list[Sample],
    reference: list[Sample],
    classifier: Classifier,
    settings: Any,
    seed: int,
    device: str,
    quiet: bool,
    files: RunFiles,
) -> tuple[Mapper, dict[str, Any]]:
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

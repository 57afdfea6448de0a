"""A harmonizer in a notebook: its curves with their bands, what the fits say of themselves, and its checksum."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from isotone.curves.notebook import card, curve_panel
from isotone.errors import ModelError
from isotone.harmonizer.fit_report import fit_sentences
from isotone.harmonizer.fitted_scanner import FittedScanner, bands_of
from isotone.harmonizer.mappers import shared_curves


def harmonizer_card(harmonizer: Any, scanners: Mapping[str, FittedScanner]) -> str:
    """HTML of a harmonizer, fitted or not."""
    panels, sentences = [], []
    for domain, scanner in scanners.items():
        curves = shared_curves(domain, scanner.mapper)
        bands = bands_of(scanner, len(curves))
        panels += [curve_panel(*named, band) for named, band in zip(curves.items(), bands, strict=True)]
        sentences += [] if curves else [f"{domain}: each image has a curve of its own."]
        sentences += [f"{domain}: {said}" for said in fit_sentences(scanner.report, harmonizer.labels)]
    facts = {
        "reference": ", ".join(harmonizer.reference_domains),
        "source": ", ".join(harmonizer.source_domains),
        "method": harmonizer.method,
        "labels of the source": harmonizer.labels,
        "fitted": "yes" if scanners else "no",
        "SHA-256": _digest(harmonizer),
    }
    return card("ToneCurveHarmonizer", facts, panels, sentences)


def _digest(harmonizer: Any) -> str | None:
    try:
        return str(harmonizer.digest[:16])
    except ModelError:  # not fitted, or a network that is not saved yet
        return None

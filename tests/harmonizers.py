"""Harmonizers made without fitting, and what tests of delivery share."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from isotone.curves.stages import Affine
from isotone.curves.tone_curve import ToneCurve
from isotone.deployment.deliver import Delivery, Job, Outcome
from isotone.estimation.fit_source import HARMS
from isotone.estimation.report import FitReport, PredictedGain
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.mappers import ScannerMapper

REFERENCE = "Reference Vendor One"
CURVE = ToneCurve([0.5, -0.3, 0.6, -0.2])
NARROW = ToneCurve([Affine(1.4, -0.1), 0.3])
"""A curve that clips, and moves black and white."""


def scanner_harmonizer(*domains: str, curve: ToneCurve = CURVE) -> ToneCurveHarmonizer:
    """One curve for every image of these domains."""
    harmonizer = ToneCurveHarmonizer(REFERENCE, domains)
    harmonizer.scanners = {domain: FittedScanner(ScannerMapper(curve)) for domain in domains}
    return harmonizer


def fit_report(**changes: object) -> FitReport:
    """Of a fit of which nothing is to be said; `changes` replace single facts."""
    facts = {"images": 2, "patients": 2, "reference_images": 2, "mix": None, "mix_from": "none", "window": 1.0}
    curve = {"free": False, "projection_rmse_levels_8bit": 0.1, "clipped_share": 0.0}
    return FitReport(**facts | curve | changes)  # type: ignore[arg-type]


def kept_harmonizer(*domains: str) -> ToneCurveHarmonizer:
    """One whose fits predict that the curve harms."""
    harmonizer = scanner_harmonizer(*domains)
    for domain in domains:
        report = fit_report(
            gain=PredictedGain(
                auc=-0.1,
                auc_interval=(-0.2, -0.05),
                worst_recall=0.0,
                worst_recall_interval=(-0.1, 0.1),
                images=60,
                patients=40,
            ),
            kept=True,
            warnings=(HARMS,),
        )
        change(harmonizer, domain, report=report)
    return harmonizer


def change(harmonizer: ToneCurveHarmonizer, domain: str, **parts: object) -> None:
    """Give a scanner other parts."""
    harmonizer.scanners[domain] = replace(harmonizer.scanners[domain], **parts)  # type: ignore[arg-type]


def deliver_one(
    path: Path, output: Path, deliver: str = "pixels", curve: ToneCurve = CURVE, allow: Collection[str] = ()
) -> tuple[Path, Outcome]:
    """Deliver one file of any scanner in this process; the path of the new file."""
    output.mkdir(parents=True, exist_ok=True)
    job = Job(path, "any", path.name if path.suffix == ".dcm" else f"{path.stem}.png", "key")
    outcome = Delivery(scanner_harmonizer("any", curve=curve), output, deliver, allow)(job)  # type: ignore[arg-type]
    return output / job.target, outcome

"""What a fit tells of itself, in numbers. `isotone.harmonizer.fit_report` puts them into sentences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

MixFrom = Literal["stated", "labels", "structure", "classifier", "none"]
"""Where the class mix of a source comes from; "none": it is not known."""
LEAST_AUC, LEAST_RECALL = 0.01, 0.03
"""Gains of the AUC and of the weakest class's recall below which, both, nothing is gained. Raised, more images stay as
they are. Taken from an earlier study, whose pairs include those of benchmarks/real_pairs.py."""
KEEPING = {
    "W_HARMS": "the classifier is predicted to do worse behind the curve than on untouched images",
    "W_NO_GAIN": "the classifier is predicted to do no better behind the curve than on untouched images",
}
"""Warnings for which the images of a scanner stay as they are, and what each says."""


def kept_for(warnings: Iterable[str]) -> str:
    """The code of `KEEPING` that stands before one of the warnings of a fit that keeps its images."""
    return next((code for code in KEEPING if any(line.startswith(code) for line in warnings)), "W_HARMS")


Count = Annotated[int, Field(ge=0, lt=2**53)]
Share = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True)
class Band:
    """Pointwise 95 % interval of a curve: lists of equal length.

    Attributes
    ----------
    x, low, high : tuple of float
        Grey levels in [0, 1]: of the source, and the ends of the interval on the reference.
    """

    x: Annotated[tuple[float, ...], Field(min_length=1)]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if not len(self.x) == len(self.low) == len(self.high):
            raise ValueError("a band has as many low and high values as places")

    @property
    def half_width(self) -> float:
        """Mean over the places, in grey levels of [0, 1]."""
        return sum(high - low for low, high in zip(self.low, self.high, strict=True)) / len(self.x) / 2


@dataclass(frozen=True)
class ScoreInterval:
    """What the band means for the classifier.

    Attributes
    ----------
    width : float
        Range of the probability of an image's likeliest class in which 95 % of the resampled curves stay, mean over
        images.
    decisions : float
        Share of the images whose class is not the same behind all resampled curves.
    images, curves : int
        How many were looked at.
    """

    width: float
    decisions: Share
    images: Count
    curves: Count = 0


@dataclass(frozen=True, kw_only=True)
class CurveReport:
    """What is known of one curve.

    Attributes
    ----------
    free : bool
        Whether it is free, and no chain of steps.
    projection_rmse_levels_8bit : float
        How far steps are off what was transported, in levels of 255 (root mean square), kept or not; 0: not tried.
    clipped_share : float
        Share of the anatomy's grey levels that an affine stage maps outside [0, 1].
    band : Band or None
        None: no patients were resampled.
    score_interval : ScoreInterval or None
        None: no classifier was asked, or no patients were resampled.
    warnings : tuple of str
        Each begins with its code.
    """

    free: bool
    projection_rmse_levels_8bit: float
    clipped_share: float
    band: Band | None = None
    score_interval: ScoreInterval | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModeReport(CurveReport):
    """What is known of the curve of one acquisition mode, which `images` images of the source were taken in."""

    images: Count


@dataclass(frozen=True)
class LeftOut:
    """Of so many `images`, how many were left out."""

    left_out: Count
    images: Count


@dataclass(frozen=True)
class TrainingOverlap:
    """Which images the classifier was not asked about, since it was trained on them or on their patients.

    Attributes
    ----------
    recorded : bool
        Whether the classifier has a record of its training.
    reference, source : LeftOut
        Of the reference's validation images, and of the source's.
    """

    recorded: bool
    reference: LeftOut
    source: LeftOut


@dataclass(frozen=True, kw_only=True)
class Blend:
    """Whether each image's own histogram matching has a share in its curve (`isotone.estimation.image_blend`).

    Attributes
    ----------
    share : float
        0: each image gets its scanner's curve.
    agreement : float
        Correlation of the classifier's probabilities on images of the reference, before and after such a blend.
    """

    share: Share
    agreement: float


@dataclass(frozen=True, kw_only=True)
class PredictedGain:
    """What the curve is expected to do to the classifier's scores on the source (`isotone.estimation.predicted_gain`).

    Attributes
    ----------
    auc, worst_recall : float
        Gain of the mean one-versus-rest AUC, and of the lowest recall over the classes, in [-1, 1].
    auc_interval, worst_recall_interval : pair of float
        90 %, patients resampled: of a test on as many patients of the source as there are in the fit.
    images, patients : int
        Of the reference, that were looked at.
    """

    auc: float
    auc_interval: tuple[float, float]
    worst_recall: float
    worst_recall_interval: tuple[float, float]
    images: Count
    patients: Count

    @property
    def harms(self) -> bool:
        """Whether a loss of AUC is certain: the interval lies below zero."""
        return self.auc_interval[1] < 0

    @property
    def none(self) -> bool:
        """Whether neither the AUC nor the weakest class gains."""
        return self.auc < LEAST_AUC and self.worst_recall < LEAST_RECALL

    @property
    def sentence(self) -> str:
        """Both gains with their intervals."""
        auc, recall = (
            f"{signed(gain)} [{', '.join(map(signed, ends))}]"
            for gain, ends in ((self.auc, self.auc_interval), (self.worst_recall, self.worst_recall_interval))
        )
        return (
            f"Predicted gain, with 90 % intervals: AUC {auc}, recall of the weakest class {recall}. "
            f"The prediction uses {self.images} labelled images of the reference, with the grey levels that this "
            "scanner would give them"
        )


@dataclass(frozen=True, kw_only=True)
class FitReport(CurveReport):
    """What is known of the fit of one scanner; the fields of the curve are those of all its images.

    Attributes
    ----------
    images, patients, reference_images : int
        That were compared.
    mix : mapping of str to float, or None
        Class mix of the source; None: unknown.
    mix_from : str
    window : float
        Side of the reference's windows as a share of the image: below 1 the source shows less of the body.
    mismatch, mismatch_limit : float
        How far the populations differ in structure beyond their class mix (`isotone.estimation.balancing`).
    variance : float
        Largest variance of the images' tone behind the curve, as a multiple of the reference's; 1: by chance.
    extra_levels_8bit : float
        Their standard deviation beyond the reference's in that direction, in grey levels of 255.
    air_share : float
        Share of the matched grey levels that air has.
    modes : tuple of ModeReport
        One for each acquisition mode; empty where one curve serves all images.
    refused : int
        Images that could not be read, of all scanners.
    training : TrainingOverlap or None
        None: no classifier was given.
    weak : str or None
        A sentence, where the classifier does not tell its own classes on the reference.
    gain : PredictedGain or None
        None: nothing could be predicted.
    no_gain : str or None
        Why not, in a clause.
    kept : bool
        Whether the images stay as they are.
    blend : Blend or None
        None: not asked for, or there was nothing to decide it by.
    """

    images: Count
    patients: Count
    reference_images: Count
    mix: Mapping[str, float] | None
    mix_from: MixFrom
    window: float
    mismatch: float = 0.0
    mismatch_limit: float = 0.0
    variance: float = 1.0
    extra_levels_8bit: float = 0.0
    air_share: float = 0.0
    modes: tuple[ModeReport, ...] = ()
    refused: Count = 0
    training: TrainingOverlap | None = None
    weak: str | None = None
    gain: PredictedGain | None = None
    no_gain: str | None = None
    kept: bool = False
    blend: Blend | None = None

    @property
    def varies(self) -> bool:
        """Whether the images vary by their settings."""
        return any(warning.startswith("W_VARIES") for warning in self.warnings)

    @property
    def curves(self) -> tuple[CurveReport, ...]:
        """One for each curve: of the modes, or its own."""
        return self.modes or (self,)


def signed(value: float) -> str:
    """A difference as sentences have it, with its sign."""
    return f"{value:+.2f}".replace("-", "\N{MINUS SIGN}")

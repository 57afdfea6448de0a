"""What a harmonizer holds of one source scanner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from pydantic import AfterValidator

from isotone.estimation.report import Band, Count, FitReport, TrainingOverlap, kept_for
from isotone.harmonizer.mappers import Mapper
from isotone.monitoring.header_novelty import HeaderFacts
from isotone.monitoring.novelty import Novelty
from isotone.monitoring.response_drift import ResponseDrift

LOGGED = {"epoch", "learning_rate", "worst_group_accuracy", "kept"}
"""What each epoch has at least."""


def _with_one_kept(rows: tuple[Mapping[str, int | float], ...]) -> tuple[Mapping[str, int | float], ...]:
    if not all(row.keys() >= LOGGED for row in rows) or not any(row["kept"] for row in rows):
        raise ValueError("an epoch lacks a number, or none was kept")
    return rows


@dataclass(frozen=True, kw_only=True)
class NetworkReport:
    """What is known of the fit of a network.

    Attributes
    ----------
    epochs : tuple of mapping of str to number
        The rows of the log, each with the numbers of `LOGGED`.
    warnings : tuple of str
        Each begins with its code.
    refused : int
        Images that could not be read, of all scanners.
    training, weak
        As `FitReport` has them.
    """

    epochs: Annotated[tuple[Mapping[str, int | float], ...], AfterValidator(_with_one_kept)]
    warnings: tuple[str, ...] = ()
    refused: Count = 0
    training: TrainingOverlap | None = None
    weak: str | None = None


@dataclass(frozen=True, eq=False)
class FittedScanner:
    """A source scanner of a harmonizer.

    Attributes
    ----------
    mapper : Mapper
        Gives each image its curve.
    report : FitReport, NetworkReport or None
        None: the curve was not fitted.
    headers : mapping
        For each fact of the headers the values met in the fit, and how many images had each.
    novelty : Novelty or None
        What its images look like; None: no image is compared.
    drift : ResponseDrift or None
        How batches of its images deviate in tone; None: no batch is compared.
    """

    mapper: Mapper
    report: FitReport | NetworkReport | None = None
    headers: HeaderFacts = field(default_factory=dict)
    novelty: Novelty | None = None
    drift: ResponseDrift | None = None

    @property
    def kept(self) -> bool:
        """Whether its images stay as they are, since a curve is predicted to harm, or to gain nothing."""
        return isinstance(self.report, FitReport) and self.report.kept

    @property
    def kept_for(self) -> str | None:
        """The code of the warning for which its images stay as they are; None where they do not."""
        return kept_for(self.report.warnings) if self.kept and self.report is not None else None


def bands_of(scanner: FittedScanner | None, curves: int) -> Sequence[Band | None]:
    """The 95 % band of each of the curves; None where it is not known."""
    report = None if scanner is None else scanner.report
    return [curve.band for curve in report.curves] if isinstance(report, FitReport) else [None] * curves

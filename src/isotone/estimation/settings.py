"""What a user may choose of a fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class ScannerSettings(BaseModel):
    """How a scanner's curve is fitted. Without `free`, it consists of steps if these fit the transport.

    Examples
    --------
    >>> import isotone
    >>> settings = isotone.ScannerSettings(num_iterations=4)
    >>> harmonizer = isotone.ToneCurveHarmonizer("Alder Mammo One", "Birch Mammo Two", settings=settings)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_iterations: int = Field(16, ge=2, le=64, description="Steps of the curve, every other one inverse.")
    free: bool = Field(False, description="Always use the free monotone curve, not only if steps cannot fit it.")
    rounds: int = Field(6, ge=1, le=50, description="Maximum rounds of matching, classifying and reweighting.")
    resamples: int = Field(200, ge=0, le=5000, description="Bootstrap resamples of patients behind the band.")


class FrozenClassifier(Protocol):
    """What a fit needs of a classifier."""

    @property
    def config(self) -> Any:
        """Has `classes`, a tuple of str."""
        ...

    def predict(self, prepared: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of shape (n, classes) for inputs of shape (n, S, S) in [0, 1]."""
        ...


@dataclass(frozen=True)
class FitOptions:
    """How one source scanner is fitted.

    Attributes
    ----------
    classifier : FrozenClassifier or None
        None: grey levels alone are compared.
    labels : bool
        Whether labels of the source may be read; those of the reference always are.
    mix : mapping of str to float, optional
        The class mix of the source, where the user knows it.
    modes : bool
        Look for several acquisition modes, and fit a curve to each.
    auto : bool
        Let the classifier decide whether each image's own histogram matching has a share in its curve, and whether
        images stay as they are since it would gain nothing.
    settings : ScannerSettings
    """

    classifier: FrozenClassifier | None = None
    labels: bool = True
    mix: Mapping[str, float] | None = None
    modes: bool = False
    auto: bool = False
    settings: ScannerSettings = field(default_factory=ScannerSettings)

"""How one source scanner's images get their curves: one for all of them, or one for each."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

from isotone.curves.tone_curve import ToneCurve
from isotone.data.sample import TakeSample
from isotone.estimation.tone_residual import Deviation
from isotone.imaging.radiograph import Radiograph


class Mapper(Protocol):
    """How one source scanner's images get their curves."""

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The curve of an image."""
        ...

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Write what does not fit into JSON to files that start with `stem`, and return what does."""
        ...


class ScannerMapper:
    """One curve for every image of the scanner."""

    def __init__(self, curve: ToneCurve) -> None:
        self.scanner_curve = curve

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The scanner's curve, whatever the image."""
        return self.scanner_curve

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """The curve as JSON; there is nothing else."""
        return {"curve": json.loads(self.scanner_curve.to_json())}

    @classmethod
    def load(cls, folder: Path, entry: Mapping[str, Any]) -> Self:
        """The mapper that `save` described."""
        return cls(ToneCurve.from_json(json.dumps(entry["curve"])))


class AdaptiveMapper:
    """Curves for the scanner's presets, and for each image a share of its own deviation."""

    def __init__(self, curves: Sequence[ToneCurve], deviation: Deviation) -> None:
        self.curves = tuple(curves)
        self.deviation = deviation

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The curve of this image."""
        return self.deviation.curve(TakeSample()(radiograph), self.curves)

    def save(self, folder: Path, stem: str) -> dict[str, Any]:
        """Both as JSON; there is nothing else."""
        presets = [json.loads(curve.to_json()) for curve in self.curves]
        return {"presets": presets, "deviation": self.deviation.to_dict()}

    @classmethod
    def load(cls, folder: Path, entry: Mapping[str, Any]) -> Self:
        """The mapper that `save` described."""
        presets = [ToneCurve.from_json(json.dumps(curve)) for curve in entry["presets"]]
        return cls(presets, Deviation.from_dict(entry["deviation"]))


def mapper_of(curves: Sequence[ToneCurve], deviation: Deviation) -> ScannerMapper | AdaptiveMapper:
    """The plainest mapper that has these curves and takes back that share of deviations."""
    if len(curves) == 1 and not deviation.strength:
        return ScannerMapper(curves[0])
    return AdaptiveMapper(curves, deviation)


def load_mapper(folder: Path, entry: Mapping[str, Any]) -> Mapper:
    """The mapper that an entry of a harmonizer's configuration describes."""
    if "network" in entry:
        from isotone.networks.gdce_mapper import GDCEMapper  # torch, which the light half lacks

        return GDCEMapper.load(folder, entry)
    return (AdaptiveMapper if "presets" in entry else ScannerMapper).load(folder, entry)

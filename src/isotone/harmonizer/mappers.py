"""How a source scanner's images get their curves: one for all, one for each acquisition mode or image, or a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, Self

from isotone.curves.tone_curve import ToneCurve
from isotone.data.sample import TakeSample
from isotone.estimation.fit_source import SourceFit
from isotone.estimation.image_blend import ImageBlend
from isotone.estimation.stored_arrays import Json
from isotone.estimation.tone_residual import ToneResidual
from isotone.imaging.radiograph import Radiograph


class Mapper(Protocol):
    """How one source scanner's images get their curves."""

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The curve of an image."""
        ...

    def save(self, folder: Path, stem: str) -> Json:
        """Write what does not fit into JSON to files that start with `stem`, and return what does."""
        ...


class ScannerMapper:
    """One curve for every image of the scanner."""

    def __init__(self, curve: ToneCurve) -> None:
        self.scanner_curve = curve

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The scanner's curve, whatever the image."""
        return self.scanner_curve

    def save(self, folder: Path, stem: str) -> Json:
        """The curve as JSON; there is nothing else."""
        return {"curve": json.loads(self.scanner_curve.to_json())}

    @classmethod
    def load(cls, folder: Path, entry: Json) -> Self:
        """The mapper that `save` described."""
        return cls(ToneCurve.from_json(json.dumps(entry["curve"])))


class ModesMapper:
    """A curve for each of the scanner's acquisition modes: structure tells which one an image gets."""

    def __init__(self, curves: Sequence[ToneCurve], residual: ToneResidual) -> None:
        self.curves = tuple(curves)
        self.residual = residual

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The curve of the image's mode."""
        return self.residual.choose(TakeSample()(radiograph), self.curves)

    def save(self, folder: Path, stem: str) -> Json:
        """Both as JSON, under the names of schema 1; there is nothing else."""
        curves = [json.loads(curve.to_json()) for curve in self.curves]
        return {"presets": curves, "deviation": self.residual.to_json()}

    @classmethod
    def load(cls, folder: Path, entry: Json) -> Self:
        """The mapper that `save` described."""
        curves = [ToneCurve.from_json(json.dumps(curve)) for curve in entry["presets"]]
        return cls(curves, ToneResidual.from_json(entry["deviation"]))


class BlendMapper:
    """A curve for each image: its scanner's, and its own histogram matching."""

    def __init__(self, curve: ToneCurve, blend: ImageBlend) -> None:
        self.scanner_curve = curve
        self.blend = blend

    def curve(self, radiograph: Radiograph) -> ToneCurve:
        """The image's own curve."""
        return self.blend.curve(TakeSample()(radiograph), self.scanner_curve)

    def save(self, folder: Path, stem: str) -> Json:
        """Both as JSON, apart from where other mappers have theirs; there is nothing else."""
        return {"blend": {"curve": json.loads(self.scanner_curve.to_json()), **self.blend.to_json()}}

    @classmethod
    def load(cls, folder: Path, entry: Json) -> Self:
        """The mapper that `save` described."""
        found = entry["blend"]
        return cls(ToneCurve.from_json(json.dumps(found["curve"])), ImageBlend.from_json(found))


PlainMapper = ScannerMapper | ModesMapper | BlendMapper
"""Those that are numbers in JSON alone."""


def mapper_of(fit: SourceFit) -> PlainMapper:
    """The plainest mapper that gives images the curves of a fit."""
    if fit.blend is not None:
        return BlendMapper(fit.curves[0], fit.blend)
    if len(fit.curves) == 1 or fit.residual is None:
        return ScannerMapper(fit.curves[0])
    return ModesMapper(fit.curves, fit.residual)


def load_mapper(folder: Path, entry: Json) -> Mapper:
    """The mapper that an entry of a harmonizer's configuration describes."""
    if "network" in entry:
        from isotone.networks.gdce_mapper import GDCEMapper  # torch, which the light half lacks

        return GDCEMapper.load(folder, entry)
    if "blend" in entry:
        return BlendMapper.load(folder, entry)
    return (ModesMapper if "presets" in entry else ScannerMapper).load(folder, entry)


def corrected_by_image(entry: Json) -> bool:
    """Whether it is of an earlier build that also moved each image by itself, which this one does not."""
    return bool(entry.get("deviation", {}).get("strength", 0.0))


def shared_curves(name: str, mapper: Mapper) -> dict[str, ToneCurve]:
    """Curves that a scanner's images share."""
    if isinstance(mapper, ScannerMapper):
        return {name: mapper.scanner_curve}
    if isinstance(mapper, BlendMapper):
        return {f"{name}, before each image's own part": mapper.scanner_curve}
    if isinstance(mapper, ModesMapper):
        return {f"{name}, mode {number}": curve for number, curve in enumerate(mapper.curves, 1)}
    return {}

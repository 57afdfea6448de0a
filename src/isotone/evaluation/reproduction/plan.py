"""What is run: sizes, settings, and the experiments by name with an estimate of their time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from isotone._version import __version__
from isotone.data.splits import FOLDS
from isotone.evaluation.reproduction.collection import COLLECTIONS, Collection
from isotone.evaluation.reproduction.folds import Preset

if TYPE_CHECKING:
    from isotone.networks.training.fit_gdce import GDCESettings
    from isotone.networks.training.train import TrainSettings

Name = Literal["phantom", "nih", "embed", "rsna"]
Kind = Literal["cohort", "fold", "grid", "ablation"]

WHAT = {
    "constant-curve": "one curve of Eq. 1 for the scanner, learned by the task loss",
    "constant-curve-bidirectional": "the same with every other step inverse",
    "constant-curve-affine": "and with an affine stage before the steps",
    "curve-swap": "each image through another image's GDCE curve",
    "perceptual-off": "GDCE without the perceptual loss",
    "loss-sum": "GDCE by the plain sum of Eq. 4",
    "loss-weighted-0.5": "GDCE by the authors' weighted loss, λ = 0.5",
    "loss-weighted-0.95": "GDCE by the authors' weighted loss, λ = 0.95",
    "pixel-wise": "a residual U-Net in the place of GDCE, by the same loss",
    "8-bits": "GDCE on images rounded to 8 bits, before and after",
    "exchanged": "reference and source exchanged",
    "seed-1": "GDCE started from another seed",
    "seed-2": "GDCE started from a third seed",
}
"""Ablations by name, in words: each differs from the preset's GDCE in one thing. Beside them `Plan.labels` has
``labels-N``: GDCE with N labelled source images per class, trained for as many steps."""


@dataclass(frozen=True)
class Experiment:
    """A named piece of work with a folder of its own.

    Attributes
    ----------
    name : str
        Of the folder.
    kind : str
        Which function runs it.
    what : str
        In words.
    arguments : tuple
        Of that function: (fold,), (layers, iterations) or (variant,).
    passes : float
        Images that go through classifier and enhancer, forwards and backwards, for the estimate of time.
    """

    name: str
    kind: Kind
    what: str
    arguments: tuple[Any, ...]
    passes: float


class Plan(BaseModel):
    """Everything that the results depend on."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    collection: Name
    """Which images."""
    preset: Preset = "corrected"
    """"paper": as published. "corrected": its defects mended."""
    quick: bool = False
    """Small images, few of them, a small network, few epochs: a CPU is done in half an hour."""
    data: Path | None = None
    """The download or a manifest."""
    weights: Path | None = None
    """Pretrained ResNet-50 (RadImageNet's, as in the paper); None: from scratch. Not with `quick`."""
    perceptual_weights: Path | None = None
    """VGG-16; None: the cache or a download. Not with `quick`."""
    seed: int = Field(0, ge=0)
    """Of everything random."""

    @property
    def about(self) -> Collection:
        """The collection."""
        return COLLECTIONS[self.collection]

    @property
    def digest(self) -> str:
        """What tells this plan from others, the version of isotone included."""
        return hashlib.sha256(f"{__version__} {self.model_dump_json()}".encode()).hexdigest()[:16]

    @property
    def image_size(self) -> int:
        """Side in pixels of what the classifier sees."""
        return 64 if self.quick else 512

    @property
    def layers(self) -> tuple[int, ...]:
        """L of Fig. 7."""
        return (1, 3, 5) if self.quick else (1, 3, 5, 7)

    @property
    def iterations(self) -> tuple[int, ...]:
        """N of Fig. 7."""
        return (2, 8, 16) if self.quick else (2, 4, 8, 16)

    @property
    def labels(self) -> tuple[int, ...]:
        """Source labels per class in the ablation of labels; none at all: the method scanner-without-labels."""
        return (5, 10) if self.quick else (10, 50, 400)

    @property
    def ablation_folds(self) -> tuple[int, ...]:
        """Folds on which the ablations and Fig. 7 are run."""
        return (0, 1) if self.quick else (0, 1, 2)

    def training(self) -> TrainSettings:
        """How the classifier is trained: as the paper's, or the small one."""
        from isotone.networks.training.train import TrainSettings

        if self.quick:
            return TrainSettings.small(image_size=self.image_size, batch_size=16, epochs=40)
        return TrainSettings(weights=self.weights, scaling="unit")

    def gdce(self) -> GDCESettings:
        """How GDCE is fitted: as the paper's, `corrected` with new batches every epoch; `quick` by its own settings."""
        from isotone.networks.training.fit_gdce import GDCESettings

        weight, reshuffle = self.about.weight, self.preset == "corrected"
        if self.quick:
            return GDCESettings.quick(input_size=self.image_size // 2, weight=weight, reshuffle=reshuffle)
        return GDCESettings(perceptual_weights=self.perceptual_weights, weight=weight, reshuffle=reshuffle)

    def variants(self) -> tuple[str, ...]:
        """The ablations that differ from the preset's own GDCE."""
        labels = (f"labels-{count}" for count in self.labels)
        return tuple(v for v in (*WHAT, *labels) if v != f"loss-weighted-{self.about.weight:g}")

    def experiments(self) -> list[Experiment]:
        """The plan by name, in the order in which it is run."""
        found = [Experiment("cohort", "cohort", "read every image once; Table 1, Fig. 2", (), 0)]
        images, (all_classes, source_classes) = self._images, self.about.classes
        fit = 2 * source_classes * images * (40 if self.quick else 25)
        both, folds = fit * len(self.about.sources), len(self.ablation_folds)
        classifier = all_classes * images * (40 if self.quick else 80)
        for k in range(FOLDS):
            what = f"classifier, GDCE, scanner curve and baselines of fold {k + 1}"
            found.append(Experiment(f"fold-{k + 1}", "fold", what, (k,), both + classifier))
        for num_layers in self.layers:
            for n in self.iterations:
                name, what = f"grid-L{num_layers}-N{n}", f"Fig. 7: {num_layers} layers, {n} iterations"
                found.append(Experiment(name, "grid", what, (num_layers, n), fit * folds))
        for variant in self.variants():
            cost = {"curve-swap": 0.0, "8-bits": 0.0, "pixel-wise": 2.5, "exchanged": 2.0}
            share = 0.1 if variant.startswith("constant") else cost.get(variant, 1.0)
            found.append(Experiment(f"ablation-{variant}", "ablation", variant, (variant,), share * both * folds))
        return found

    def seconds(self, experiment: Experiment, device: str) -> float:
        """About how long an experiment takes on a usual device."""
        if experiment.kind == "cohort":
            return 20.0 if self.quick else 900.0
        # Measured on one core of a server (quick); of the operations' count on a GPU of 15 TFLOPS and that core.
        each = 1.6e-3 if self.quick else 5.0 if device == "cpu" else 0.02
        return 2 + experiment.passes * each

    @property
    def _images(self) -> int:
        """Training images per class and domain."""
        return min(self.about.images, 64) if self.quick else max(self.about.images, 200)

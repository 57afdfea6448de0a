"""What stands between an image and the classifier: the paper's three ways, ours, and plain baselines."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.baselines.by_name import baseline
from isotone.curves.tone_curve import ToneCurve
from isotone.data.sample import Sample
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.evaluation.reproduction.folds import Split
from isotone.evaluation.reproduction.images import Grey, Images, Indices
from isotone.imaging.radiograph import Radiograph

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier
    from isotone.networks.gdce import GDCE
    from isotone.networks.training.fit_gdce import GDCESettings

Mapping = Callable[[Indices], Grey]
"""Numbers of images → those images as the classifier gets them, float32 of shape (n, S, S) in [0, 1]."""

BATCH = 32


@dataclass(frozen=True, eq=False)
class Task:
    """One source domain in one fold: all that a method may learn from.

    Attributes
    ----------
    images : Images
    split : array of str
        Of every row of `images.table`, as `folds.deal` gives it.
    reference, source : str
        Domains.
    classifier : Classifier
        Frozen, of the reference domain.
    settings : GDCESettings
    seed : int
    device : str
    """

    images: Images
    split: Split
    reference: str
    source: str
    classifier: Classifier
    settings: GDCESettings
    seed: int
    device: str

    def numbers(self, domain: str, *splits: str) -> Indices:
        """Images of a domain that are of one of the splits and of a class of the classifier."""
        table = self.images.table
        known = table["label"].isin(self.classifier.config.classes) & (table["domain"] == domain)
        return np.asarray(table.index[known.to_numpy() & np.isin(self.split, splits)], np.intp)

    @cached_property
    def population(self) -> ReferenceModel:
        """The reference's images as every curve is fitted to them."""
        return ReferenceModel(self.samples(self.reference, "train", "val"), self.seed)

    def samples(self, domain: str, *splits: str) -> list[Sample]:
        """The same, ready for a fit."""
        numbers = self.numbers(domain, *splits)
        place = self.images.table.index.get_indexer(pd.Index(numbers))
        return self.images.samples(numbers, list(self.split[place]))


def unchanged(task: Task) -> Mapping:
    """Full range."""
    return task.images.grey


def display_window(task: Task) -> Mapping:
    """Clamped to the display window of each file."""
    return task.images.displayed


def normalized(name: str) -> Callable[[Task], Mapping]:
    """A baseline of `isotone.baselines.by_name`, fitted on the reference's training images."""

    def fit(task: Task) -> Mapping:
        fitted = baseline(name).fit(task.images.radiographs(task.numbers(task.reference, "train")))
        return one_by_one(task, fitted.transform)

    return fit


def scanner(task: Task, *, labels: bool = True) -> Mapping:
    """One curve for the scanner, by matching populations."""
    # The band is not reported here.
    options = FitOptions(classifier=task.classifier, labels=labels, settings=ScannerSettings(resamples=0))
    return through(task, fit_source(task.samples(task.source, "train", "val"), task.population, options).curves[0])


def scanner_without_labels(task: Task) -> Mapping:
    """The same, blind to the source's labels."""
    return scanner(task, labels=False)


def gdce(task: Task) -> NetworkMapping:
    """The paper's network."""
    from isotone.networks.training.fit_gdce import fit_gdce

    return NetworkMapping(task.images, fit_gdce(*parts(task), task.settings, **how(task))[0])


def parts(task: Task) -> tuple[list[Sample], list[Sample], list[Sample], Classifier]:
    """Source and reference training images, source validation images, and the classifier."""
    return (
        task.samples(task.source, "train"),
        task.samples(task.reference, "train"),
        task.samples(task.source, "val"),
        task.classifier,
    )


def how(task: Task) -> dict[str, Any]:
    """How a network is fitted."""
    return {"seed": task.seed, "device": task.device, "quiet": True}


METHODS: dict[str, Callable[[Task], Mapping]] = {
    "none": unchanged,
    "display-window": display_window,
    "z-score": normalized("z-score"),
    "histogram-matching": normalized("histogram-matching"),
    "histogram-matching-all-pixels": normalized("histogram-matching-all-pixels"),
    "scanner": scanner,
    "scanner-without-labels": scanner_without_labels,
    "gdce": gdce,
}
"""By the names of every table; "none" is the paper's full range."""


@dataclass(frozen=True, eq=False)
class NetworkMapping:
    """Images through a network that maps images to images."""

    images: Images
    network: Any

    def __call__(self, numbers: Indices) -> Grey:
        """The images, batch by batch."""
        return through_network(self.network, self.images.grey(numbers))

    def coefficients(self, numbers: Indices) -> NDArray[np.float64]:
        """Those of GDCE, shape (n, num_iterations)."""
        return coefficients(self.network, self.images.grey(numbers))


def through_network(network: Any, grey: Grey) -> Grey:
    """Images through a network that maps images to images."""
    return _in_batches(network, network, grey)[:, 0]


def coefficients(network: GDCE, grey: Grey) -> NDArray[np.float64]:
    """The coefficients that GDCE gives images, shape (n, num_iterations)."""
    return _in_batches(network, network.coefficients, grey).astype(np.float64)


def _in_batches(network: Any, function: Callable[[Any], Any], grey: Grey) -> Grey:
    import torch

    device = next(network.parameters()).device
    with torch.inference_mode():
        done = [
            function(torch.from_numpy(grey[k : k + BATCH])[:, None].to(device)).cpu()
            for k in range(0, len(grey), BATCH)
        ]
    return np.asarray(torch.cat(done).numpy())


def through(task: Task, curve: ToneCurve) -> Mapping:
    """Every image through the same curve."""
    return lambda numbers: np.clip(curve(task.images.grey(numbers)), 0, 1).astype(np.float32)


def one_by_one(task: Task, transform: Callable[[Radiograph], Radiograph]) -> Mapping:
    """Every image through a map of its own."""
    return lambda numbers: np.stack([transform(r).pixels for r in task.images.radiographs(numbers)])


def predict(task: Task, mapping: Mapping, domain: str, method: str, fold: int, split: str = "test") -> pd.DataFrame:
    """Probabilities of the classes for the images of a domain, one row each.

    Returns
    -------
    DataFrame
        Columns fold (from 1), method, domain, image, patient, view, label and ``p_<class>``.
    """
    numbers = task.numbers(domain, split)
    rows = task.images.table.loc[numbers]
    table = pd.DataFrame({"fold": fold + 1, "method": method, "domain": domain, "image": numbers})
    for column, name in (("patient", "patient_id"), ("view", "view"), ("label", "label")):
        table[column] = rows[name].to_numpy()
    if len(numbers):
        scores = task.classifier.predict(mapping(numbers))
        for k, name in enumerate(task.classifier.config.classes):
            table[f"p_{name}"] = scores[:, k].round(7)
    return table


def load_gdce(images: Images, folder: Path, entry: dict[str, Any]) -> NetworkMapping:
    """The network that an experiment saved."""
    from isotone.networks.gdce_mapper import GDCEMapper

    return NetworkMapping(images, GDCEMapper.load(folder, entry).network)

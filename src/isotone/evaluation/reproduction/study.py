"""One run of a plan: its folder, its images and folds, and the classifier of each fold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone._runtime.files import replace_file, write_text
from isotone.data.sample import Sample
from isotone.evaluation.reproduction.folds import Split, deal
from isotone.evaluation.reproduction.images import Images
from isotone.evaluation.reproduction.methods import NetworkMapping, Task, load_gdce
from isotone.evaluation.reproduction.plan import Plan

if TYPE_CHECKING:
    from isotone.networks.classifier import Classifier

RESULT, PREDICTIONS = "result.json", "predictions.csv"


@dataclass(frozen=True)
class Study:
    """A plan in its output folder.

    Attributes
    ----------
    plan : Plan
    folder : Path
    device : str
    workers : int
    quiet : bool
    """

    plan: Plan
    folder: Path
    device: str = "cpu"
    workers: int = 1
    quiet: bool = False

    def where(self, name: str) -> Path:
        """The folder of an experiment."""
        return self.folder / "experiments" / name

    def finished(self, name: str) -> bool:
        """Whether an experiment was run to its end, by this very plan."""
        try:
            return bool(self.result(name)["plan"] == self.plan.digest)
        except (OSError, ValueError, KeyError):
            return False

    def result(self, name: str) -> dict[str, Any]:
        """What an experiment noted."""
        return json.loads((self.where(name) / RESULT).read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    def finish(self, name: str, result: dict[str, Any], predictions: Iterable[pd.DataFrame]) -> None:
        """Write what came out of an experiment; its note, by which it counts as finished, last."""
        tables = [table for table in predictions if len(table)]
        if tables:
            with replace_file(self.where(name) / PREDICTIONS) as temporary:
                pd.concat(tables, ignore_index=True).to_csv(temporary, index=False)
        write_text(self.where(name) / RESULT, json.dumps({"plan": self.plan.digest, **result}, indent=1) + "\n")

    def predictions(self, kind: str) -> pd.DataFrame:
        """Those of all experiments of a kind, in the order of the plan."""
        names = [e.name for e in self.plan.experiments() if e.kind == kind]
        text = {"label": str, "view": str, "patient": str}
        tables = [
            pd.read_csv(self.where(name) / PREDICTIONS, dtype=text, keep_default_na=False, na_values={})
            for name in names
        ]
        return pd.concat(tables, ignore_index=True)

    @cached_property
    def images(self) -> Images:
        """Of the experiment "cohort"."""
        return Images.load(self.where("cohort"))

    @cached_property
    def folds(self) -> list[Split]:
        """The split of every image in each fold."""
        return deal(self.images.table, self.plan.preset, self.plan.seed)

    def task(self, fold: int, source: str, classifier: Classifier) -> Task:
        """A source domain in a fold."""
        return Task(
            images=self.images,
            split=self.folds[fold],
            reference=self.plan.about.reference,
            source=source,
            classifier=classifier,
            settings=self.plan.gdce(),
            seed=self.plan.seed,
            device=self.device,
        )

    def train(self, fold: int, domain: str) -> Classifier:
        """A classifier of a domain's training images in a fold."""
        from isotone.networks.training.train import fit_classifier

        split = self.folds[fold]
        inside = (self.images.table["domain"] == domain).to_numpy()
        train, val = (self._samples(inside & (split == name), name) for name in ("train", "val"))
        return fit_classifier(
            train,
            val,
            self.plan.training(),
            reference_domains=(domain,),
            seed=self.plan.seed,
            device=self.device,
            quiet=True,
        )

    def _samples(self, chosen: NDArray[np.bool_], split: str) -> list[Sample]:
        numbers = self.images.table.index[chosen].to_numpy()
        return self.images.samples(numbers, [split] * len(numbers))

    def classifier(self, fold: int) -> Classifier:
        """The reference's classifier of a fold; trained where it is not yet there."""
        from isotone.networks.classifier import Classifier

        folder = self.where(f"fold-{fold + 1}") / f"classifier-{self.plan.digest}"
        if not (folder / "config.json").exists():
            self.train(fold, self.plan.about.reference).save(folder)
        return Classifier.load(folder, device=self.device)

    def gdce(self, fold: int, source: str) -> NetworkMapping:
        """The preset's network of a fold that is finished."""
        name = f"fold-{fold + 1}"
        return load_gdce(self.images, self.where(name), self.result(name)["gdce"][source])

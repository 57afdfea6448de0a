"""How the paper's network learns: from a frozen classifier and a perceptual network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from isotone._runtime.run_options import FitKeywords, RunOptions
from isotone.data.sample import Sample
from isotone.data.sampling import paired_batches
from isotone.networks.classifier import Classifier
from isotone.networks.enhancer import PixelEnhancer
from isotone.networks.gdce import GDCE
from isotone.networks.losses import Features, LossForm, total_loss
from isotone.networks.training.checkpoint import fingerprint
from isotone.networks.training.learned import kept_of, learned, saturated_share
from isotone.networks.training.loop import Row, Schedule, run_epochs, seeded
from isotone.networks.training.precision import Precision, Steps
from isotone.networks.training.run_files import NO_FILES, RunFiles
from isotone.networks.training.score import Criterion
from isotone.networks.training.task import Labelled, losses, validation
from isotone.networks.vgg import load_vgg16


class GDCESettings(BaseModel):
    """How the network is fitted; the defaults are the paper's, `quick` is for a CPU.

    Examples
    --------
    >>> import isotone
    >>> isotone.GDCESettings().epochs, isotone.GDCESettings.quick(epochs=5).epochs
    (25, 5)
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    num_layers: int = Field(5, ge=1, le=9)
    """L, convolutions of the network."""
    num_iterations: int = Field(8, ge=1)
    """N, steps of Eq. 1."""
    input_size: int = Field(256, ge=8, le=2048)
    """Side in pixels of what the network sees."""
    loss: LossForm = "weighted"
    """"sum" (Eq. 4) or "weighted" (what the authors ran)."""
    weight: float = Field(0.95, ge=0, le=1)
    """λ of the weighted loss: 0.95 on EMBED, 0.5 on RSNA."""
    perceptual: Literal["vgg16", "classifier", "none"] = "vgg16"
    """Perceptual network: VGG-16 up to conv2_2, the frozen classifier's first stage, or none."""
    perceptual_weights: Path | None = None
    """Weights of VGG-16; None: the cache or a download."""
    batch_size: int = Field(12, ge=2)
    """Images from the source, and as many from the reference, balanced over the classes."""
    reshuffle: bool = False
    """Whether each epoch draws new batches; the authors' never did."""
    epochs: int = Field(25, ge=1)
    """At most; the one with the best worst-group accuracy on the source's validation images is kept, the later one of
    equals; where a class has fewer than 30 of these images, the one with the lowest cross-entropy."""
    stop_after: int | None = Field(None, ge=1)
    """Epochs without a better one after which training ends; None: all are run, as the authors did."""
    learning_rate: float = Field(1e-4, gt=0)
    """Of Adam, constant."""
    second_learning_rate: float | None = Field(None, gt=0)
    """Tried from the same start where the first did not learn (`learned`); of the two, the better on validation is
    kept. None: there is no second try, as the authors had none."""
    precision: Precision = "float32"
    """"mixed": bfloat16, or float16 on a GPU without it, where that loses nothing; validation stays float32."""

    @classmethod
    def quick(cls, **changes: Any) -> Self:
        """Settings with which a CPU is done in a minute; `changes` replace single ones.

        Batches are small so that few images make many steps. The loss is the authors' weighted one: by the plain sum
        the network may learn to make every image black, where the tanh saturates (docs/results_gdce.md).
        """
        defaults: dict[str, Any] = {
            "input_size": 64,
            "perceptual": "classifier",
            "batch_size": 4,
            "reshuffle": True,
            "epochs": 60,
            "stop_after": 15,
            "learning_rate": 1e-3,
            "second_learning_rate": 3e-4,
        }
        return cls(**defaults | changes)


def fit_gdce(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    val: Sequence[Sample],
    classifier: Classifier,
    settings: GDCESettings | None = None,
    *,
    files: RunFiles = NO_FILES,
    **options: Unpack[FitKeywords],
) -> tuple[GDCE, list[Row]]:
    """Fit the paper's network.

    Parameters
    ----------
    source, reference : sequence of Sample
        Training images of the two domains, with `label` and `prepared`. Both pass through the network.
    val : sequence of Sample
        Validation images of the source domain.
    classifier : Classifier
        Frozen; on `device`.
    settings : GDCESettings, optional
        Default: the paper's.
    files : RunFiles
        Where the checkpoint and the log are kept.
    **options
        `seed`, `device` and `quiet` of `RunOptions`.

    Returns
    -------
    network : GDCE
        In evaluation mode, with the weights of the epoch that was kept.
    rows : list of dict
        One per epoch, of a second try after those of the first: ``learning_rate``, losses, ``worst_group_accuracy`` and
        ``val_loss`` on `val`, ``saturated`` (`saturated_share`), and whether it was ``kept``.

    Raises
    ------
    IsotoneError
        E_DATA: a domain without labelled images, or a label that the classifier does not know; E_WEIGHTS: no
        perceptual network.
    """
    settings, run = settings or GDCESettings(), RunOptions(**options)

    def attempt(settings: GDCESettings, files: RunFiles) -> tuple[GDCE, list[Row]]:
        with seeded(run.seed, 0):
            network = GDCE(settings.num_layers, settings.num_iterations, settings.input_size).to(run.device)
        rows = fit_by_task(network, (source, reference, val), classifier, settings, run=run, files=files)
        return network.eval(), rows

    network, rows = attempt(settings, files)
    labels = [s.label for s in val if s.label is not None]
    if settings.second_learning_rate is None or learned(rows, labels):
        return network, rows
    slower = settings.model_copy(update={"learning_rate": settings.second_learning_rate})
    other, more = attempt(slower, replace(files, name=f"{files.name}-second"))
    criterion = Criterion.of(labels)
    better = criterion(kept_of(more)) > criterion(kept_of(rows))
    for row in rows if better else more:
        row["kept"] = 0.0
    return other if better else network, rows + more


def fit_enhancer(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    val: Sequence[Sample],
    classifier: Classifier,
    settings: GDCESettings | None = None,
    *,
    files: RunFiles = NO_FILES,
    **options: Unpack[FitKeywords],
) -> tuple[PixelEnhancer, list[Row]]:
    """Fit the pixel-wise control by the same loss and schedule; parameters and errors as in `fit_gdce`.

    What `settings` say of the network itself (`num_layers`, `num_iterations`, `input_size`) and of a second try is not
    read.
    """
    settings, run = settings or GDCESettings(), RunOptions(**options)
    with seeded(run.seed, 0):
        network = PixelEnhancer().to(run.device)
    rows = fit_by_task(network, (source, reference, val), classifier, settings, run=run, files=files)
    return network.eval(), rows


def fit_by_task(
    network: nn.Module,
    images: tuple[Sequence[Sample], Sequence[Sample], Sequence[Sample]],
    classifier: Classifier,
    settings: GDCESettings,
    *,
    run: RunOptions,
    files: RunFiles = NO_FILES,
) -> list[Row]:
    """Fit any network that maps images to images as `fit_gdce` fits GDCE; `images`: its source, reference and val."""
    source, reference, val = images
    classes = classifier.config.classes
    ours = Labelled.of(source, classes, "the source domain's train split")
    theirs = Labelled.of(reference, classes, "the reference domain's train split")
    unseen = Labelled.of(val, classes, "the source domain's val split")
    features = _features(settings, classifier, run.device)
    step = Steps(torch.optim.Adam(network.parameters(), settings.learning_rate), classifier.device, settings.precision)
    first = paired_batches(ours.names, theirs.names, settings.batch_size, np.random.default_rng(run.seed))

    def train(rng: np.random.Generator) -> Row:
        batches = paired_batches(ours.names, theirs.names, settings.batch_size, rng) if settings.reshuffle else first
        log = []
        for s, r in batches:
            pair = ours.batch(s, classifier.device), theirs.batch(r, classifier.device)
            with step.autocast():
                perceptual, task = losses(network, classifier, features, *pair)
                loss = total_loss(perceptual, task, settings.loss, settings.weight)
            step(loss)
            log.append((perceptual.item(), task.item()))
        means = np.mean(log, axis=0)
        return {"perceptual_loss": float(means[0]), "task_loss": float(means[1])}

    def validate() -> Row:
        share = saturated_share(network, unseen, classifier.device)
        return validation(network, classifier, unseen) | {"saturated": share}

    if files.folder is not None:
        frozen = [classifier.module, *([features] if isinstance(features, nn.Module) else [])]
        identity = fingerprint(network, *frozen, classifier.config, settings, run.seed, ours, theirs, unseen)
        files = replace(files, identity=identity)
    return run_epochs(
        network,
        step,
        Schedule(settings.epochs, None, settings.stop_after, Criterion.of(unseen.names), of_equals="later"),
        train,
        validate,
        run=run,
        label="fitting by the classifier",
        files=files,
    )


def _features(settings: GDCESettings, classifier: Classifier, device: str) -> Features | None:
    match settings.perceptual:
        case "vgg16":
            return load_vgg16(settings.perceptual_weights).to(device)
        case "classifier":
            return classifier.stage
        case "none":
            return None

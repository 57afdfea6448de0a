"""How the reference classifier learns."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, Self, Unpack

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import nn

from isotone._runtime.run_options import FitKeywords, RunOptions
from isotone.data.class_order import class_order
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import Sample, load_samples
from isotone.data.sampling import balanced_batches
from isotone.data.splits import with_splits
from isotone.data.trained_on import Role, TrainingRecord
from isotone.data.weak_classifier import auc_on
from isotone.errors import IsotoneError
from isotone.networks.backbones import build
from isotone.networks.classifier import Classifier
from isotone.networks.config import ClassifierConfig
from isotone.networks.losses import task_loss
from isotone.networks.prepare import Prepare
from isotone.networks.pretrained import load_pretrained, read_pretrained
from isotone.networks.training.checkpoint import fingerprint
from isotone.networks.training.loop import Row, Schedule, run_epochs, seeded
from isotone.networks.training.precision import Precision, Steps
from isotone.networks.training.run_files import NO_FILES, RunFiles
from isotone.networks.training.score import Criterion
from isotone.networks.training.task import Labelled, validation


class TrainSettings(BaseModel):
    """How a classifier is trained; the defaults are the paper's, `small` is for a CPU.

    Examples
    --------
    >>> import isotone
    >>> isotone.TrainSettings().backbone, isotone.TrainSettings.small(epochs=5).backbone
    ('resnet50', 'small')
    """

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    backbone: Literal["resnet50", "small"] = "resnet50"
    """Network."""
    weights: Path | None = None
    """Pretrained ResNet-50: torchvision's file, or one of the three of RadImageNet; None: from scratch."""
    scaling: Literal["weights", "unit"] = "weights"
    """Input as the pretrained weights want it, or plain grey levels in [0, 1] as the authors fed them."""
    image_size: int = Field(512, ge=16, le=8192)
    """Side of the square input in pixels."""
    batch_size: int = Field(12, ge=2)
    """Images per step, balanced over the classes."""
    epochs: int = Field(1000, ge=1)
    """At most."""
    learning_rate: float = Field(1e-4, gt=0)
    """Of Adam."""
    reduce_after: int = Field(25, ge=1)
    """Epochs without a better criterion (`fit_classifier`) after which the learning rate is divided by 10."""
    stop_after: int = Field(25, ge=1)
    """Epochs without a better criterion after which training stops."""
    flip: bool = True
    """Whether half of the images are mirrored left to right."""
    dropout: float = Field(0.5, ge=0, lt=1)
    """Between the layers of the head."""
    precision: Precision = "float32"
    """"mixed": bfloat16, or float16 on a GPU without it, where that loses nothing; validation stays float32."""

    @classmethod
    def small(cls, **changes: Any) -> Self:
        """Settings of the small network for a CPU; `changes` replace single ones."""
        defaults: dict[str, Any] = {
            "backbone": "small",
            "image_size": 128,
            "batch_size": 32,
            "epochs": 60,
            "learning_rate": 3e-3,
            "reduce_after": 10,
            "stop_after": 20,
            "dropout": 0.2,
        }
        return cls(**defaults | changes)


def train_classifier(
    manifest: Manifest,
    reference_domains: Sequence[str],
    settings: TrainSettings | None = None,
    *,
    folder: str | Path | None = None,
    tensorboard: bool = False,
    **options: Unpack[FitKeywords],
) -> Classifier:
    """Train a classifier on the labelled train and val images of the reference domains, and record which they were.

    Parameters
    ----------
    manifest : Manifest
        Rows without a split get one by patient-grouped, stratified folds.
    reference_domains : sequence of str
    settings : TrainSettings, optional
        Default: the paper's.
    folder : path, optional
        Where the classifier is saved, with ``log.csv``. Until then the folder keeps the decoded images, which may
        then be more than fit into memory, and a checkpoint after each epoch: the same call again goes on from
        there, on a CPU to the same bits.
    tensorboard : bool
        Write the log for TensorBoard, too, into ``tensorboard/`` of `folder`.
    **options
        The fields of `isotone._runtime.run_options.RunOptions`: `seed`, `workers`, `quiet`, `device`, and `on_refusal`,
        without which there is a warning for each image that could not be read.

    Raises
    ------
    UsageError
        A domain that the manifest does not have, or no labelled train or val row in them.
    IsotoneError
        E_DATA: fewer than two classes, a class with one image, a label that only val has. E_EXTRA: TensorBoard is
        not installed.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv")
    >>> settings = isotone.TrainSettings.small(image_size=32, epochs=1)
    >>> classifier = isotone.train_classifier(manifest, ["Alder Mammo One"], settings, quiet=True)
    >>> classifier.config.classes
    ('A', 'B', 'C', 'D')
    """
    options.setdefault("on_refusal", _warn)
    settings, run = settings or TrainSettings(), RunOptions(**options)
    files = RunFiles(None if folder is None else Path(folder), tensorboard=tensorboard)
    manifest = with_splits(manifest)
    prepare = Prepare(settings.image_size)
    splits: dict[str, list[Sample]] = {}
    with files.until_saved():
        for split in ("train", "val"):
            rows = manifest.select(domains=reference_domains, splits=(split,), labelled=True)
            splits[split], refused = load_samples(
                list(rows), prepare, workers=run.workers, quiet=run.quiet, cache=files.images, identify=True
            )
            run.refuse(refused)
            if refused and not splits[split]:
                raise IsotoneError("E_DATA", f"no {split} image of the reference domain could be read")
        classifier = fit_classifier(
            splits["train"],
            splits["val"],
            settings,
            reference_domains=reference_domains,
            files=files,
            seed=run.seed,
            device=run.device,
            quiet=run.quiet,
        )
        classifier.trained_on = _trained_on(manifest, splits)
        if files.folder is not None:
            classifier.save(files.folder)
    return classifier


def fit_classifier(
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TrainSettings,
    *,
    reference_domains: Sequence[str] = (),
    files: RunFiles = NO_FILES,
    **options: Unpack[FitKeywords],
) -> Classifier:
    """Train a classifier on samples.

    Parameters
    ----------
    train, val : sequence of Sample
        With `label` and `prepared` of `settings.image_size`. The epoch with the best worst-group accuracy on
        `val` is kept, of equal ones that with the lowest cross-entropy there; where a class has fewer than 30
        images in `val`, that with the lowest cross-entropy (`Criterion`).
    settings : TrainSettings
    reference_domains : sequence of str
        For the record.
    files : RunFiles
        Where the checkpoint and the log are kept.
    **options
        `seed`, `device` and `quiet` of `RunOptions`.

    Raises
    ------
    IsotoneError
        E_DATA, as `train_classifier` says; E_WEIGHTS: the pretrained weights are not usable.
    """
    run = RunOptions(**options)
    with seeded(run.seed, 0):
        classifier = Classifier(*_start(settings, _classes(train), reference_domains), device=run.device)
    return fit_network(classifier, train, val, settings, seed=run.seed, quiet=run.quiet, files=files)


def fit_network(
    classifier: Classifier,
    train: Sequence[Sample],
    val: Sequence[Sample],
    settings: TrainSettings,
    *,
    seed: int = 0,
    quiet: bool = False,
    files: RunFiles = NO_FILES,
) -> Classifier:
    """Train the network of a classifier, the user's own for example, as `fit_classifier` trains ours.

    Parameters
    ----------
    classifier : Classifier
        Untrained, or to be trained further; its module learns in place.
    train, val : sequence of Sample
        With `label` among the classifier's classes and `prepared` of its size.
    settings : TrainSettings
        What they say of the network itself (`backbone`, `weights`, `scaling`, `image_size`, `dropout`) is not read.
    seed : int
    quiet : bool
    files : RunFiles
        Where the checkpoint and the log are kept.

    Returns
    -------
    Classifier
        The same network, frozen again, with a record of the training.
    """
    module = classifier.module.requires_grad_(True)
    step = Steps(torch.optim.Adam(module.parameters(), settings.learning_rate), classifier.device, settings.precision)
    seen = Labelled.of(train, classifier.config.classes, "the train split")
    unseen = Labelled.of(val, classifier.config.classes, "the val split")
    per_class = -(-len(seen.names) // len(classifier.config.classes))  # an epoch is as long as the training set

    def train_epoch(rng: np.random.Generator) -> Row:
        losses = []
        for batch in balanced_batches(seen.names, settings.batch_size, rng, per_class=per_class):
            grey, numbers = seen.batch(batch, classifier.device)
            if settings.flip:
                mirrored = torch.from_numpy(rng.random(len(batch)) < 0.5).to(classifier.device)
                grey = torch.where(mirrored.view(-1, 1, 1, 1), grey.flip(3), grey)
            with step.autocast():
                loss = task_loss(classifier.logits(grey), numbers)
            step(loss)
            losses.append(loss.item())
        return {"train_loss": float(np.mean(losses))}

    if files.folder is not None:
        files = replace(files, identity=fingerprint(module, classifier.config, settings, seed, seen, unseen))
    rows = run_epochs(
        module,
        step,
        Schedule(settings.epochs, settings.reduce_after, settings.stop_after, Criterion.of(unseen.names)),
        train_epoch,
        lambda: validation(nn.Identity(), classifier, unseen),
        run=RunOptions(seed, quiet=quiet),
        label="training",
        files=files,
    )
    trained = Classifier(module, _record(classifier.config, settings, seed, rows), device=classifier.device)
    trained.config = trained.config.model_copy(update={"training": trained.config.training | _ability(trained, val)})
    return trained


def _trained_on(manifest: Manifest, splits: dict[str, list[Sample]]) -> TrainingRecord:
    """The images that were read, and their patients where the manifest names them."""
    named = set(manifest.column("patient_id")) - {None}
    roles: list[tuple[Role, str]] = [("trained", "train"), ("chosen", "val")]
    record = TrainingRecord.new()
    for role, split in roles:
        record = record.add(role, [(s.identity, s.patient if s.patient in named else None) for s in splits[split]])
    return record


def _classes(train: Sequence[Sample]) -> tuple[str, ...]:
    counts = Counter(sample.label for sample in train if sample.label is not None)
    if len(counts) < 2:
        raise IsotoneError("E_DATA", f"the training images have {len(counts)} label, not two or more")
    rare = [label for label, n in sorted(counts.items()) if n < 2]
    if rare:
        raise IsotoneError("E_DATA", f"label {rare[0]!r} has a single training image")
    return class_order(counts)


def _start(
    settings: TrainSettings, classes: tuple[str, ...], reference_domains: Sequence[str]
) -> tuple[nn.Module, ClassifierConfig]:
    backbone: str = settings.backbone
    pretrained = None
    channels = 1 if backbone == "small" else 3
    mean, std = (0.0,) * channels, (1.0,) * channels
    if settings.weights is not None:
        if backbone == "small":
            raise IsotoneError("E_WEIGHTS", "the small network has no pretrained weights", file=settings.weights)
        pretrained = read_pretrained(settings.weights)
        backbone = pretrained.backbone
        if settings.scaling == "weights":
            mean, std = pretrained.mean, pretrained.std
    network = build(backbone, len(classes), settings.dropout)
    if pretrained is not None and settings.weights is not None:
        load_pretrained(network, pretrained, settings.weights)
    config = ClassifierConfig(
        backbone=backbone,
        classes=classes,
        reference_domains=tuple(reference_domains),
        image_size=settings.image_size,
        channels=channels,
        mean=mean,
        std=std,
        first_stage="" if backbone == "small" else "layer1",
        training={"weights": None if pretrained is None else pretrained.origin},
    )
    return network, config


def _record(config: ClassifierConfig, settings: TrainSettings, seed: int, rows: list[Row]) -> ClassifierConfig:
    kept = next(row for row in rows if row["kept"])
    notes = settings.model_dump(exclude={"weights", "backbone", "image_size"}) | {
        "seed": seed,
        "epochs_run": len(rows),
        "epoch_kept": int(kept["epoch"]),
        "val_worst_group_accuracy": kept["worst_group_accuracy"],
        "val_loss": kept["val_loss"],
    }
    return config.model_copy(update={"training": config.training | notes})


def _ability(classifier: Classifier, val: Sequence[Sample]) -> dict[str, float]:
    """For the record: AUC on the validation images, and its 95 % interval."""
    found = auc_on(val, classifier)
    return {} if found is None else {"val_auc": found[0], "val_auc_low": found[1][0], "val_auc_high": found[1][1]}


def _warn(error: IsotoneError) -> None:
    warnings.warn(str(error), stacklevel=3)

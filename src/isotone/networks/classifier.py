"""The frozen pathology classifier: a network, what it wants to see, and the folder that holds both."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ValidationError
from torch import Tensor, nn

from isotone._runtime.files import write_text
from isotone.data.manifests.manifest import Manifest
from isotone.data.trained_on import FILE, TrainingRecord
from isotone.errors import IsotoneError, ModelError, UsageError
from isotone.networks.backbones import BACKBONES, build, refuse_code
from isotone.networks.config import CONFIG, ClassifierConfig, NetworkFacts, first_of, read_config
from isotone.networks.forward import PLAIN, logits_of, said
from isotone.networks.model_digest import model_digest
from isotone.networks.prepare import Prepare
from isotone.networks.probe import probe
from isotone.networks.weights import load_weights, save_weights

WEIGHTS = "model.safetensors"


class Classifier:
    """A frozen network with the image preparation that belongs to it.

    Parameters
    ----------
    module : nn.Module
        Takes float32 of shape (n, channels, S, S), gives logits of shape (n, C). It is moved to `device`, set
        to evaluation mode and frozen.
    config : ClassifierConfig
    device : str or torch.device

    Attributes
    ----------
    module : nn.Module
    config : ClassifierConfig
    prepare : Prepare
        Radiograph → float32 array of shape (S, S) in [0, 1]; picklable, needs no torch.
    trained_on : TrainingRecord or None
        Which images and patients it was trained on; None: nobody recorded them.

    Examples
    --------
    >>> import numpy, isotone
    >>> classifier = isotone.Classifier.load("classifier")
    >>> image = isotone.read_radiograph("phantom/images/alder/P0001/LCC.dcm")
    >>> probabilities = classifier.predict(numpy.stack([classifier.prepare(image)]))
    >>> probabilities.shape, round(float(probabilities.sum()), 6)
    ((1, 4), 1.0)
    """

    def __init__(self, module: nn.Module, config: ClassifierConfig, *, device: str | torch.device = "cpu") -> None:
        self.module = _frozen(module, device)
        self.config = config
        self.prepare = Prepare(config.image_size)
        self.trained_on: TrainingRecord | None = None
        self.device = torch.device(device)
        self._mean = torch.tensor(config.mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(config.std, device=device).view(1, -1, 1, 1)

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        *,
        trained_on: Manifest | TrainingRecord | str | Path | None = None,
        device: str | torch.device = "cpu",
        **facts: Unpack[NetworkFacts],
    ) -> Self:
        """Any network as a classifier.

        With `backbone` as ``module:function`` it can be saved, which is the way from a ``.pt`` file to a
        folder:

        >>> module = mynet.build()                                                   # doctest: +SKIP
        >>> module.load_state_dict(torch.load("mynet.pt", weights_only=True))        # doctest: +SKIP
        >>> Classifier.from_module(module, backbone="mynet:build", classes=["benign", "malignant"],
        ...     image_size=512, mean=0.5, std=0.5, trained_on="training.csv").save("classifier")  # doctest: +SKIP

        A network that gives one number per image scores the second of two classes.

        Parameters
        ----------
        trained_on : Manifest, path of one, or TrainingRecord, optional
            The images that the network was trained on, so that they are never counted as test: rows of split train or
            without a split, and those of val, by which an epoch was chosen; rows of test are passed over. Each image
            is read once. `TrainingRecord.add_manifest` does the same in several processes.
        **facts
            The fields of `ClassifierConfig`: `classes` and `image_size` always, and of the others those that differ:
            `channels` (3), `mean` (0) and `std` (1), each one number or one per channel, `output` ("logits"),
            `exclusive` (True), `inverted` (False), `reference_domains`, `first_stage` and `backbone` (none).

        Raises
        ------
        UsageError
            The parameters contradict each other.
        ModelError
            E_MODEL: the network does not do here what a classifier does (`isotone.networks.probe`).
        IsotoneError
            E_DATA: none of the images of `trained_on` could be read.
        """
        try:
            config = ClassifierConfig.of_network(facts)
        except ValidationError as error:
            raise UsageError(f"the classifier's description is wrong: {first_of(error)}") from error
        classifier = cls(module, config, device=device)
        probe(classifier)
        classifier.trained_on = _record(trained_on)
        return classifier

    @classmethod
    def load(
        cls, folder: str | Path, device: str | torch.device = "cpu", *, allow_code: str | Collection[str] = ()
    ) -> Self:
        """Read a folder that `save` wrote, or that a user made likewise.

        Parameters
        ----------
        folder : path
        device : str or torch.device
        allow_code : str or collection of str
            The ``module:function`` that builds the network, where the folder names one: it is imported and called only
            if it is named here, too.

        Raises
        ------
        ModelError
            E_MODEL: missing, damaged, altered, of a later schema, or weights of another network; code that is not
            allowed; a network that does not do here what a classifier does (`isotone.networks.probe`).
        """
        source = Path(folder)
        config = read_config(source)
        own = config.backbone not in BACKBONES
        if own:
            refuse_code(config.backbone, allow_code, source / CONFIG)
        if not config.sha256:
            raise ModelError(
                "E_MODEL",
                f"the config states no sha256 of {WEIGHTS}",
                file=source / CONFIG,
                next_step=f"Write into it what sha256sum says of {WEIGHTS}.",
            )
        module = build(config.backbone, len(config.classes))
        load_weights(module, source / WEIGHTS, config.sha256)
        classifier = cls(module, config, device=device)
        if own:  # ours are known to be fit
            probe(classifier)
        classifier.trained_on = TrainingRecord.read(source)
        return classifier

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors``, the record of the training if there is one, and ``config.json`` with a checksum.

        Raises
        ------
        UsageError
            The network has no name to build it by, or is `of_finding`.
        """
        if isinstance(self.module, OneOutput):
            raise UsageError(
                "one finding of a network cannot be saved without the others",
                next_step="Save the classifier with all its findings, or export the one as ONNX.",
            )
        if not self.config.backbone:
            raise UsageError("this network has no name to build it by", next_step='Give backbone="module:function".')
        target = Path(folder)
        sha256 = save_weights(self.module, target / WEIGHTS)
        self.config = self.config.model_copy(update={"sha256": sha256})
        if self.trained_on is None:
            (target / FILE).unlink(missing_ok=True)  # of a network that was here before
        else:
            self.trained_on.write(target)
        write_text(target / CONFIG, self.config.model_dump_json(indent=2) + "\n")

    def of_finding(self, name: str) -> Self:
        """One output of a network whose outputs do not exclude each other, as a classifier of two classes.

        Parameters
        ----------
        name : str
            One of `ClassifierConfig.classes`.

        Returns
        -------
        Classifier
            Of the classes ``"no NAME"`` and ``NAME``; it shares the network, and cannot be saved.

        Raises
        ------
        UsageError
            No output has this name, or the classes exclude each other.
        """
        known = self.config.classes
        if self.config.exclusive or name not in known:
            what = (
                "its classes exclude each other" if self.config.exclusive else f"the classifier has no output {name!r}"
            )
            step = "Leave it out." if self.config.exclusive else f"Name one of: {', '.join(known)}."
            raise UsageError(what, next_step=step)
        config = self.config.model_copy(
            update={
                "classes": (f"no {name}", name),
                "exclusive": True,
                "backbone": "",
                "first_stage": self.config.first_stage and f"network.{self.config.first_stage}",
            }
        )
        found = type(self)(OneOutput(self.module, known.index(name)), config, device=self.device)
        found.trained_on = self.trained_on
        return found

    def with_reference(self, domains: Sequence[str]) -> Self:
        """The same network; these scanners are its reference.

        Parameters
        ----------
        domains : sequence of str
            `ClassifierConfig.reference_domains` of the result.
        """
        found = copy.copy(self)
        found.config = self.config.model_copy(update={"reference_domains": tuple(domains)})
        return found

    @property
    def digest(self) -> str | None:
        """As `model_digest` has it."""
        return model_digest(self.module, self.config, self.device)

    def logits(self, grey: Tensor) -> Tensor:
        """Logits of shape (n, C) from grey levels of shape (n, 1, S, S) in [0, 1]; differentiable.

        Raises
        ------
        ModelError
            E_MODEL: the network fails, or gives something else (`isotone.networks.forward`).
        """
        return logits_of(self.module, self._scale(grey), len(self.config.classes), self.config.output)

    def stage(self, grey: Tensor) -> Tensor:
        """Features of shape (n, K, h, w) at `ClassifierConfig.first_stage`; differentiable.

        Raises
        ------
        ModelError
            E_MODEL: the network has no such layer, or no convolution.
        """
        convolutions = [name for name, module in self.module.named_modules() if isinstance(module, nn.Conv2d)]
        name = self.config.first_stage or next(iter(convolutions[1:2] or convolutions), "")
        try:
            layer = self.module.get_submodule(name)
        except AttributeError as error:
            raise ModelError("E_MODEL", f"the network has no layer {name!r}") from error
        return _output_of(layer, self.module, self._scale(grey))

    def predict(self, prepared: NDArray[np.float32], batch_size: int = 64) -> NDArray[np.float64]:
        """Probabilities of the classes.

        Parameters
        ----------
        prepared : float32 array of shape (n, S, S)
            What `prepare` gives, in [0, 1].
        batch_size : int

        Returns
        -------
        float64 array of shape (n, C)

        Raises
        ------
        ModelError
            E_MODEL: a score is not finite.
        UsageError
            Its outputs do not exclude each other.
        """
        self._refuse_several_findings()
        with torch.inference_mode():
            return _probabilities([self.logits(batch) for batch in self._batches(prepared, batch_size)])

    def embed(self, prepared: NDArray[np.float32], batch_size: int = 64) -> NDArray[np.float32]:
        """Features of shape (n, D) that enter the last linear layer that runs (the logits where there is none)."""
        return torch.cat([features for _, features in self._with_features(prepared, batch_size)]).numpy()

    def predict_and_embed(
        self, prepared: NDArray[np.float32], batch_size: int = 64
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """What `predict` and `embed` give, by one pass through the network; errors as for `predict`."""
        self._refuse_several_findings()
        logits, features = zip(*self._with_features(prepared, batch_size), strict=True)
        return _probabilities(logits), torch.cat(features).numpy()

    @torch.inference_mode()
    def _with_features(self, prepared: NDArray[np.float32], batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and features of one batch after the other."""
        taken: list[Tensor] = []

        def note(_: nn.Module, given: tuple[Tensor, ...]) -> None:
            taken.extend(given[:1])

        with ExitStack() as hooks:
            for layer in self.module.modules():
                if isinstance(layer, nn.Linear):
                    hooks.enter_context(layer.register_forward_pre_hook(note))
            for batch in self._batches(prepared, batch_size):
                logits = self.logits(batch)
                # A layer that runs on patches of images says nothing of an image.
                of_images = [features for features in taken if len(features) == len(batch)]
                yield logits, (of_images or [logits])[-1].flatten(1).float().cpu()
                taken.clear()

    def _refuse_several_findings(self) -> None:
        if not self.config.exclusive:
            raise UsageError(
                "the outputs of this classifier do not exclude each other",
                next_step=f"Choose one by .of_finding(NAME) ({', '.join(self.config.classes)}).",
            )

    def _scale(self, grey: Tensor) -> Tensor:
        if self.config.inverted:
            grey = 1 - grey
        return (grey.expand(-1, self.config.channels, -1, -1) - self._mean) / self._std

    def _batches(self, prepared: NDArray[np.float32], size: int) -> Iterator[Tensor]:
        for start in range(0, len(prepared), size):
            batch = torch.from_numpy(np.ascontiguousarray(prepared[start : start + size], np.float32))
            yield batch.unsqueeze(1).to(self.device)


def _probabilities(logits: Iterable[Tensor]) -> NDArray[np.float64]:
    """Of batches of logits, shape (n, C) each."""
    result = torch.cat([batch.double().softmax(1) for batch in logits]).cpu().numpy()
    if not np.isfinite(result).all():
        raise ModelError("E_MODEL", "the classifier's scores are not all finite")
    return result


class OneOutput(nn.Module):
    """One output of a network, of shape (n,)."""

    def __init__(self, network: nn.Module, number: int) -> None:
        super().__init__()
        self.network, self.number = network, number

    def forward(self, images: Tensor) -> Tensor:
        given: Tensor = self.network(images)
        return given.reshape(given.shape[0], -1)[:, self.number]  # len() would fix the batch in exports


class _ReachedError(Exception):
    """Ends a forward pass where its rest is not needed."""


def _output_of(layer: nn.Module, module: nn.Module, images: Tensor) -> Tensor:
    taken: list[Tensor] = []

    def stop(_: nn.Module, __: Any, output: Tensor) -> None:
        taken.append(output)
        raise _ReachedError

    with layer.register_forward_hook(stop):
        try:
            module(images)
        except _ReachedError:
            return taken[0]
    raise ModelError("E_MODEL", "the network never runs the layer named as its first stage")


def _frozen(module: nn.Module, device: str | torch.device) -> nn.Module:
    if not isinstance(module, nn.Module):
        raise ModelError("E_MODEL", f"a {type(module).__name__}, not a torch.nn.Module", next_step=PLAIN)
    try:
        module.to(device).eval()
        for parameter in module.parameters():  # module.requires_grad_ is not for scripted ones
            parameter.requires_grad_(False)
    except Exception as error:  # lazy parameters, a user's own .to() or .eval()
        what = f"the network cannot be moved to {device} and set to evaluation ({said(error)})"
        raise ModelError("E_MODEL", what, next_step="Run it once on an image where its parameters are lazy.") from error
    return module


def _record(given: Manifest | TrainingRecord | str | Path | None) -> TrainingRecord | None:
    if given is None or isinstance(given, TrainingRecord):
        return given
    manifest = given if isinstance(given, Manifest) else Manifest.read(given)
    return TrainingRecord.new().add_manifest(manifest, on_refusal=_warn)


def _warn(error: IsotoneError) -> None:
    warnings.warn(f"not recorded: {error}", stacklevel=5)

"""The frozen pathology classifier: a network, what it wants to see, and the folder that holds both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator
from torch import Tensor, nn

from isotone.errors import ModelError, UsageError
from isotone.files import write_text
from isotone.models.backbones import build
from isotone.models.prepare import Prepare
from isotone.models.weights import load_weights, save_weights

CONFIG = "config.json"
WEIGHTS = "model.safetensors"


class ClassifierConfig(BaseModel):
    """What a classifier's folder says of its network (``config.json``)."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        validate_by_name=True,
        serialize_by_alias=True,
    )

    schema_version: Literal[1] = Field(1, alias="schema")
    """Version of this layout."""
    backbone: str
    """"resnet50", "resnet50-keras", "small", or ``module:function`` of the user's own network; "" where it
    has no name, and then it cannot be saved."""
    classes: tuple[str, ...] = Field(min_length=2)
    """Labels, in the order of the logits."""
    reference_domains: tuple[str, ...] = ()
    """Scanners whose images it was trained on."""
    image_size: int = Field(ge=8, le=8192)
    """Side in pixels of the square to which images are resized (stretched, antialiased bilinear)."""
    channels: int = Field(ge=1, le=64)
    """Into which the grey image is repeated."""
    mean: tuple[FiniteFloat, ...]
    """Subtracted from grey levels in [0, 1], one number per channel."""
    std: tuple[Annotated[FiniteFloat, Field(gt=0)], ...]
    """Divides them after that, one number per channel."""
    inverted: bool = False
    """Whether the network wants white as 0 (grey levels x become 1 − x before `mean` and `std`)."""
    first_stage: str = ""
    """Name of the layer whose output is compared where the classifier serves as the perceptual network; ""
    means its second convolution."""
    training: dict[str, bool | int | float | str | None] = {}
    """How it was trained, for the record."""
    sha256: str = ""
    """SHA-256 of ``model.safetensors``."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std have one number per channel")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        return self


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
    """

    def __init__(self, module: nn.Module, config: ClassifierConfig, *, device: str | torch.device = "cpu") -> None:
        self.module = module.to(device).eval().requires_grad_(False)
        self.config = config
        self.prepare = Prepare(config.image_size)
        self.device = torch.device(device)
        self._mean = torch.tensor(config.mean, device=device).view(1, -1, 1, 1)
        self._std = torch.tensor(config.std, device=device).view(1, -1, 1, 1)

    @classmethod
    def from_module(
        cls,
        module: nn.Module,
        *,
        classes: Sequence[str],
        image_size: int,
        reference_domains: Sequence[str] = (),
        channels: int = 3,
        mean: float | Sequence[float] = 0.0,
        std: float | Sequence[float] = 1.0,
        inverted: bool = False,
        first_stage: str = "",
        backbone: str = "",
        device: str | torch.device = "cpu",
    ) -> Self:
        """Any network as a classifier; the parameters are those of `ClassifierConfig`.

        With `backbone` as ``module:function`` it can be saved, which is the way from a ``.pt`` file to a
        folder:

        >>> module = mynet.build()                                                   # doctest: +SKIP
        >>> module.load_state_dict(torch.load("mynet.pt", weights_only=True))        # doctest: +SKIP
        >>> Classifier.from_module(module, backbone="mynet:build", classes=["benign", "malignant"],
        ...     image_size=512, mean=0.5, std=0.5).save("classifier")                # doctest: +SKIP

        Raises
        ------
        UsageError
            The parameters contradict each other.
        """
        try:
            config = ClassifierConfig(
                backbone=backbone,
                classes=tuple(classes),
                reference_domains=tuple(reference_domains),
                image_size=image_size,
                channels=channels,
                mean=_per_channel(mean, channels),
                std=_per_channel(std, channels),
                inverted=inverted,
                first_stage=first_stage,
            )
        except ValidationError as error:
            raise UsageError(f"the classifier's description is wrong: {_first(error)}") from error
        return cls(module, config, device=device)

    @classmethod
    def load(cls, folder: str | Path, device: str | torch.device = "cpu") -> Self:
        """Read a folder that `save` wrote, or that a user made likewise.

        A config that names ``module:function`` imports that module: load folders of people you trust.

        Raises
        ------
        ModelError
            E_MODEL: missing, damaged, altered, of a later schema, or weights of another network.
        """
        source = Path(folder)
        try:
            config = ClassifierConfig.model_validate_json((source / CONFIG).read_bytes())
        except OSError as error:
            raise ModelError(
                "E_MODEL", f"no classifier here: {error.strerror or error}", file=source / CONFIG
            ) from error
        except ValidationError as error:
            raise ModelError("E_MODEL", f"not a classifier's config: {_first(error)}", file=source / CONFIG) from error
        module = build(config.backbone, len(config.classes))
        load_weights(module, source / WEIGHTS, config.sha256)
        return cls(module, config, device=device)

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors``, then ``config.json`` with its checksum.

        Raises
        ------
        UsageError
            The network has no name to build it by.
        """
        if not self.config.backbone:
            raise UsageError("this network has no name to build it by", next_step='Give backbone="module:function".')
        target = Path(folder)
        sha256 = save_weights(self.module, target / WEIGHTS)
        self.config = self.config.model_copy(update={"sha256": sha256})
        write_text(target / CONFIG, self.config.model_dump_json(indent=2) + "\n")

    def logits(self, grey: Tensor) -> Tensor:
        """Logits of shape (n, C) from grey levels of shape (n, 1, S, S) in [0, 1]; differentiable.

        Raises
        ------
        ModelError
            E_MODEL: the network gives another shape.
        """
        logits: Tensor = self.module(self._scale(grey))
        wanted = (len(grey), len(self.config.classes))
        if logits.shape != wanted:
            raise ModelError("E_MODEL", f"the network gives shape {tuple(logits.shape)}, not {wanted}")
        return logits

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
        """
        with torch.inference_mode():
            scores = [self.logits(b).double().softmax(1) for b in self._batches(prepared, batch_size)]
        result = torch.cat(scores).cpu().numpy()
        if not np.isfinite(result).all():
            raise ModelError("E_MODEL", "the classifier's scores are not all finite")
        return result

    def embed(self, prepared: NDArray[np.float32], batch_size: int = 64) -> NDArray[np.float32]:
        """Features of shape (n, D) that enter the last linear layer (the logits where there is none)."""
        linear = [module for module in self.module.modules() if isinstance(module, nn.Linear)]
        taken: list[Tensor] = []
        hook = (
            linear[-1].register_forward_pre_hook(lambda _, args: taken.append(args[0].flatten(1)))
            if linear
            else self.module.register_forward_hook(lambda _, __, output: taken.append(output))
        )
        with torch.inference_mode(), hook:
            for batch in self._batches(prepared, batch_size):
                self.logits(batch)
        return torch.cat(taken).cpu().numpy()

    def _scale(self, grey: Tensor) -> Tensor:
        if self.config.inverted:
            grey = 1 - grey
        return (grey.expand(-1, self.config.channels, -1, -1) - self._mean) / self._std

    def _batches(self, prepared: NDArray[np.float32], size: int) -> Iterator[Tensor]:
        for start in range(0, len(prepared), size):
            batch = torch.from_numpy(np.ascontiguousarray(prepared[start : start + size], np.float32))
            yield batch.unsqueeze(1).to(self.device)


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


def _per_channel(value: float | Sequence[float], channels: int) -> tuple[float, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value,) * channels


def _first(error: ValidationError) -> str:
    details = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in details["loc"])
    return f"{where}: {details['msg']}" if where else details["msg"]

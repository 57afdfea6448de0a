"""What a classifier's folder says of its network."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Required, Self, TypedDict

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, ValidationError, model_validator

from isotone.errors import ModelError

CONFIG = "config.json"
LARGEST = 1e6
"""Of `mean` and `std`, which scale grey levels in [0, 1]; far below where float32 overflows."""
WRONG = "Name the folder of a classifier, which isotone train or isotone.Classifier.save wrote."
RECIPE = (
    "Make a folder of your network first: isotone.Classifier.from_module(…).save(FOLDER); see "
    "https://isotone.readthedocs.io, Recipes, Bring your own classifier."
)
"""Next step where something else is given in the place of a classifier's folder."""


class NetworkFacts(TypedDict, total=False):
    """What a user tells of a network: fields of `ClassifierConfig`; `mean` and `std` may be one number."""

    backbone: str
    classes: Required[Sequence[str]]
    exclusive: bool
    reference_domains: Sequence[str]
    image_size: Required[int]
    channels: int
    mean: float | Sequence[float]
    std: float | Sequence[float]
    output: Literal["logits", "probabilities"]
    inverted: bool
    first_stage: str


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
    backbone: str = Field(pattern=r"^[\w.-]*(:[\w.]+)?$")
    """"resnet50", "resnet50-keras", "small", or ``module:function`` of the user's own network; "" where it
    has no name, and then it cannot be saved."""
    classes: tuple[str, ...] = Field(min_length=1)
    """Labels, in the order of the logits; or the findings, one for each output, where these are not `exclusive`."""
    exclusive: bool = True
    """Whether an image has one class alone (softmax). False: each output scores a finding of its own (sigmoid), and
    `Classifier.of_finding` takes one."""
    reference_domains: tuple[str, ...] = ()
    """Scanners whose images it was trained on."""
    image_size: int = Field(ge=8, le=8192)
    """Side in pixels of the square to which images are resized (stretched, antialiased bilinear)."""
    channels: int = Field(ge=1, le=64)
    """Into which the grey image is repeated."""
    mean: tuple[Annotated[FiniteFloat, Field(ge=-LARGEST, le=LARGEST)], ...]
    """Subtracted from grey levels in [0, 1], one number per channel."""
    std: tuple[Annotated[FiniteFloat, Field(ge=1 / LARGEST, le=LARGEST)], ...]
    """Divides them after that, one number per channel."""
    output: Literal["logits", "probabilities"] = "logits"
    """What the network returns for each image: one number per class, or, of two classes, that of the second alone."""
    inverted: bool = False
    """Whether the network wants white as 0 (grey levels x become 1 − x before `mean` and `std`)."""
    first_stage: str = ""
    """Name of the layer whose output is compared where the classifier serves as the perceptual network; ""
    means its second convolution."""
    training: dict[str, bool | int | float | str | None] = {}
    """How it was trained, for the record."""
    sha256: str = ""
    """SHA-256 of ``model.safetensors``."""

    @classmethod
    def of_network(cls, facts: NetworkFacts) -> Self:
        """Of a user's own network, with 3 channels of mean 0 and deviation 1 where nothing else is told.

        Raises
        ------
        pydantic.ValidationError
            The facts contradict each other, or one is missing.
        """
        told: dict[str, Any] = {"backbone": "", "channels": 3, "mean": 0.0, "std": 1.0} | dict(facts)
        told |= {name: tuple(told[name]) for name in ("classes", "reference_domains") if name in told}
        for name in ("mean", "std"):
            if isinstance(told[name], (int, float)) and isinstance(told["channels"], int):
                told[name] = (told[name],) * told["channels"]
        return cls.model_validate(told)

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if not len(self.mean) == len(self.std) == self.channels:
            raise ValueError("mean and std have one number per channel")
        if self.exclusive and len(self.classes) < 2:
            raise ValueError("classes are two at least, unless they do not exclude each other")
        if len(set(self.classes)) != len(self.classes):
            raise ValueError("a class is named twice")
        return self


def read_config(folder: Path) -> ClassifierConfig:
    """The config of a classifier's folder.

    Raises
    ------
    ModelError
        E_MODEL: no such folder, no config in it, or a damaged one.
    """
    if folder.is_file():
        raise ModelError("E_MODEL", "a file, not the folder of a classifier", file=folder, next_step=RECIPE)
    if not folder.is_dir():
        raise ModelError("E_MODEL", "no such folder", file=folder, next_step="Correct the path, or train a classifier.")
    path = folder / CONFIG
    if not path.is_file():  # reading a pipe would wait for ever
        raise ModelError(
            "E_MODEL", f"not the folder of a classifier: it has no {CONFIG}", file=folder, next_step=RECIPE
        )
    try:
        return ClassifierConfig.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ModelError("E_MODEL", f"cannot be read: {error.strerror or error}", file=path) from error
    except ValidationError as error:
        what = f"not a classifier's config: {first_of(error)}"
        raise ModelError("E_MODEL", what, file=path, next_step=WRONG) from error


def first_of(error: ValidationError) -> str:
    """The first complaint in one line, without the value that it is about."""
    details = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part) for part in details["loc"])
    return f"{where}: {details['msg']}" if where else details["msg"]

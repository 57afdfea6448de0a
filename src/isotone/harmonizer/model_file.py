"""What a harmonizer's config.json holds: every field is checked once, here, where it enters.

A checksum tells that a file is as it was written, not by whom: whoever writes one can compute it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from isotone._runtime.files import write_text
from isotone.errors import ModelError

SCHEMA = 1
KIND = "isotone-harmonizer"
CONFIG = "config.json"
WRONG = "Name the folder that isotone fit wrote."
LARGEST = 2**28
"""Bytes that are read at most; a scanner takes a few hundred thousand. More lets a hostile file take more memory."""

Share = Annotated[float, Field(ge=0, le=1)]
Empty = Annotated[dict[str, float], Field(max_length=0)]
Count = Annotated[int, Field(ge=0, lt=2**53)]


class Checked(BaseModel):
    """Fields of these types and no others in their place; a number is finite."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class Band(Checked):
    """Of `isotone.estimation.bootstrap.band`."""

    x: Annotated[list[float], Field(min_length=1)]
    low: list[float]
    high: list[float]

    @model_validator(mode="after")
    def _as_long(self) -> Self:
        if not len(self.x) == len(self.low) == len(self.high):
            raise ValueError("a band has as many low and high values as places")
        return self


class Scores(Checked):
    """Of `isotone.estimation.bootstrap.score_interval`."""

    width: float
    decisions: Share
    images: Count


class CurveNotes(Checked):
    """What is known of one curve."""

    band: Band | Empty
    score_interval: Scores | Empty = Field(default_factory=dict)
    free: bool
    projection_rmse_levels_8bit: float
    clipped_share: float
    warnings: list[str]


class PresetNotes(CurveNotes):
    """What is known of one preset of a scanner."""

    images: Count


class AdaptiveNotes(Checked):
    """What validation found of corrections image by image."""

    variance: float
    strength: Share
    gain: float = 0.0
    standard_error: float = 0.0
    validation_images: Count = 0


class ScannerNotes(CurveNotes):
    """What a fit by transport says of a scanner."""

    images: Count
    patients: Count
    reference_images: Count
    mix: dict[str, float] | None
    mix_from: Literal["stated", "labels", "structure", "classifier", "none"]
    window: float
    presets: list[PresetNotes] = Field(default_factory=list)
    adaptive: AdaptiveNotes | None = None
    leans_on: dict[str, float] = Field(default_factory=dict)


class Epoch(Checked):
    """One line of a network's training."""

    worst_group_accuracy: float


class NetworkNotes(Checked):
    """What a fit of a network says of a scanner."""

    epochs: Annotated[list[Epoch], Field(min_length=1)]


class NoNotes(Checked):
    """Of a curve that was not fitted."""

    model_config = ConfigDict(extra="forbid")


class Names(Checked):
    """How domains were named: `isotone.data.manifests.domain_names.Naming`."""

    model_config = ConfigDict(extra="forbid")

    map: dict[str, str]
    by: list[str]


class ModelFile(Checked):
    """The whole file, its checksum apart."""

    model_config = ConfigDict(extra="forbid")

    schema_: Literal[1] = Field(alias="schema")
    kind: Literal["isotone-harmonizer"]
    version: str
    method: str
    labels: Literal["all", "none"]
    seed: int
    air_rule: int = 1
    settings: dict[str, Any] | None
    reference_domains: Annotated[list[str], Field(min_length=1)]
    naming: Names | None = None
    mappers: Annotated[dict[str, dict[str, Any]], Field(min_length=1)]
    seen: dict[str, dict[str, dict[str, Count]]]
    gates: dict[str, dict[str, Any] | None]
    drifts: dict[str, dict[str, Any] | None] = Field(default_factory=dict)
    notes: dict[str, ScannerNotes | NetworkNotes | NoNotes]


def read_model_file(folder: Path) -> tuple[dict[str, Any], str]:
    """The checked contents of a folder's config.json, and their checksum.

    Raises
    ------
    ModelError
        Damaged, altered, foreign, of a later schema, too large, or with a field that is missing or of another type.
    """
    try:
        with (folder / CONFIG).open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise ModelError("E_MODEL", "holds no harmonizer", file=folder, next_step=WRONG) from error
    if len(text) > LARGEST:
        raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} is larger than {LARGEST >> 20} MiB", file=folder)
    try:
        body = json.loads(text)
        if not isinstance(body, dict) or body.get("kind") != KIND:
            raise ModelError("E_MODEL", "holds no harmonizer", file=folder, next_step=WRONG)
        if body.get("schema") != SCHEMA:
            raise ModelError("E_MODEL", "a harmonizer of another schema is not understood here", file=folder)
        digest = body.pop("sha256", None)
        if digest != checksum(body):
            raise ModelError("E_MODEL", "the harmonizer was altered after it was written", file=folder)
        ModelFile.model_validate(body)
    except (ValueError, RecursionError) as error:  # pydantic's is a ValueError
        raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} is damaged{_where(error)}", file=folder) from error
    for name in ("seen", "gates", "notes"):
        if body["mappers"].keys() - body[name].keys():
            raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} lacks {name} of a scanner", file=folder)
    return body, digest


def write_model_file(folder: Path, body: Mapping[str, Any]) -> str:
    """Write the file, whole or not at all; its checksum."""
    digest = checksum(body)
    write_text(folder / CONFIG, json.dumps({**body, "sha256": digest}, indent=2) + "\n")
    return digest


def checksum(body: Mapping[str, Any]) -> str:
    """SHA-256 of the contents, hexadecimal."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _where(error: Exception) -> str:
    """The top field concerned: deeper names may be a stranger's text."""
    return f": {error.errors()[0]['loc'][0]}" if isinstance(error, ValidationError) else ""

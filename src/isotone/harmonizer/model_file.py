"""What a harmonizer's config.json holds: every field is checked once, here, where it enters.

A checksum tells that a file is as it was written, not by whom: whoever writes one can compute it. The names of the
fields are those of schema 1: ``seen`` are facts of headers, ``gates`` novelty, ``notes`` reports.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError

from isotone._runtime.files import write_text
from isotone.errors import ModelError
from isotone.estimation.report import Count, FitReport
from isotone.estimation.stored_arrays import Json
from isotone.harmonizer.fitted_scanner import FittedScanner, NetworkReport
from isotone.harmonizer.mappers import load_mapper
from isotone.monitoring.header_novelty import recoded
from isotone.monitoring.novelty import Novelty
from isotone.monitoring.response_drift import ResponseDrift

SCHEMA = 1
KIND = "isotone-harmonizer"
CONFIG = "config.json"
WRONG = "Name the folder that isotone fit wrote."
LARGEST = 2**28
"""Bytes that are read at most; a scanner takes a few hundred thousand. More lets a hostile file take more memory."""

CHECKED = ConfigDict(strict=True, allow_inf_nan=False, extra="forbid")
_REPORT: TypeAdapter[FitReport | NetworkReport | None] = TypeAdapter(
    FitReport | NetworkReport | None, config=ConfigDict(strict=True, allow_inf_nan=False, extra="ignore")
)
"""What earlier builds knew besides is passed over."""


class Names(BaseModel):
    """How domains were named: `isotone.data.manifests.domain_names.Naming`."""

    model_config = CHECKED

    map: dict[str, str]
    by: list[str]


class ModelFile(BaseModel):
    """The whole file: fields of these types and no others; a number is finite."""

    model_config = CHECKED

    schema_: Literal[1] = Field(alias="schema")
    kind: Literal["isotone-harmonizer"]
    version: str
    method: str
    labels: Literal["all", "none"]
    seed: int
    air_rule: int = 1
    settings: dict[str, JsonValue] | None
    reference_domains: Annotated[list[str], Field(min_length=1)]
    naming: Names | None = None
    mappers: Annotated[dict[str, dict[str, JsonValue]], Field(min_length=1)]
    seen: dict[str, dict[str, dict[str, Count]]]
    gates: dict[str, dict[str, JsonValue] | None]
    drifts: dict[str, dict[str, JsonValue] | None] = Field(default_factory=dict)
    notes: dict[str, dict[str, JsonValue] | None]


def read_model_file(folder: Path) -> tuple[ModelFile, str]:
    """The checked contents of a folder's config.json, and their checksum.

    Raises
    ------
    ModelError
        Damaged, altered, foreign, of a later schema, too large, or with a field that is missing or of another type.
    """
    text = _read(folder)
    try:
        body = json.loads(text)
        if not isinstance(body, dict) or body.get("kind") != KIND:
            raise ModelError("E_MODEL", "holds no harmonizer", file=folder, next_step=WRONG)
        if body.get("schema") != SCHEMA:
            raise ModelError("E_MODEL", "a harmonizer of another schema is not understood here", file=folder)
        digest = str(body.pop("sha256", None))
        if digest != checksum(body):
            raise ModelError("E_MODEL", "the harmonizer was altered after it was written", file=folder)
        found = ModelFile.model_validate_json(json.dumps(body))
    except (ValueError, RecursionError) as error:  # pydantic's is a ValueError
        raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} is damaged{_where(error)}", file=folder) from error
    for name in ("seen", "gates", "notes"):
        if found.mappers.keys() - getattr(found, name).keys():
            raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} lacks {name} of a scanner", file=folder)
    return found, digest


def _read(folder: Path) -> bytes:
    try:
        with (folder / CONFIG).open("rb") as file:
            text = file.read(LARGEST + 1)
    except OSError as error:
        raise ModelError("E_MODEL", "holds no harmonizer", file=folder, next_step=WRONG) from error
    if len(text) > LARGEST:
        raise ModelError("E_MODEL", f"the harmonizer's {CONFIG} is larger than {LARGEST >> 20} MiB", file=folder)
    return text


def write_model_file(folder: Path, body: Mapping[str, object]) -> str:
    """Write the file, whole or not at all; its checksum."""
    digest = checksum(body)
    write_text(folder / CONFIG, json.dumps({**body, "sha256": digest}, indent=2) + "\n")
    return digest


def scanners_of(found: ModelFile, folder: Path) -> dict[str, FittedScanner]:
    """The scanners that a file describes; networks are read from beside it.

    Raises
    ------
    ModelError, ValueError, KeyError, TypeError, AttributeError
        What it says of one makes none.
    """
    return {
        domain: FittedScanner(
            load_mapper(folder, entry),
            report=_report(found.notes[domain]),
            headers=recoded(found.seen[domain]),
            novelty=None if (gate := found.gates[domain]) is None else Novelty.from_json(gate),
            drift=None if (drift := found.drifts.get(domain)) is None else ResponseDrift.from_json(drift),
        )
        for domain, entry in found.mappers.items()
    }


def scanners_body(scanners: Mapping[str, FittedScanner], entries: Mapping[str, Json]) -> dict[str, object]:
    """The fields of the file that describe scanners; `entries` are what their mappers saved."""

    def of(name: str) -> dict[str, Any]:
        parts = {domain: getattr(scanner, name) for domain, scanner in scanners.items()}
        # null where there is none: a file that lacks the entry is damaged.
        return {domain: None if part is None else part.to_json() for domain, part in parts.items()}

    return {
        "mappers": dict(entries),
        "seen": {domain: scanner.headers for domain, scanner in scanners.items()},
        "gates": of("novelty"),
        "drifts": of("drift"),
        "notes": {domain: _REPORT.dump_python(scanner.report, mode="json") for domain, scanner in scanners.items()},
    }


def _report(entry: Json | None) -> FitReport | NetworkReport | None:
    """Earlier builds called modes presets, and wrote an empty object where nothing is known."""

    def known(value: Any) -> Any:
        if isinstance(value, list):
            return [known(part) for part in value]
        if not isinstance(value, dict):
            return value
        return {"modes" if name == "presets" else name: known(part) for name, part in value.items() if part != {}}

    return _REPORT.validate_json(json.dumps(known(entry or None)))


def checksum(body: Mapping[str, object]) -> str:
    """SHA-256 of the contents, hexadecimal."""
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _where(error: Exception) -> str:
    """The top field concerned: deeper names may be a stranger's text."""
    return f": {error.errors()[0]['loc'][0]}" if isinstance(error, ValidationError) else ""

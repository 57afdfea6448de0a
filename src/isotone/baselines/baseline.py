"""What every baseline shares: its parameters by name, and a folder that it is saved to and loaded from."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from isotone._runtime.files import write_text
from isotone._runtime.parameters import Parameters
from isotone._version import __version__
from isotone.errors import IsotoneError, ModelError, UsageError
from isotone.imaging.radiograph import Radiograph

FILE = "baseline.json"
KIND, SCHEMA = "isotone-baseline", 1
LARGEST = 2**28
"""Bytes that are read at most; 65,536 grey levels take two million. More lets a hostile file take more memory."""


class Baseline(Parameters):
    """A baseline that can be saved; one that learns overrides `fit`, `learned` and `remember`.

    Attributes
    ----------
    fitted : bool
        False until `fit` or `remember` of a baseline that learns.
    """

    name: str
    fitted = True

    def fit(self, reference: Iterable[Radiograph]) -> Self:
        """Nothing to learn."""
        return self

    def refuse_unfitted(self) -> None:
        """Raise what `transform` raises before a fit.

        Raises
        ------
        IsotoneError
            E_USAGE: not fitted.
        """
        if not self.fitted:
            raise IsotoneError("E_USAGE", f"{self.name} is not fitted", next_step="Call fit(reference) first.")

    def learned(self) -> dict[str, Any]:
        """What `fit` found, for JSON.

        Raises
        ------
        IsotoneError
            E_USAGE: not fitted.
        """
        return {}

    def remember(self, learned: Mapping[str, Any]) -> None:
        """Take what `learned` gave, in the place of a fit.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is something else.
        """

    def save(self, folder: str | Path) -> None:
        """Write ``baseline.json`` with a checksum, whole or not at all.

        Raises
        ------
        IsotoneError
            E_USAGE: not fitted.
        """
        body = {
            "schema": SCHEMA,
            "kind": KIND,
            "version": __version__,
            "name": self.name,
            "parameters": self.get_params(),
            "learned": self.learned(),
        }
        write_text(Path(folder) / FILE, json.dumps({**body, "sha256": _checksum(body)}) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """The baseline that `save` wrote; of unknown kind: `isotone.baselines.by_name.load_baseline`.

        Raises
        ------
        ModelError
            E_MODEL: damaged, altered, foreign, of another kind or of a later schema.
        UsageError
            E_READ: no such folder.
        """
        body = read_body(folder)
        try:
            found = cls(**body["parameters"])
            if found.name != body["name"]:
                raise ModelError("E_MODEL", f"holds a baseline {body['name']!r}, no {found.name}", file=folder)
            found.remember(body["learned"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ModelError("E_MODEL", f"the baseline's {FILE} is damaged", file=folder) from error
        return found


def read_body(folder: str | Path) -> dict[str, Any]:
    """The contents of a baseline's file.

    Raises
    ------
    ModelError, UsageError
        As `Baseline.load`.
    """
    path = Path(folder) / FILE
    if not Path(folder).exists():
        raise UsageError("no such baseline", code="E_READ", file=folder)
    try:
        with path.open("rb") as file:
            text = file.read(LARGEST + 1)
        body = json.loads(text, parse_constant=_refuse) if len(text) <= LARGEST else None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError("E_MODEL", "holds no baseline", file=folder) from error
    if not isinstance(body, dict) or body.get("kind") != KIND or body.get("schema") != SCHEMA:
        raise ModelError("E_MODEL", "holds no baseline of this version", file=folder)
    if body.pop("sha256", None) != _checksum(body):
        raise ModelError("E_MODEL", "the baseline was altered after it was written", file=folder)
    return body


def finite(value: Any) -> float:
    """A number of a file.

    Raises
    ------
    ValueError, TypeError
        It is none, or not finite.
    """
    if isinstance(value, bool) or not math.isfinite(value):
        raise ValueError("no finite number")
    return float(value)


def _checksum(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no number")

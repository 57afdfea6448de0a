"""The record that travels with a delivered image: the exact curve, the model, and the table to undo it with."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import UID

from isotone._version import __version__
from isotone.curves.tone_curve import ToneCurve
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.radiograph import Stored

SCHEMA = 1
NAMESPACE = uuid.UUID("f3b2a6de-5a83-4c0c-9c39-6f7c1f0f5d1e")
"""UIDs are name-based UUIDs in this namespace, written as PS3.5 B.2 has it, so that no registered root is needed."""
INTENDED_USE = "input for algorithms, not for diagnostic reading"

Deliver = Literal["pixels", "voi-lut", "gsps", "png", "npy"]
Table = NDArray[np.uint16]


@dataclass(frozen=True, eq=False)
class Record:
    """How one image was harmonized.

    Attributes
    ----------
    curve : ToneCurve
    harmonizer, digest : str
        Name and SHA-256 of the model.
    deliver : str
        "pixels", "voi-lut", "gsps" or "png".
    table : uint16 array of shape (2**bits,) or None
        Delivered value of each possible stored value of the source (index 0: the smallest, so that signed values are
        shifted by ``2**(bits − 1)``); None where the pixels were not touched.
    domain : str or None
        The scanner whose curve it is.
    altered : tuple of str
        Clauses in ASCII: what of the source cannot come back, however well the pixels do.
    bits : int
        Of a delivered value.
    untouched : str or None
        SHA-256 of the stored values that travel as they are, so that it is noticed where somebody changed them.
    """

    curve: ToneCurve
    harmonizer: str
    digest: str
    deliver: Deliver
    table: Table | None = field(default=None, repr=False)
    domain: str | None = None
    altered: tuple[str, ...] = ()
    untouched: str | None = None
    bits: int = 16

    def uid(self, *names: str) -> UID:
        """A UID that depends on nothing but these names, the model, the delivery and the version."""
        name = "|".join([self.digest, self.deliver, __version__, *names])
        return UID(f"2.25.{uuid.uuid5(NAMESPACE, name).int}")

    def to_json(self) -> str:
        """One line of JSON."""
        body: dict[str, Any] = {
            "schema": SCHEMA,
            "version": __version__,
            "deliver": self.deliver,
            "harmonizer": self.harmonizer,
            "sha256": self.digest,
            "domain": self.domain,
            "curve": json.loads(self.curve.to_json()),
        }
        if self.table is not None:
            body |= {"entries": len(self.table), "table": _pack(self.table), "altered": self.altered, "bits": self.bits}
        if self.untouched is not None:
            body["untouched"] = self.untouched
        return json.dumps(body)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The record that `to_json` wrote.

        Raises
        ------
        RadiographError
            E_RESTORE: not such a text, or of a later schema.
        """
        try:
            body = json.loads(text)
            if body["schema"] != SCHEMA:
                raise RadiographError("E_RESTORE", "its isotone record is of another schema")
            table = _unpack(body["table"], body["entries"]) if "table" in body else None
            curve = ToneCurve.from_json(json.dumps(body["curve"]))
            altered = tuple(str(clause) for clause in body.get("altered", ()))
            if body["deliver"] not in get_args(Deliver):
                raise ValueError("no delivery of ours")
            facts = {
                "domain": body.get("domain"),
                "untouched": body.get("untouched"),
                "bits": int(body.get("bits", 16)),
            }
            model = str(body["harmonizer"]), str(body["sha256"])
            return cls(curve, *model, body["deliver"], table, altered=altered, **facts)
        except (ValueError, KeyError, TypeError, RecursionError, zlib.error, IsotoneError) as error:
            raise RadiographError("E_RESTORE", "its isotone record is damaged") from error


def digest_of_values(frames: Iterable[Stored]) -> str:
    """SHA-256 of the stored values of all frames, however they are encoded."""
    digest = hashlib.sha256()
    for stored in frames:
        digest.update(np.ascontiguousarray(stored, "<u2").data)
    return digest.hexdigest()


def _pack(table: Table) -> str:
    """A table climbs by small steps, and these compress fifteenfold and more; level 9 takes twenty times as long."""
    steps = np.diff(table, prepend=np.uint16(0)).astype("<u2")
    return base64.b64encode(zlib.compress(steps.tobytes(), 6)).decode()


def _unpack(text: str, entries: int) -> Table:
    if not 1 <= entries <= 2**16:
        raise ValueError("no possible length of a table")
    inflater = zlib.decompressobj()
    steps = np.frombuffer(inflater.decompress(base64.b64decode(text, validate=True), 2 * entries), "<u2")
    if len(steps) != entries:
        raise ValueError("the table is too short")
    return np.cumsum(steps, dtype=np.uint16)

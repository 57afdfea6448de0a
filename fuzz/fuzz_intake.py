"""Fuzz what a peer of a node sends: a data set before it is parsed, and the node's configuration.

    python fuzz/fuzz_intake.py -max_total_time=20 [CORPUS]

The first byte of an input chooses the transfer syntax, or the configuration. Only isotone's errors may come out.
"""

from __future__ import annotations

import sys
import tempfile
import warnings
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["isotone", "pydicom"]):
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

    from isotone.errors import IsotoneError
    from isotone.serving.intake import Incoming, refuse_other
    from isotone.serving.node_settings import read_settings

SYNTAXES = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
)
FOLDER = Path(tempfile.mkdtemp(prefix="isotone-fuzz-"))


def one(data: bytes) -> None:
    kind, body = data[:1], data[1:]
    if not kind:
        return
    try:
        if kind[0] % 5 == 4:
            path = FOLDER / "node.toml"
            path.write_bytes(body)
            read_settings(path)
        else:
            refuse_other(Incoming(b"", memoryview(body), "1.2.3", "4.5.6", str(SYNTAXES[kind[0] % 5]), "PEER"))
    except IsotoneError:
        return


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    atheris.Setup(sys.argv, one)
    atheris.Fuzz()

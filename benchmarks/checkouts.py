"""A script of this folder, run with the source and the tests of another checkout."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any


def script_in(root: Path, name: str, *arguments: object) -> dict[str, Any]:
    """What `subprocess.run` and `Popen` take to run a script of this folder with the code of a checkout."""
    return {
        "args": [sys.executable, str(Path(__file__).with_name(name)), *map(str, arguments)],
        "env": {**os.environ, "PYTHONPATH": f"{root / 'src'}{os.pathsep}{root / 'tests'}"},
        "text": True,
    }

"""What is measured, and how: `python -m benchmarks.NAME` from the root of a clone; README.md lists them."""

import sys
from pathlib import Path

# Images and models made by script serve tests and benchmarks alike.
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

"""The benchmarks for a GPU run where torch, numpy and scipy are all there is."""

import subprocess
import sys
from pathlib import Path

import pytest

OTHERS = [
    "pydicom",
    "pydantic",
    "PIL",
    "safetensors",
    "pebble",
    "rich",
    "typer",
    "sklearn",
    "skimage",
    "pandas",
    "imagecodecs",
    "highdicom",
    "jinja2",
]
BLOCKED = """
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {others}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Refuse())
import benchmarks.device, benchmarks.full_size
"""


@pytest.mark.slow
def test_the_benchmarks_for_a_gpu_need_torch_numpy_and_scipy_alone() -> None:
    """They and what they import of the package load with every other dependency refused."""
    code = BLOCKED.format(others=set(OTHERS))
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).resolve().parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr

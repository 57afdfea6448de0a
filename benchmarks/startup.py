"""How long isotone takes to answer --help and to be imported, as ratios to what cannot be less.

    python -m benchmarks.startup [--rounds 15]

Processor time of whole processes, measured in turn, the least of all rounds: other programs do not count.
Wanted: `isotone --help` in at most 1.2 times an empty typer program of two commands, `import isotone` in at most twice
the bare interpreter, `isotone inspect` of one small file in at most three times `import pydicom`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from dicoms import pixels, radiograph, write

EMPTY = """
import typer
app = typer.Typer(pretty_exceptions_enable=False, add_completion=False)
@app.command()
def first(path: str) -> None: "One thing."
@app.command()
def second(path: str) -> None: "Another."
app(["--help"])
"""
PROGRAMS = {
    "bare interpreter": "pass",
    "import isotone": "import isotone",
    "import pydicom": "import pydicom",
    "empty typer program --help": EMPTY,
    "isotone --help": "import sys; sys.argv = ['isotone', '--help']; from isotone.cli import main; main()",
}
INSPECT = "import sys; sys.argv = ['isotone', 'inspect', {!r}]; from isotone.cli import main; main()"
RATIOS = (
    ("isotone inspect FILE", "import pydicom", 3.0),
    ("import isotone", "bare interpreter", 2.0),
    ("isotone --help", "empty typer program --help", 1.2),
)


def seconds(code: str, bytecode: str) -> float:
    """Processor time of an interpreter that runs it, and keeps its bytecode in a folder."""
    given = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = given | {"PYTHONPYCACHEPREFIX": bytecode}
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.DEVNULL, env=environment)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"failed: {code}")
    return used.ru_utime + used.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    count = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as bytecode:
        path = write(radiograph(pixels(rows=256, columns=256)), Path(bytecode) / "one.dcm")
        programs = PROGRAMS | {"isotone inspect FILE": INSPECT.format(str(path))}
        rounds = [{name: seconds(code, bytecode) for name, code in programs.items()} for _ in range(count)]
    best = {name: min(found[name] for found in rounds) for name in programs}
    for name, value in best.items():
        print(f"{name:27} {value * 1000:5.0f} ms")
    for name, base, wanted in RATIOS:
        print(f"{name} / {base}: {best[name] / best[base]:.2f}, wanted at most {wanted}")


if __name__ == "__main__":
    main()

"""Installs the wheel in an empty environment of every Python that is here, and runs every command without the extras.

    python3 .ci/clean_install.py dist/isotone-*.whl

A command must end well, or with one line that has E_EXTRA and a command that installs what is missing. With the
first interpreter one such line is run, and the command again.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

WANTED = ("3.11", "3.12", "3.13", "3.14")
LIGHT = 0
EXTRA = 1
"""Exit code of a command that answers, and of one that asks for an extra."""
COMMANDS = {
    "cohort phantom --patients 30 --size 64 -o cohort --quiet": LIGHT,
    "cohort nih cohort/manifest.csv -o nih": EXTRA,
    "cohort rsna --labels cohort/manifest.csv -o rsna": EXTRA,
    "cohort embed cohort -o embed": EXTRA,
    "manifest cohort/images -o listed.csv": LIGHT,
    "inspect cohort/images/birch": LIGHT,
    'fit cohort/manifest.csv --reference "Alder Mammo One" --source "Birch Mammo Two" --labels none -o curve': EXTRA,
    "apply model cohort/images/birch -o applied --quiet": LIGHT,
    "restore applied -o restored --quiet": LIGHT,
    "check model cohort/images/birch": LIGHT,
    "curve model --plot curve.svg": LIGHT,
    "curve model --plot curve.png": EXTRA,
    "export model -o exported": EXTRA,
    "trained-on classifier cohort/manifest.csv": LIGHT,
    'audit cohort/manifest.csv --reference "Alder Mammo One"': EXTRA,
    'train cohort/manifest.csv --reference "Alder Mammo One" -o trained': EXTRA,
    "evaluate cohort/manifest.csv --classifier classifier -o evaluation": EXTRA,
    "compare evaluation-a evaluation-b": EXTRA,
    "paperwork evaluation-a": EXTRA,
    "demo -o demo": EXTRA,
    "reproduce phantom --quick -o reproduced": EXTRA,
    "reproduce phantom --quick --dry-run -o reproduced": EXTRA,
    "serve node.toml": EXTRA,
}
PREPARE = """
import pathlib
from isotone import ToneCurve, ToneCurveHarmonizer
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.mappers import ScannerMapper

source = "Birch Mammo Two"
harmonizer = ToneCurveHarmonizer("Alder Mammo One", source)
harmonizer.scanners = {source: FittedScanner(ScannerMapper(ToneCurve([0.2])))}
harmonizer.save(pathlib.Path("model"))
for name in ("classifier", "evaluation-a", "evaluation-b"):
    pathlib.Path(name).mkdir()
    pathlib.Path(name, "config.json").write_text("{}")
"""
LIST = """
import typer
from isotone.cli import app


def walk(group, before=""):
    for name, command in group.commands.items():
        walk(command, before + name + " ") if hasattr(command, "commands") else print(before + name)


walk(typer.main.get_command(app))
"""


def interpreters() -> dict[str, Path]:
    """The wanted versions that are in /usr/bin, on the path or in pyenv, and can make an environment."""
    found: dict[str, Path] = {}
    for version in WANTED:
        here = shutil.which(f"python{version}", path="/usr/bin") or shutil.which(f"python{version}")
        places = sorted(Path.home().glob(f".pyenv/versions/{version}.*/bin/python"))
        works = [p for p in (*([Path(here)] if here else []), *places) if _version(p) == version]
        if works:
            found[version] = works[0]
    return found


def _version(python: Path) -> str | None:
    code = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2])"
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None


def environment() -> dict[str, str]:
    """This one's, without what would show a checkout to the commands."""
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}


def call(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run it there."""
    return subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)


def must(command: list[str], folder: Path) -> None:
    """Run it there; it must end well."""
    done = call(command, folder)
    if done.returncode:
        raise SystemExit(f"failed: {shlex.join(command)}\n{done.stdout}{done.stderr}")


def installing(done: subprocess.CompletedProcess[str]) -> str | None:
    """The command that a refusal names, where it is one line with E_EXTRA."""
    lines = done.stderr.strip().splitlines()
    said = re.search(r"\[E_EXTRA\].*Install it: (pip install .*)$", lines[0]) if len(lines) == 1 else None
    return said[1] if said else None


def try_wheel(python: Path, wheel: Path, folder: Path) -> list[str]:
    """What went wrong with this interpreter."""
    must([str(python), "-m", "venv", "env"], folder)
    here = folder / "env" / "bin"
    must([f"{here}/pip", "install", "--quiet", str(wheel)], folder)
    must([f"{here}/python", "-c", PREPARE], folder)
    known = call([f"{here}/python", "-c", LIST], folder).stdout.splitlines()
    wrong = [f"no line for `isotone {name}`" for name in known if not any(c.startswith(name) for c in COMMANDS)]
    named = set()
    for command, wanted in COMMANDS.items():
        done = call([f"{here}/isotone", *shlex.split(command)], folder)
        line = installing(done)
        ends = line is not None if wanted == EXTRA else done.returncode == 0
        if not ends or "Traceback" in done.stderr:
            wrong.append(f"isotone {command}: exit code {done.returncode}\n{done.stderr[-1500:]}")
        named |= {line} if line else set()
    for line in sorted(named):
        # Nothing is fetched: the line can be read, names this wheel, and the wheel has that extra.
        done = call([str(here / "pip"), *shlex.split(line)[1:], "--dry-run", "--no-deps"], folder)
        if done.returncode or "does not provide the extra" in done.stderr:
            wrong.append(f"{line}\n{done.stderr[-1500:]}")
    return wrong


def main() -> None:
    """Try each, and say which versions were not here."""
    wheel = Path(sys.argv[1]).resolve()
    found, failed = interpreters(), False
    for version, python in found.items():
        with tempfile.TemporaryDirectory(prefix=f"isotone-{version}-") as folder:
            wrong = try_wheel(python, wheel, Path(folder))
            print(f"Python {version} ({python}): {len(COMMANDS)} commands, {len(wrong)} wrong")
            print("\n".join(wrong), end="\n" if wrong else "")
            failed |= bool(wrong)
            if version == next(iter(found)) and not wrong:
                install_the_plot_extra(Path(folder))
    missing = [version for version in WANTED if version not in found]
    print(f"not here, so not tried: {', '.join(missing) or 'none'}")
    raise SystemExit(int(failed or not found))


def install_the_plot_extra(folder: Path) -> None:
    """Follow one refusal to the end: its line installs, and then the command answers."""
    here = folder / "env" / "bin"
    command = [f"{here}/isotone", "curve", "model", "--plot", "curve.png"]
    line = installing(call(command, folder))
    must([str(here / "pip"), *shlex.split(line or "")[1:], "--quiet"], folder)
    must(command, folder)
    print(f"installed by its own advice: {line}")


if __name__ == "__main__":
    main()

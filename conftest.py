"""Runs the examples of README.md, CONTRIBUTING.md and docs/: Python as Python, console blocks as commands.

Each page runs in a new folder.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from sybil import Document, Example, Sybil
from sybil.parsers.myst import CodeBlockParser, PythonCodeBlockParser, SkipParser

COMMANDS = Path(sys.executable).parent


def run_console(example: Example) -> None:
    """Run each line that starts with a dollar sign; what it prints is not compared, its success is."""
    environment = {**os.environ, "PATH": f"{COMMANDS}{os.pathsep}{os.environ['PATH']}"}
    for line in example.parsed.replace("\\\n", " ").splitlines():
        if line.startswith("$ "):
            done = subprocess.run(
                shlex.split(line[2:], comments=True), capture_output=True, text=True, env=environment, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


def enter_folder(namespace: dict) -> None:
    """Work in a new folder."""
    namespace["_folder"] = tempfile.TemporaryDirectory(prefix="isotone-docs-")
    namespace["_before"] = Path.cwd()
    os.chdir(namespace["_folder"].name)
    namespace["_cache"] = tempfile.TemporaryDirectory(prefix="isotone-docs-")
    os.environ["ISOTONE_CACHE"] = namespace["_cache"].name


def leave_folder(namespace: dict) -> None:
    """Go back, and leave nothing behind."""
    os.chdir(namespace["_before"])
    namespace["_folder"].cleanup()
    namespace["_cache"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser(), CodeBlockParser("console", run_console), SkipParser()],
    patterns=["README.md", "CONTRIBUTING.md", "docs/*.md", "docs/examples/*.md"],
    excludes=[".venv/**"],
    setup=enter_folder,
    teardown=leave_folder,
    document_types={".md": Document},
).pytest()

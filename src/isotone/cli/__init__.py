"""The command line: each command calls one function of the library and prints what it returned."""

import io
import sys
import warnings

# Modules of commands have no `from __future__ import annotations`: typer evaluates each text twice, for every --help.
from isotone.cli import cohorts, deliver, export, images, judge, learn, reproduce, serve
from isotone.cli.app import app, stop_on_signals
from isotone.errors import in_callers_terms
from isotone.safe_text import printable

__all__ = ["app", "cohorts", "deliver", "export", "images", "judge", "learn", "main", "reproduce", "serve"]


def main() -> None:
    """Entry point of the command `isotone`."""
    # One line, as of a refusal, in the place of Python's two with a path of ours.
    warnings.formatwarning = lambda message, *_, **__: f"isotone: {printable(in_callers_terms(str(message)))}\n"
    for stream in (sys.stdout, sys.stderr):
        # A file name need not be UTF-8, nor a console know every letter; what it does not know is shown as its number.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    stop_on_signals()
    app()

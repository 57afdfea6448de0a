"""The command line: each command calls one function of the library and prints what it returned."""

import warnings

from isotone.cli import cohorts, deliver, judge, learn, reproduce
from isotone.cli.app import app

__all__ = ["app", "cohorts", "deliver", "judge", "learn", "main", "reproduce"]


def main() -> None:
    """Entry point of the command `isotone`."""
    # One line, as of a refusal, in the place of Python's two with a path of ours.
    warnings.formatwarning = lambda message, *_, **__: f"isotone: {message}\n"
    app()

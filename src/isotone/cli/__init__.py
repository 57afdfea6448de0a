"""The command line: each command calls one function of the library and prints what it returned."""

from isotone.cli import cohorts, deliver, judge, learn, reproduce
from isotone.cli.app import app

__all__ = ["app", "cohorts", "deliver", "judge", "learn", "main", "reproduce"]


def main() -> None:
    """Entry point of the command `isotone`."""
    app()

"""What a destination answers, whichever way it is reached."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from enum import Enum
from pathlib import Path
from typing import NamedTuple, Protocol

from isotone.errors import IsotoneError
from isotone.serving.object_queue import Due

NO_ANSWER = "no answer"
"""Code of an object that was sent and not answered: the destination may have it."""


class Answer(Enum):
    """What is to be done with an object after it was tried.

    SENT: the destination has it. REJECTED: it is tried again, a limited number of times. UNWANTED: it is a dead letter.
    """

    SENT = "sent"
    REJECTED = "rejected"
    UNWANTED = "unwanted"


class Letter(NamedTuple):
    """A delivery and the file that is sent."""

    due: Due
    path: Path


class Answered(NamedTuple):
    """An answer, and the code that says why: a status of DICOM or HTTP, or one of isotone's."""

    letter: Letter
    answer: Answer
    code: str | None = None


Transcode = Callable[[Path, str], Path]
"""Path and transfer syntax → path of a temporary file; raises `IsotoneError` where that cannot be without loss."""


class Unreachable(Exception):
    """The destination takes nothing at present: everything waits, and no object is to blame."""


class Sender(Protocol):
    """A way to reach a destination."""

    def send(self, letters: Sequence[Letter]) -> Generator[Answered, None, None]:
        """Send objects, and say of each what became of it; of the rest, nothing, where the destination ends.

        Raises
        ------
        Unreachable
            With the reason as its text.
        """
        ...

    def stop(self) -> None:
        """End what is under way, from another thread; it is sent again."""
        ...


def unwanted(letter: Letter, error: IsotoneError) -> Answered:
    """The answer where an object cannot be brought into a form that the destination takes."""
    passing = error.code in ("E_WRITE", "E_TIMEOUT")
    return Answered(letter, Answer.REJECTED if passing else Answer.UNWANTED, error.code)

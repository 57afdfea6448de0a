"""What is odd about a header but no reason to refuse it: stable W_… codes instead of pydicom's own warnings.

pydicom's warnings and log lines quote header values, which may be patient data, so none of them is let through.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from isotone.errors import CODES


class Warned(list[str]):
    """Codes of warnings, in order of appearance, each once."""

    def add(self, code: str) -> None:
        """Add a key of `isotone.errors.CODES`."""
        if code not in self:
            self.append(code)

    def lines(self) -> tuple[str, ...]:
        """One line per warning: its code, then what it says."""
        return tuple(f"{code}: {CODES[code].cause}" for code in self)


class _Collector(logging.Filter):
    def __init__(self, warned: Warned) -> None:
        super().__init__()
        self.warned = warned

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno >= logging.WARNING:
            self.warned.add(_code(record.getMessage()))
        return False


@contextmanager
def caught_warnings() -> Iterator[Warned]:
    """Turn pydicom's warnings and log lines into codes for as long as the context lasts."""
    warned = Warned()
    collector = _Collector(warned)
    logger = logging.getLogger("pydicom")
    logger.addFilter(collector)
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                yield warned
            finally:
                for warning in caught:
                    warned.add(_code(str(warning.message)))
    finally:
        logger.removeFilter(collector)


def _code(message: str) -> str:
    text = message.lower()
    if "encod" in text or "character" in text or "charset" in text:
        return "W_CHARSET"
    return "W_UID" if "vr ui" in text else "W_HEADER"

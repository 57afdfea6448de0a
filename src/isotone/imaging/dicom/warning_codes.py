"""What is odd about a header but no reason to refuse it: stable W_… codes instead of pydicom's own warnings.

pydicom's warnings and log lines quote header values, which may be patient data, so none of them is let through.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

WARNINGS = {
    "W_CHARSET": "the character set is unknown or text does not fit it",
    "W_HARMONIZED": "isotone made this image; apply refuses to harmonize it again",
    "W_HEADER": "a header value breaks the rules of its type",
    "W_HIGHBIT": "HighBit contradicts the pixels, which lie in the lowest bits, and was ignored",
    "W_HIGHBITS": "bits outside BitsStored are set and were ignored",
    "W_INTENT": "PresentationIntentType contradicts the SOP class, which was followed",
    "W_LOSSY": "the compressed frame is lossy, though its transfer syntax is lossless",
    "W_NO_STATE": "it lacks its own UID or that of class, series or study; --deliver gsps refuses it",
    "W_NO_UID": "without SOP class and instance UID nothing can be derived from it; apply refuses it",
    "W_OVERSHOOT": "lossy values beyond BitsStored were clipped",
    "W_PACKING": "the pixel data are packed otherwise than PS3.5 says; the frame is whole and was read",
    "W_PADDING": "PixelPaddingValue is not a possible stored value and was ignored",
    "W_POLARITY": "PresentationLUTShape contradicts the photometric interpretation and was followed",
    "W_PREAMBLE": "the preamble is that of a program or archive",
    "W_PRECISION": "the compressed frame has 8 bits, though BitsStored says more; its values were read as they are",
    "W_RGB": "equal channels, or an opaque alpha channel, were read as one",
    "W_SIGN": "negative values lack the sign in their upper bits, and were read by the bits of BitsStored",
    "W_TABLE": "a VOI LUT states a depth that its entries do not have; its largest entry is shown white",
    "W_UID": "a unique identifier is missing or not valid",
    "W_WINDOW": "a display window or VOI LUT is unusable; the next that can be used, or full range, instead",
}
"""Stable codes of warnings (public API) and what each says."""


class Warned(list[str]):
    """Codes of warnings, in order of appearance, each once."""

    def add(self, code: str) -> None:
        """Add one of `WARNINGS`."""
        if code not in self:
            self.append(code)

    def lines(self) -> tuple[str, ...]:
        """One line per warning: its code, then what it says."""
        return tuple(f"{code}: {WARNINGS[code]}" for code in self)


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

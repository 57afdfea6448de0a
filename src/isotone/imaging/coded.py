"""Header values that go on: to the console, into models. Codes do; what is not a code is free text, so perhaps a name.

Whoever fills in a header by hand can put anything anywhere, and a model file travels farther than its images.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
"""The form of a code string (PS3.5 6.2)."""
INTENTS = ("FOR PRESENTATION", "FOR PROCESSING")
"""Values of PresentationIntentType (0008,0068)."""
MODALITIES = ("CR", "DX", "MG", "IO", "PX", "RF", "RG", "XA", "CT", "MR", "NM", "PT", "US", "OT", "SC", "XC")
"""The modalities (PS3.3 C.7.3.1.1.1) of radiographs, and of what is taken for them."""
PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
"""The photometric interpretations in use (PS3.3 C.7.6.3.1.2)."""
_STORAGE = "1.2.840.10008.5.1.4.1.1."
INTENT_OF_CLASS = {
    _STORAGE + "1.1": INTENTS[0],  # digital X-ray
    _STORAGE + "1.1.1": INTENTS[1],
    _STORAGE + "1.2": INTENTS[0],  # digital mammography
    _STORAGE + "1.2.1": INTENTS[1],
    _STORAGE + "1.3": INTENTS[0],  # intra-oral
    _STORAGE + "1.3.1": INTENTS[1],
    _STORAGE + "13.1.4": INTENTS[0],  # breast projection
    _STORAGE + "13.1.5": INTENTS[1],
}
"""SOP classes that say what their images are for."""


def coded(text: str | None, terms: Collection[str] | None = None) -> str | None:
    """A code as it is; of anything else a mark in its place, equal for equal texts.

    Parameters
    ----------
    text : str or None
    terms : collection of str, optional
        The codes there are; default: whatever has the form of one.
    """
    if text is None or (CODE.fullmatch(text) if terms is None else text in terms):
        return text
    return f"an unknown value ({hashed(text)[:8]})"


def hashed(text: str) -> str:
    """SHA-256, first 16 hexadecimals: tells equal from unequal, and no more."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]

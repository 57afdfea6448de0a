"""Header values that go on: to the console, into models. Codes do; what is not a code is free text, so perhaps a name.

Whoever fills in a header by hand can put anything anywhere, and a model file travels farther than its images.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

MARK = re.compile(r"an unknown value \([0-9a-f]{8}\)")
"""What stands in the place of free text; equal for equal texts."""
CODE = re.compile(r"[A-Z0-9_ ]{1,16}")
"""The form of a code string (PS3.5 6.2)."""
INTENTS = ("FOR PRESENTATION", "FOR PROCESSING")
"""Values of PresentationIntentType (0008,0068)."""
MODALITIES = ("CR", "DX", "MG", "IO", "PX", "RF", "RG", "XA", "CT", "MR", "NM", "PT", "US", "OT", "SC", "XC")
"""The modalities (PS3.3 C.7.3.1.1.1) of radiographs, and of what is taken for them."""
PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
"""The photometric interpretations in use (PS3.3 C.7.6.3.1.2)."""
VIEWS = frozenset(
    """
    AP PA LL RL RLD LLD RLO LLO ML MLO LM LMO CC FB SIO ISO XCC XCCL XCCM LATERAL LAT OBLIQUE AXIAL SPECIMEN
    """.split()  # noqa: SIM905, for a list would take a line a term
)
"""Views that are kept: the defined terms of ViewPosition (PS3.3 C.8.1.1, C.8.11.5), the abbreviations of the American
College of Radiology for the mammographic views of PS3.16 CID 4014, and the words that vendors write for a direction."""
LATERALITIES = ("L", "R", "U", "B")
"""PS3.3 C.7.3.1 and C.8.11.2: left, right, unpaired, both."""
BODY_PARTS = frozenset(
    """
    ABDOMEN ABDOMENPELVIS ACJOINT ADRENAL ANKLE AORTA ARM AXILLA BACK BLADDER BRAIN BREAST BRONCHUS BUTTOCK
    CALCANEUS CALF CAROTID CEREBELLUM CERVIX CHEEK CHEST CHESTABDOMEN CHESTABDPELVIS CIRCLEOFWILLIS CLAVICLE COCCYX
    COLON CORNEA CORONARYARTERY CSPINE CTSPINE DUODENUM EAR ELBOW ESOPHAGUS EXTREMITY EYE EYELID FACE FEMUR FINGER
    FOOT FOREARM GALLBLADDER HAND HEAD HEADNECK HEART HIP HUMERUS IAC ILEUM ILIUM JAW JEJUNUM KIDNEY KNEE LARYNX LEG
    LIVER LOWERLEG LSPINE LSSPINE LUMBOSACRAL LUNG MANDIBLE MAXILLA MEDIASTINUM MOUTH NECK NECKCHEST
    NECKCHESTABDOMEN NECKCHESTABDPELV NOSE ORBIT OVARY PANCREAS PAROTID PATELLA PELVIS PENIS PHARYNX PROSTATE RADIUS
    RECTUM RIB RIBS SACRUM SCALP SCAPULA SCLERA SCROTUM SHOULDER SIJOINT SKULL SPINE SPLEEN SSPINE STERNUM STOMACH
    SUBMANDIBULAR TESTIS THIGH THORAX THUMB THYMUS THYROID TIBIA TLSPINE TMJ TOE TONGUE TOOTH TRACHEA TSPINE ULNA
    UPPERARM URETER URETHRA UTERUS VAGINA VULVA WHOLEBODY WRIST ZYGOMA
    """.split()  # noqa: SIM905
)
"""Body parts that are kept: PS3.16 Annex L, and the anatomical words that projection radiographs have for them."""


def coded(text: str | None, terms: Collection[str] | None = None) -> str | None:
    """A code as it is; of anything else a mark in its place, equal for equal texts.

    Parameters
    ----------
    text : str or None
    terms : collection of str, optional
        The codes there are; default: whatever has the form of one.
    """
    if text is None or MARK.fullmatch(text) or (CODE.fullmatch(text) if terms is None else text in terms):
        return text
    return f"an unknown value ({hashed(text)[:8]})"


class Hashed(str):
    """What `hashed` gave, in the place of a text."""

    __slots__ = ()


def hashed(text: str) -> str:
    """SHA-256, first 16 hexadecimals: tells equal from unequal, and no more. What is `Hashed` stays as it is."""
    if isinstance(text, Hashed):
        return text
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]

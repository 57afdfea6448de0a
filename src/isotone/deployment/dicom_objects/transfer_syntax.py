"""What is asked of a transfer syntax on writing; pydicom answers it for those alone that it knows."""

from __future__ import annotations

from pydicom.uid import UID, ExplicitVRBigEndian, ImplicitVRLittleEndian

from isotone.imaging.codecs.codecs import CODECS


def encoding_of(syntax: UID) -> tuple[bool, bool]:
    """Whether the VR is implicit and whether bytes are little-endian (PS3.5 10, A)."""
    return syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian


def is_encapsulated(syntax: UID) -> bool:
    """Whether pixel data lie in fragments (PS3.5 A.4)."""
    return syntax in CODECS

"""The value of an element of a data set; images of one scanner have most values alike, which are converted once.

Converting values takes most of the time that a header takes: pydicom needs 5 to 15 µs for each.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag

SIMPLE = frozenset("AE AS CS DS FD FL IS LO LT PN SH SL ST UI UL US UT".split())  # noqa: SIM905
"""Value representations that only their bytes and the character set decide; of dates pydicom tells its log."""
LONGEST = 256
"""Bytes of a value that is remembered; texts beyond that are each image's own."""
REMEMBERED = 4096
"""Values of a process: of about thirty for each kind of image, and a dozen that each image has to itself."""


def value_of(dataset: Dataset, keyword: str) -> Any:
    """The value of an element, as `Dataset.get` gives it; None where it is absent. Nobody changes it.

    Raises
    ------
    Exception
        Of many types, where it is malformed.

    Examples
    --------
    >>> header = Dataset()
    >>> header.Rows = 4
    >>> value_of(header, "Rows"), value_of(header, "Columns")
    (4, None)
    """
    tag, usual = _tag(keyword)
    if tag not in dataset:
        return None
    raw, charset = dataset.get_item(tag), dataset.original_character_set
    if not isinstance(raw, RawDataElement) or (raw.VR or usual) not in SIMPLE or not raw.value or not charset:
        return dataset[tag].value
    if len(raw.value) > LONGEST:
        return dataset[tag].value
    charsets = charset if isinstance(charset, str) else tuple(charset)
    value, said = _converted(keyword, raw.VR, raw.value, raw.is_implicit_VR, raw.is_little_endian, charsets)
    for message in said:
        warnings.warn(message, stacklevel=2)
    return value


@lru_cache(maxsize=1024)
def _tag(keyword: str) -> tuple[BaseTag, str]:
    tag = Tag(keyword)
    return tag, dictionary_VR(tag)


@lru_cache(maxsize=REMEMBERED)
def _converted(
    keyword: str, vr: str | None, value: bytes, implicit: bool, little: bool, charset: str | tuple[str, ...]
) -> tuple[Any, tuple[str, ...]]:
    """A value, and the warnings of its conversion."""
    tag, _ = _tag(keyword)
    raw = RawDataElement(tag, vr, len(value), value, 0, implicit, little)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        encoding = charset if isinstance(charset, str) else list(charset)
        found = convert_raw_data_element(raw, encoding=encoding).value
    return found, tuple(str(warning.message) for warning in caught)

"""One scanner has one name, whoever wrote the header; two scanners never share one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotone.imaging.dicom.scanner_name import key_of, nearest, same_scanner, without_version

ALIKE = [
    ("HOLOGIC, Inc. Selenia Dimensions", "Hologic, Inc. Selenia Dimensions"),
    ("HOLOGIC, Inc. Selenia Dimensions", "HOLOGIC SELENIA DIMENSIONS"),
    ("HOLOGIC, Inc. Selenia Dimensions", "HOLOGIC,Inc Selenia  Dimensions "),
    ("GE MEDICAL SYSTEMS Senograph 2000D ADS_17.4.5", "GE MEDICAL SYSTEMS Senograph 2000D ADS_17.5"),
    ("GE MEDICAL SYSTEMS Senographe Essential VERSION ADS_54.10", "GE MEDICAL SYSTEMS Senographe Essential"),
    ('GE MEDICAL SYSTEMS "Senographe Essential" VERSION ADS_53.40', "GE MEDICAL SYSTEMS Senographe Essential"),
    ("FUJIFILM Corporation FDR-3000AWS", "Fujifilm Corporation FDR 3000 AWS"),
    ("FUJIFILM Corporation FDR-3000AWS V5.1", "FUJIFILM FDR-3000AWS v 4.0.2"),
    ("SIEMENS Mammomat  Inspiration", "Siemens MAMMOMAT Inspiration®"),
    ("Philips DigitalDiagnost", "PHILIPS digital DIAGNOST"),
    ("Philips DigitalDiagnost Release 4.2.1", "Philips DigitalDiagnost 4.1.8"),
    ("SIEMENS Mammomat Inspiration VB30L", "SIEMENS Mammomat Inspiration VB60C"),
    ("Canon Inc. CXDI-50G", "Canon, Inc CXDI 50G"),
    ("Konica Minolta Co., Ltd. REGIUS 190", "KONICA MINOLTA REGIUS-190"),
    ("Ａｇｆａ DX-D 300", "Agfa DX-D 300"),
]
APART = [
    ("LORAD Lorad Selenia", "HOLOGIC, Inc. Lorad Selenia"),
    ("GE MEDICAL SYSTEMS Senographe Essential", "GE Healthcare Senographe Essential"),
    ("GE MEDICAL SYSTEMS Senograph 2000D ADS_17.4.5", "GE MEDICAL SYSTEMS Senographe DS ADS_17.4.5"),
    ("SIEMENS Mammomat 1000", "SIEMENS Mammomat 3000"),
    ("Planmed Clarity 2.0", "Planmed Clarity 3.0"),
    ("GE Definium 6000", "GE Definium 6000+"),
    ("Carestream DRX 1 2", "Carestream DRX 12"),
    ("Agfa CR 35-X", "Agfa CR 85-X"),
    ("Siemens Ysio", "Siemens Ysio Max"),
    ("Inc", "Corporation"),
    ("X 1.5", "X 15"),
    ("--", "//"),
]


@pytest.mark.parametrize(("one", "other"), ALIKE)
def test_names_of_one_scanner_are_alike(one: str, other: str) -> None:
    assert key_of(one) == key_of(other)
    assert same_scanner(other, ["another", one]) == one


@pytest.mark.parametrize(("one", "other"), APART)
def test_other_companies_models_and_numbers_stay_apart(one: str, other: str) -> None:
    assert key_of(one) != key_of(other)
    assert same_scanner(other, [one]) is None


def test_a_version_is_parted_from_the_name() -> None:
    assert without_version("Senographe Essential VERSION ADS_54.10") == ("Senographe Essential", "VERSION ADS_54.10")
    assert without_version("Senograph 2000D ADS_17.4.5") == ("Senograph 2000D", "ADS_17.4.5")
    assert without_version("Mammomat 3000 Nova") == ("Mammomat 3000 Nova", None)
    assert without_version("ADS_54.10") == ("ADS_54.10", None)


def test_an_equal_name_goes_first_and_an_ambiguous_one_is_none() -> None:
    two = ["HOLOGIC Selenia", "Hologic, Inc. Selenia"]
    assert same_scanner(two[1], two) == two[1]
    assert same_scanner("hologic selenia", two) is None


def test_the_nearest_name_is_the_one_that_reads_most_alike() -> None:
    known = ["SIEMENS Mammomat Inspiration", "HOLOGIC, Inc. Lorad Selenia"]
    assert nearest("LORAD Lorad Selenia", known) == known[1]
    assert nearest("anything", []) is None


@pytest.mark.parametrize("name", ["FUJIFILM Corporation", "Philips Medical Systems Cassette Holder Type 9840", "OFFIS"])
def test_the_scanner_of_another_maker_has_no_nearest_name(name: str) -> None:
    assert nearest(name, ["HOLOGIC, Inc. Selenia Dimensions", "Reference Vendor One"]) is None


@given(st.text(max_size=40))
def test_blanks_around_make_no_other_scanner_and_no_name_breaks_it(name: str) -> None:
    assert key_of(name) == key_of(f"  {name} ")


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_case_makes_no_other_scanner(name: str) -> None:
    assert key_of(name.upper()) == key_of(name.lower())

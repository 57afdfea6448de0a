"""What a new object says of itself, whatever its source says."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from dicoms import pixels, radiograph, write
from harmonizers import CURVE, deliver_one
from isotone.deployment.dicom_objects.provenance import stamp
from isotone.deployment.record import INTENDED_USE, Record
from isotone.deployment.restore import Task, restore_file

IDENTITY = np.arange(2**12, dtype=np.uint16)


def stamped(ds: Dataset, *, table: np.ndarray = IDENTITY, domain: str = "any", name: str = "model") -> Dataset:
    stamp(ds, Record(CURVE, name, "0" * 64, "pixels", table, domain), table, Dataset(), [])
    return ds


def test_images_of_one_series_stay_in_one_whatever_the_curve_and_the_second_of_each(monkeypatch):
    made = []
    for number in range(2):
        ds = radiograph(SeriesDate="20250107", SeriesTime="090000", SeriesDescription=["L", "CC"])
        ds.SOPInstanceUID = f"1.2.{number}"
        now = datetime(2026, 1, 1, 10, 20, number, tzinfo=UTC)
        monkeypatch.setattr("isotone.deployment.dicom_objects.provenance._now", lambda _, now=now: now)
        made.append(stamped(ds, table=IDENTITY + np.uint16(number)))
    first, second = made
    assert first.InstanceCreationTime != second.InstanceCreationTime
    for keyword in ("SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "SeriesDate", "SeriesTime"):
        assert first[keyword] == second[keyword]
    assert (first.SeriesDate, first.SeriesTime) == ("20250107", "090000")
    assert first.SeriesDescription == f"L CC | {INTENDED_USE}"
    one_more = radiograph()
    one_more.SOPInstanceUID = "1.2.0"
    assert stamped(one_more).SOPInstanceUID == first.SOPInstanceUID


SEVERAL = {
    "SeriesDescription": ["CHEST", "PA"],
    "SOPInstanceUID": ["1.2.3", "1.2.4"],
    "SeriesInstanceUID": ["1.2.3", "1.2.4"],
    "SOPClassUID": [radiograph().SOPClassUID, "1.2"],
    "SeriesNumber": [1, 2],
    "SpecificCharacterSet": ["ISO_IR 100", "ISO_IR 192"],
    "TimezoneOffsetFromUTC": ["+0100", "+0200"],
    "LossyImageCompression": ["00", "01"],
    "PresentationIntentType": ["FOR PRESENTATION", "FOR PROCESSING"],
}


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
@pytest.mark.parametrize("keyword", SEVERAL)
def test_several_values_where_one_is_allowed_break_nothing(tmp_path, deliver, keyword):
    ds = radiograph(modality="MG" if keyword == "PresentationIntentType" else "CR")
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    setattr(ds, keyword, SEVERAL[keyword])
    ds.preamble = bytes(128)
    source = tmp_path / "source.dcm"
    pydicom.dcmwrite(source, ds)
    path, _ = deliver_one(source, tmp_path / "out", deliver)
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm")[keyword] == ds[keyword]


@pytest.mark.parametrize(
    ("source", "derived"),
    [
        ("ORIGINAL", ["DERIVED", "PRIMARY"]),
        (["ORIGINAL", "SECONDARY", ""], ["DERIVED", "SECONDARY", ""]),
        ([], ["DERIVED", "PRIMARY"]),
    ],
)
def test_the_image_type_is_derived_of_one_value_several_or_none(tmp_path, source, derived):
    ds = radiograph(pixels() | np.uint16(0x8000), modality="CR", ImageType=source)
    path, _ = deliver_one(write(ds, tmp_path / "source.dcm"), tmp_path / "out")
    restore_file(Task(path, tmp_path / "back.dcm"))
    assert list(pydicom.dcmread(path).ImageType) == derived
    assert list(pydicom.dcmread(tmp_path / "back.dcm").ImageType) == derived


def test_what_is_written_fits_its_type_whatever_the_names_and_numbers():
    made = stamped(radiograph(SeriesNumber=2**31 - 8), name="Müller – Ωmega 模型")
    assert made.DerivationDescription.isascii()
    assert made.SeriesNumber == 2**31 - 8

"""Deliveries of enhanced images, whose window and rescale lie in functional groups."""

from __future__ import annotations

import highdicom
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLosslessSV1

from dicoms import encoded, grouped, pixels, radiograph, write
from harmonizers import CURVE, deliver_one, scanner_harmonizer
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.restore import Task, restore_file
from isotone.imaging.dicom.functional_groups import GROUPS, MODALITY, VOI, holder
from isotone.imaging.read import read_radiograph

SIGNED = (pixels().astype(np.int32) - 2048).astype(np.int16)
WINDOW = {"WindowCenter": "900", "WindowWidth": "1500", "VOILUTFunction": "LINEAR_EXACT"}


def enhanced(place: str, stored: np.ndarray | None = None) -> Dataset:
    """Signed images carry a rescale of their own in the group."""
    ds = radiograph(stored)
    if stored is not None:
        ds.RescaleIntercept, ds.RescaleSlope = "12", "0.5"
    ds = grouped(ds, place, **WINDOW)
    held = next(iter(getattr(ds, place)))
    real = Dataset()
    real.add_new("RealWorldValueFirstValueMapped", "US", 0)
    held.RealWorldValueMappingSequence = [real]
    return ds


@pytest.mark.parametrize("stored", [None, SIGNED], ids=["unsigned", "signed"])
@pytest.mark.parametrize("place", GROUPS)
def test_no_old_window_rescale_or_meaning_stays_in_the_groups_over_new_pixels(tmp_path, place, stored):
    source = write(enhanced(place, stored), tmp_path / "source.dcm")
    wanted = read_radiograph(source).map_tone(CURVE)
    path, _ = deliver_one(source, tmp_path / "out")
    after, got = pydicom.dcmread(path), read_radiograph(path)
    group = after[place].value[0]
    window, rescale = group[VOI].value[0], group[MODALITY].value[0]
    assert (window.WindowCenter, window.WindowWidth, "VOILUTFunction" in window) == (32768, 65536, False)
    assert (rescale.RescaleIntercept, rescale.RescaleSlope, rescale.RescaleType) == (0, 1, "US")
    assert "RealWorldValueMappingSequence" not in group
    assert group.XRay3DFrameTypeSequence[0].FrameType[0] == "DERIVED"
    assert np.abs(got.tone[got.stored] - wanted.tone[wanted.stored]).max() <= 0.5 / 65535 + 1e-12
    assert got.display is None
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)


@pytest.mark.parametrize("stored", [None, SIGNED], ids=["unsigned", "signed"])
@pytest.mark.parametrize("place", GROUPS)
def test_the_curve_is_the_one_voi_lut_in_the_groups_and_in_the_data_set(tmp_path, place, stored):
    source = write(enhanced(place, stored), tmp_path / "source.dcm")
    wanted = read_radiograph(source).map_tone(CURVE)
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    after = pydicom.dcmread(path)
    group = after[place].value[0]
    [item] = group[VOI].value
    assert "WindowCenter" not in item
    assert item.VOILUTSequence[0].LUTData == after.VOILUTSequence[0].LUTData
    assert group[MODALITY].value[0].RescaleIntercept == (0 if stored is None else 2048)
    shown = read_radiograph(path).displayed()
    assert np.abs(shown.tone - wanted.tone).max() <= 0.5 / 65535 + 1e-12
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)


def test_an_image_for_processing_gets_no_window_in_its_groups(tmp_path):
    ds = grouped(radiograph(intent="FOR PROCESSING"), GROUPS[1], **WINDOW)
    after = pydicom.dcmread(deliver_one(write(ds, tmp_path / "source.dcm"), tmp_path / "out")[0])
    assert VOI not in after[GROUPS[1]].value[0]
    assert "WindowCenter" not in after


def test_images_whose_groups_say_different_rescales_share_no_presentation_state(tmp_path):
    paths = []
    for number, slope in enumerate(("1", "1", "0.5")):
        ds = radiograph(RescaleSlope=slope, StudyInstanceUID="1.2.4")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{number}"
        ds = grouped(ds, GROUPS[1], **WINDOW)
        measures = Dataset()
        measures.PixelSpacing = ["0.2", "0.1"]
        getattr(ds, GROUPS[1])[0].PixelMeasuresSequence = [measures]
        del ds.ImagerPixelSpacing
        paths.append(write(ds, tmp_path / f"{number}.dcm"))
    manifest = Manifest.from_paths(paths)
    apply(scanner_harmonizer(*manifest.domains), manifest, tmp_path / "out", deliver="gsps", workers=0, quiet=True)
    states = [pydicom.dcmread(path) for path in (tmp_path / "out").glob("*.dcm")]
    assert sorted(len(state.SoftcopyVOILUTSequence) for state in states) == [1, 2]
    for state in states:
        assert state.RescaleSlope == 1
        assert list(state.DisplayedAreaSelectionSequence[0].PresentationPixelAspectRatio) == [2, 1]


def test_highdicom_shows_the_curve_of_an_enhanced_copy(tmp_path):
    source = write(enhanced(GROUPS[1]), tmp_path / "source.dcm")
    wanted = read_radiograph(source).map_tone(CURVE)
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    frame = highdicom.imread(path).get_frame(
        1, apply_real_world_transform=False, apply_voi_transform=True, voi_output_range=(0, 1), dtype=np.float64
    )
    assert np.abs(frame - wanted.tone[wanted.stored]).max() <= 1e-5
    assert holder(pydicom.dcmread(path), VOI, "VOILUTSequence").VOILUTSequence


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_a_lossy_frame_under_a_lossless_syntax_is_called_lossy_in_what_is_derived(tmp_path, deliver):
    ds = radiograph(bits=8, modality="CR")
    frame = imagecodecs.jpeg8_encode(pixels(8).astype(np.uint8), level=80)
    ds.file_meta.TransferSyntaxUID = JPEGLosslessSV1
    ds.PixelData = encapsulate([frame])
    ds["PixelData"].is_undefined_length, ds["PixelData"].VR = True, "OB"
    path, outcome = deliver_one(write(ds, tmp_path / "source.dcm"), tmp_path / "out", deliver)
    after = pydicom.dcmread(path)
    assert "W_LOSSY" in outcome.warnings
    assert (after.LossyImageCompression, after.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert after.LossyImageCompressionRatio > 0


JPEG_XL, DEFLATED = UID("1.2.840.10008.1.2.4.110"), UID("1.2.840.10008.1.2.8.1")


def test_transfer_syntaxes_that_pydicom_does_not_know_are_copied_and_restored(tmp_path):
    ds = encoded(radiograph(), ExplicitVRLittleEndian)
    ds.file_meta.TransferSyntaxUID = JPEG_XL
    ds.PixelData = encapsulate([imagecodecs.jpegxl_encode(pixels(), lossless=True, bitspersample=12)])
    ds["PixelData"].is_undefined_length, ds["PixelData"].VR = True, "OB"
    stream = pydicom.filebase.DicomBytesIO()
    ds.preamble = bytes(128)
    pydicom.dcmwrite(stream, ds, implicit_vr=False, little_endian=True, force_encoding=True)
    source = tmp_path / "source.dcm"
    source.write_bytes(stream.getvalue())
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    np.testing.assert_array_equal(read_radiograph(path).stored, pixels())
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    np.testing.assert_array_equal(read_radiograph(tmp_path / "back.dcm").stored, pixels())


@pytest.mark.parametrize("excess", [2, 510])
def test_what_a_source_appends_to_its_rows_is_not_copied(tmp_path, excess):
    ds = radiograph()
    ds.PixelData = ds.PixelData + bytes(excess)
    path, _ = deliver_one(write(ds, tmp_path / "source.dcm"), tmp_path / "out", "voi-lut")
    assert pydicom.dcmread(path).PixelData == pixels().astype("<u2").tobytes()

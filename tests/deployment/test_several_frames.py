"""Objects of several frames: one table for all of them, in each delivery, one frame in memory at a time."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEGLSLossless

from dicoms import LOSSLESS, pixels, write
from harmonizers import CURVE, deliver_one, scanner_harmonizer
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.dicom_objects.derived_image import output_table
from isotone.deployment.restore import Task, restore_file
from isotone.errors import IsotoneError
from isotone.imaging.dicom.functional_groups import MODALITY, VOI
from isotone.imaging.dicom.read_dicom import open_dicom, read_dicom_reduced
from isotone.imaging.inspect import inspect
from isotone.imaging.read import read_header, read_radiograph
from several_frames import ENHANCED, KINDS, frames_of, run

SIGNED = (frames_of(3).astype(np.int32) - 2048).astype(np.int16)


def all_frames(path: Path) -> np.ndarray:
    with open_dicom(path) as opened:
        return np.stack(list(opened.frames))


def table_of(source: Path) -> np.ndarray:
    return output_table(read_radiograph(source).map_tone(CURVE))


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_middle_frame_stands_for_all(tmp_path, count):
    stored = frames_of(count)
    path = write(run(stored), tmp_path / "a.dcm")
    np.testing.assert_array_equal(read_radiograph(path).stored, stored[count // 2])
    assert read_radiograph(path).header.window == f"LINEAR {1000 + 100 * (count // 2)}/1500"
    assert read_header(path).frames == count
    [finding] = inspect([path], workers=0)
    assert f"{count} frames" in finding.line()
    assert finding.to_json()["frames"] == count


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("name", LOSSLESS)
def test_every_frame_of_every_transfer_syntax_is_read(tmp_path, name, bits):
    stored = frames_of(3, bits, rows=15, columns=17)  # an odd number of bytes of 8 bits
    path = write(run(stored, "xa", syntax=LOSSLESS[name], bits=bits), tmp_path / "a.dcm")
    np.testing.assert_array_equal(all_frames(path), stored)


@pytest.mark.parametrize("own", [(), ("window",), ("rescale",), ("window", "rescale")], ids="-".join)
@pytest.mark.parametrize("stored", [frames_of(3), SIGNED], ids=["unsigned", "signed"])
@pytest.mark.parametrize("kind", KINDS)
def test_pixels_are_one_table_over_every_frame_and_come_back(tmp_path, kind, stored, own):
    source = write(run(stored, kind, own=own, inverted=kind == "xrf"), tmp_path / "a.dcm")
    path, outcome = deliver_one(source, tmp_path / "out")
    after = pydicom.dcmread(path)
    np.testing.assert_array_equal(after.pixel_array, table_of(source)[all_frames(source)])
    assert (after.NumberOfFrames, after.BitsStored) == (3, 16)
    assert outcome.levels_kept == len(np.unique(table_of(source)))
    assert read_radiograph(path).display is None
    if kind in ENHANCED:
        [shared] = after.SharedFunctionalGroupsSequence
        assert (shared[VOI].value[0].WindowWidth, shared[MODALITY].value[0].RescaleSlope) == (65536, 1)
        assert not any({VOI, MODALITY} & set(group.dir()) for group in after.PerFrameFunctionalGroupsSequence)
        content = [group.FrameContentSequence[0] for group in after.PerFrameFunctionalGroupsSequence]
        assert [one.DimensionIndexValues[1] for one in content] == [1, 2, 3]
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm") == pydicom.dcmread(source)


@pytest.mark.parametrize("syntax", ["explicit", "implicit", "big-endian", "rle", "jpeg-ls"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_voi_lut_is_said_once_and_the_frames_stay_byte_for_byte(tmp_path, kind, syntax):
    source = write(run(frames_of(4), kind, syntax=LOSSLESS[syntax]), tmp_path / "a.dcm")
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    before, after = pydicom.dcmread(source), pydicom.dcmread(path)
    assert after.PixelData == before.PixelData
    order = ">u2" if syntax == "big-endian" else "<u2"
    lut = after.VOILUTSequence[0].LUTData
    assert lut == table_of(source).astype(order).tobytes()
    if kind in ENHANCED:
        [shared] = after.SharedFunctionalGroupsSequence
        assert shared[VOI].value[0].VOILUTSequence[0].LUTData == lut
        assert not any(VOI in group for group in after.PerFrameFunctionalGroupsSequence)
    shown = read_radiograph(path).displayed()
    assert np.abs(shown.tone - read_radiograph(source).map_tone(CURVE).tone).max() <= 0.5 / 65535 + 1e-12
    assert not restore_file(Task(path, tmp_path / "back.dcm")).shortfall
    assert pydicom.dcmread(tmp_path / "back.dcm").PixelData == before.PixelData


@pytest.mark.parametrize("kind", KINDS)
def test_one_presentation_state_shows_every_frame_through_the_table(tmp_path, kind):
    source = write(run(frames_of(3), kind, own=("window", "rescale"), slopes=(1, 2, 0.5)), tmp_path / "a.dcm")
    manifest = Manifest.from_paths([source])
    apply(scanner_harmonizer(*manifest.domains), manifest, tmp_path / "out", deliver="gsps", workers=0, quiet=True)
    [state] = map(pydicom.dcmread, (tmp_path / "out").glob("*.dcm"))
    [shown] = state.SoftcopyVOILUTSequence
    assert "ReferencedFrameNumber" not in shown.ReferencedImageSequence[0]  # so that it holds for all of them
    assert shown.ReferencedImageSequence[0].ReferencedSOPClassUID == KINDS[kind]
    assert shown.VOILUTSequence[0].LUTData == table_of(source).tobytes()


def test_frames_whose_slopes_have_both_signs_have_no_table_in_common(tmp_path):
    path = write(run(frames_of(3), own=("rescale",), slopes=(1, 1, -1)), tmp_path / "a.dcm")
    with pytest.raises(IsotoneError, match=r"both signs .*E_RESCALE"):
        read_header(path)
    path = write(run(frames_of(3), own=("rescale",), slopes=(1, 1, 0)), tmp_path / "a.dcm")
    with pytest.raises(IsotoneError, match="E_RESCALE"):
        read_header(path)


def test_what_is_odd_about_a_frame_that_is_not_the_middle_one_is_told(tmp_path):
    stored = frames_of(3)
    stored[0, 5, 5] |= 0xF000
    source = write(run(stored), tmp_path / "a.dcm")
    assert "W_HIGHBITS" not in read_radiograph(source).header.codes
    for deliver in ("pixels", "voi-lut"):
        path, outcome = deliver_one(source, tmp_path / deliver, deliver)
        assert "W_HIGHBITS" in outcome.warnings
        shortfall = restore_file(Task(path, tmp_path / "back.dcm")).shortfall
        assert ("bits outside BitsStored" in shortfall) == (deliver == "pixels")


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
def test_a_damaged_frame_refuses_the_object_and_leaves_no_file(tmp_path, deliver):
    ds = run(frames_of(3), syntax=JPEGLSLossless)
    frames = list(generate_frames(ds.PixelData, number_of_frames=3))
    ds.PixelData = encapsulate([frames[0], frames[1], frames[2][:500] + bytes(200) + b"\xff\xd9"])
    ds["PixelData"].is_undefined_length = True
    source = write(ds, tmp_path / "a.dcm")
    with pytest.raises(IsotoneError) as refusal:
        deliver_one(source, tmp_path / "out", deliver)
    assert refusal.value.code in ("E_DECODE", "E_RANGE", "E_TRUNCATED")
    assert not [*(tmp_path / "out").iterdir()]


def item(data: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data


@pytest.mark.parametrize("table", ["none", "right", "wrong"])
def test_frames_in_several_fragments_are_told_apart_and_copied_by_the_standard(tmp_path, table):
    ds = run(frames_of(3), syntax=JPEGLSLossless)
    frames = list(generate_frames(ds.PixelData, number_of_frames=3))
    pieces = [[frame[:400], frame[400:600], frame[600:]] for frame in frames]
    lengths = [sum(8 + len(piece) for piece in some) for some in pieces]
    offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]]) + (4 if table == "wrong" else 0)
    head = item(b"" if table == "none" else offsets.astype("<u4").tobytes())
    ds.PixelData = head + b"".join(item(piece) for some in pieces for piece in some)
    ds["PixelData"].is_undefined_length = True
    source = write(ds, tmp_path / "a.dcm")
    np.testing.assert_array_equal(all_frames(source), frames_of(3))
    assert ("W_PACKING" in read_header(source).codes) == (table == "wrong")
    path, _ = deliver_one(source, tmp_path / "out", "voi-lut")
    copy = pydicom.dcmread(path)
    assert (copy.PixelData == ds.PixelData) == (table != "wrong")
    assert list(generate_frames(copy.PixelData, number_of_frames=3)) == frames
    np.testing.assert_array_equal(all_frames(path), frames_of(3))


def test_an_offset_table_parts_frames_that_begin_differently(tmp_path):
    ds = run(frames_of(2), syntax=JPEGLSLossless)
    first, second = generate_frames(ds.PixelData, number_of_frames=2)
    comment = b"\xff\xfe\x00\x04ab"
    second = second[:2] + comment + second[2:]
    pieces = [first[:400], first[400:], second]
    for right in (True, False):
        offsets = [0, 16 + len(first)] if right else [0, 7]
        ds.PixelData = item(np.array(offsets, "<u4").tobytes()) + b"".join(map(item, pieces))
        ds["PixelData"].is_undefined_length = True
        path = write(ds, tmp_path / "a.dcm")
        if right:
            np.testing.assert_array_equal(all_frames(path), frames_of(2))
        else:
            with pytest.raises(IsotoneError, match=r"which frame .*E_GEOMETRY"):
                read_header(path)


def test_native_frames_that_are_not_all_there_are_refused(tmp_path):
    ds = run(frames_of(3))
    ds.PixelData = ds.PixelData[:-2]
    with pytest.raises(IsotoneError, match="E_GEOMETRY"):
        read_header(write(ds, tmp_path / "a.dcm"))
    whole = write(run(frames_of(3)), tmp_path / "b.dcm").read_bytes()
    (tmp_path / "c.dcm").write_bytes(whole[:-2])
    with pytest.raises(IsotoneError, match="E_TRUNCATED"):
        read_header(tmp_path / "c.dcm")


def test_the_middle_frame_is_read_reduced_too(tmp_path):
    stored = np.stack([pixels(rows=256, columns=256, seed=n) for n in range(3)])
    path = write(run(stored, syntax=LOSSLESS["jpeg-2000"]), tmp_path / "a.dcm")
    small = read_dicom_reduced(path, 64)
    assert small is not None
    alone = read_dicom_reduced(write(run(stored[1:2], syntax=LOSSLESS["jpeg-2000"]), tmp_path / "b.dcm"), 64)
    np.testing.assert_array_equal(small.stored, alone.stored)


@pytest.mark.slow
@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
@pytest.mark.parametrize("syntax", ["explicit", "jpeg-ls"])
def test_memory_is_bounded_by_one_frame_however_many_there_are(tmp_path, syntax, deliver):
    rows = columns = 384
    one, peaks = 2 * rows * columns, []
    few = np.stack([pixels(rows=rows, columns=columns, seed=n) for n in range(3)])
    for repeated in (1, 1, 10):  # the first one loads what has to be loaded
        stored = np.tile(few, (repeated, 1, 1))
        source = write(run(stored, "xa", syntax=LOSSLESS[syntax]), tmp_path / f"{repeated}.dcm")
        tracemalloc.start()
        try:
            path, _ = deliver_one(source, tmp_path / "out", deliver)
            restore_file(Task(path, tmp_path / "back.dcm"))
            peaks.append(tracemalloc.get_traced_memory()[1])
        finally:
            tracemalloc.stop()
    assert peaks[2] < peaks[1] + one / 4  # 27 frames more

"""What presentation states need of an image, and what they do not."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pydicom
import pytest
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from bad_dicoms import FAULTS
from dicoms import radiograph, write
from harmonizers import change, scanner_harmonizer
from isotone.data.descriptors.appearance import SIZE
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.deployment.deliver_states import StateDelivery
from isotone.harmonizer.fitted_scanner import FittedScanner
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.monitoring.novelty import Novelty

HOLOGIC = "HOLOGIC, Inc. Selenia Dimensions"


@pytest.fixture
def gated() -> ToneCurveHarmonizer:
    """A harmonizer with a scanner's curve, whose gate lets no image pass."""
    harmonizer = scanner_harmonizer(HOLOGIC)
    looks = np.random.default_rng(0).normal(50, 0.01, (40, SIZE + 1))
    novelty = Novelty.fit(looks, [str(i) for i in range(40)], looks, ["a", "b"] * 20)
    change(harmonizer, HOLOGIC, novelty=novelty, headers={"intent": {"FOR PRESENTATION": 40}})
    return harmonizer


def states(harmonizer, paths, output, **options):
    manifest = Manifest.from_paths(paths)
    return apply(harmonizer, manifest, output, deliver="gsps", workers=0, quiet=True, **options)


def test_a_scanner_curve_needs_no_pixel_even_where_the_fit_left_a_gate(gated, tmp_path):
    FAULTS["rle-damage"].build(tmp_path / "a.dcm")  # whoever decodes it fails
    report = states(gated, [tmp_path / "a.dcm"], tmp_path / "out")
    assert (report.harmonized, report.refused) == (1, [])
    assert [line.split(":")[0] for line in report.warnings] == ["W_NO_LOOK"]
    pixels = apply(gated, Manifest.from_paths([tmp_path / "a.dcm"]), tmp_path / "pixels", workers=0, quiet=True)
    assert [(error.code, pixels.warnings) for error in pixels.refused] == [("E_DECODE", [])]


def test_it_decodes_only_the_scanners_whose_curves_depend_on_pixels(gated, tmp_path):
    assert gated.digest  # of what is fitted so far
    gated.scanners["another"] = FittedScanner(object())
    FAULTS["rle-damage"].build(tmp_path / "a.dcm")
    assert states(gated, [tmp_path / "a.dcm"], tmp_path / "out").harmonized == 1


def test_what_the_header_has_new_is_warned_of(gated, tmp_path):
    change(gated, HOLOGIC, novelty=None, headers={"intent": {"FOR PRESENTATION": 40}, "view": {"AP": 40}})
    write(radiograph(), tmp_path / "a.dcm")
    states(gated, [tmp_path / "a.dcm"], tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "curves.csv")
    assert "W_SEEN_VIEW" in table["warnings"][0]


def test_what_the_header_tells_is_still_refused(gated, tmp_path):
    (tmp_path / "in").mkdir()
    write(radiograph(intent="FOR PROCESSING"), tmp_path / "in" / "intent.dcm")
    write(radiograph(vendor="ge"), tmp_path / "in" / "vendor.dcm")
    for name in ("truncated-encapsulated", "65535-squared", "rescale-slope-0"):
        FAULTS[name].build(tmp_path / "in" / f"{name}.dcm")
    report = states(gated, [tmp_path / "in"], tmp_path / "out")
    assert sorted(error.code for error in report.refused) == [
        "E_DOMAIN",
        "E_GEOMETRY",
        "E_INTENT",
        "E_RESCALE",
        "E_TRUNCATED",
    ]


def test_nothing_is_said_of_looks_where_there_is_no_gate_or_it_is_overruled(gated, tmp_path):
    write(radiograph(), tmp_path / "a.dcm")
    assert states(gated, [tmp_path / "a.dcm"], tmp_path / "allowed", allow=["look"]).warnings == []
    assert states(scanner_harmonizer(HOLOGIC), [tmp_path / "a.dcm"], tmp_path / "out").warnings == []


STUDY = {"modality": "CR", "StudyInstanceUID": "1.2.9", "SeriesInstanceUID": "1.2.9.1"}


def one_of_study(path: Path, number: int, **attributes: object) -> Path:
    """An image of a study that all of these share."""
    return write(radiograph(**STUDY, **attributes, SOPInstanceUID=f"1.2.9.9.{number}"), path / f"{number}.dcm")


def written(folder: Path) -> list[pydicom.Dataset]:
    return [pydicom.dcmread(path) for path in sorted(folder.glob("gsps-*.dcm"))]


def shown_in(state: pydicom.Dataset) -> list[str]:
    return sorted(i.ReferencedImageSequence[0].ReferencedSOPInstanceUID for i in state.SoftcopyVOILUTSequence)


ODD = [
    ("PatientSex", b"U "),
    ("PatientSex", b"Female"),
    ("PatientBirthDate", b"1950-01-01"),
    ("PatientBirthDate", b"\xff\xfe"),
    ("PatientID", b"A\\B "),
    ("PatientName", b"A^B\\C^D "),
    ("PatientName", b"a=b=c=d=e "),
    ("StudyDate", b"20250132"),
    ("StudyTime", b"99:99 "),
    ("StudyTime", b"09:00:00"),
    ("StudyID", b"x" * 40),
    ("AccessionNumber", b"x" * 40),
    ("ReferringPhysicianName", b"\xff^\xfe "),
    ("SpecificCharacterSet", b"utf8"),
    ("SpecificCharacterSet", b"ISO_IR 100\\ISO_IR 192 "),
    ("SOPClassUID", b"1.2.3\0"),
]


@pytest.mark.slow
@pytest.mark.parametrize("syntax", ["explicit", "implicit"])
@pytest.mark.parametrize(("keyword", "value"), ODD)
def test_a_state_says_of_patient_and_study_what_its_image_says_odd_or_not(tmp_path, keyword, value, syntax):
    ds = radiograph(modality="CR")
    if syntax == "implicit":
        ds.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian
    path = write(ds, tmp_path / "a.dcm")
    ds, tag = pydicom.dcmread(path), Tag(tag_for_keyword(keyword))
    ds[tag] = RawDataElement(tag, dictionary_VR(tag), len(value), value, 0, syntax == "implicit", True)
    write(ds, path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # they would quote patient data
        report = states(scanner_harmonizer(HOLOGIC), [path], tmp_path / "out")
    assert report.refused == []
    [state] = written(tmp_path / "out")
    if keyword == "SOPClassUID":
        [item] = state.ReferencedSeriesSequence[0].ReferencedImageSequence
        assert item.ReferencedSOPClassUID == "1.2.3"
    elif keyword == "SpecificCharacterSet":
        assert state.SpecificCharacterSet == pydicom.dcmread(path).SpecificCharacterSet
    else:
        assert state.get_item(tag).value == value


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_a_state_says_how_its_image_was_deidentified(tmp_path, syntax):
    """And shares no image with another status."""
    method = pydicom.Dataset()
    method.CodeValue, method.CodingSchemeDesignator, method.CodeMeaning = "113100", "DCM", "Basic Profile"
    said = {
        "PatientIdentityRemoved": "YES",
        "DeidentificationMethod": "by hand",
        "LongitudinalTemporalInformationModified": "REMOVED",
        "DeidentificationMethodCodeSequence": pydicom.Sequence([method]),
    }
    paths = []
    for number, attributes in enumerate(({}, said)):
        ds = radiograph(seed=number, modality="CR", **attributes)
        ds.file_meta.TransferSyntaxUID = syntax
        paths.append(write(ds, tmp_path / f"{number}.dcm"))
    assert states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out").refused == []
    found = {shown_in(state)[0]: state for state in written(tmp_path / "out")}
    for path in paths:
        ds = pydicom.dcmread(path)
        assert [found[ds.SOPInstanceUID].get(name) for name in said] == [ds.get(name) for name in said]


UNREFERABLE = [
    ("SOPInstanceUID", b"1.2.3\\1.2.4 "),
    ("SOPClassUID", b""),
    ("SeriesInstanceUID", b"1.2.3\\1.2.4 "),
    ("StudyInstanceUID", b"1.2\\1.3 "),
]


@pytest.mark.parametrize(("keyword", "value"), UNREFERABLE)
def test_an_image_that_cannot_be_referred_to_is_refused_and_the_others_of_its_study_are_not(tmp_path, keyword, value):
    paths = [one_of_study(tmp_path, number) for number in (1, 2, 3)]
    ds, tag = pydicom.dcmread(paths[2]), Tag(tag_for_keyword(keyword))
    ds[tag] = RawDataElement(tag, "UI", len(value), value, 0, False, True)
    write(ds, paths[2])
    report = states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    assert [(error.code, error.file) for error in report.refused] == [("E_UNSUPPORTED", str(paths[2]))]
    assert keyword in report.refused[0].what
    assert [shown_in(state) for state in written(tmp_path / "out")] == [["1.2.9.9.1", "1.2.9.9.2"]]


def test_an_image_gone_between_reading_and_writing_is_refused_alone_and_shown_when_it_is_back(tmp_path, monkeypatch):
    paths = [one_of_study(tmp_path, number) for number in (1, 2, 3)]
    content = paths[1].read_bytes()
    times = paths[1].stat()
    whole = StateDelivery.__call__

    def later(delivery, group):
        paths[1].unlink()
        return whole(delivery, group)

    with monkeypatch.context() as patch:
        patch.setattr(StateDelivery, "__call__", later)
        report = states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    assert (report.harmonized, [(e.code, e.file) for e in report.refused]) == (2, [("E_READ", str(paths[1]))])
    assert [shown_in(state) for state in written(tmp_path / "out")] == [["1.2.9.9.1", "1.2.9.9.3"]]
    paths[1].write_bytes(content)
    os.utime(paths[1], ns=(times.st_atime_ns, times.st_mtime_ns))
    again = states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    assert (again.harmonized, again.resumed) == (1, 2)  # a state stays while its images are as they were
    shown = sorted(shown_in(state) for state in written(tmp_path / "out"))
    assert shown == [["1.2.9.9.1", "1.2.9.9.3"], ["1.2.9.9.2"]]


ASPECTS = [
    ({}, [1, 1]),
    ({"PixelAspectRatio": [2, 1]}, [2, 1]),
    ({"PixelSpacing": [0.2, 0.1]}, [2, 1]),
    ({"ImagerPixelSpacing": ["0.139", "0.143"]}, [139, 143]),
    ({"PixelSpacing": ["0.1", "0.1"], "PixelAspectRatio": [2, 1]}, [1, 1]),
    ({"PixelSpacing": ["0", "0.1"], "PixelAspectRatio": [4, 3]}, [4, 3]),
    ({"PixelSpacing": ["1e300", "1e-300"]}, [1, 1]),
    ({"PixelAspectRatio": [0, 1]}, [1, 1]),
]


@pytest.mark.parametrize(("attributes", "ratio"), ASPECTS)
def test_a_state_shows_pixels_in_the_shape_they_have(tmp_path, attributes, ratio):
    path = one_of_study(tmp_path, 1, **attributes)
    assert states(scanner_harmonizer(HOLOGIC), [path], tmp_path / "out").refused == []
    [[area]] = [state.DisplayedAreaSelectionSequence for state in written(tmp_path / "out")]
    assert area.PresentationPixelAspectRatio == ratio


def test_images_of_one_state_with_pixels_of_two_shapes_are_shown_each_in_its_own(tmp_path):
    kinds = {1: {}, 2: {"PixelAspectRatio": [2, 1]}, 3: {"PixelSpacing": [0.4, 0.2]}}
    paths = [one_of_study(tmp_path, number, **kind) for number, kind in kinds.items()]
    states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    [state] = written(tmp_path / "out")
    found = {
        tuple(area.PresentationPixelAspectRatio): [i.ReferencedSOPInstanceUID for i in area.ReferencedImageSequence]
        for area in state.DisplayedAreaSelectionSequence
    }
    assert found == {(1, 1): ["1.2.9.9.1"], (2, 1): ["1.2.9.9.2", "1.2.9.9.3"]}


RECTANGLE = {
    "ShutterShape": "RECTANGULAR",
    "ShutterLeftVerticalEdge": 10,
    "ShutterRightVerticalEdge": 50,
    "ShutterUpperHorizontalEdge": 8,
    "ShutterLowerHorizontalEdge": 40,
}
CIRCLE = {"CenterOfCircularShutter": [20, 30], "RadiusOfCircularShutter": 15}
POLYGON = {"VerticesOfThePolygonalShutter": [1, 1, 1, 40, 30, 20]}


def test_a_shutter_of_the_images_is_one_of_their_state(tmp_path):
    kinds = [
        {},
        RECTANGLE,
        {**RECTANGLE, "ShutterPresentationValue": 0},  # black is what a shutter without a value shows
        {**RECTANGLE, **CIRCLE, **POLYGON, "ShutterShape": ["RECTANGULAR", "CIRCULAR", "POLYGONAL"]},
        {**CIRCLE, "ShutterShape": "CIRCULAR", "ShutterPresentationValue": 4711},
        {**CIRCLE, "ShutterShape": "RECTANGULAR"},  # without its edges
        {**CIRCLE, "ShutterShape": "BITMAP"},
    ]
    paths = [one_of_study(tmp_path, number, **kind) for number, kind in enumerate(kinds)]
    assert states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out").refused == []
    keywords = ["ShutterShape", "ShutterPresentationValue", *RECTANGLE, *CIRCLE, *POLYGON]
    found = {
        tuple(int(uid[-1]) for uid in shown_in(state)): {k: state.get(k) for k in keywords if k in state}
        for state in written(tmp_path / "out")
    }
    black = {"ShutterPresentationValue": 0}
    assert found == {
        (0, 5, 6): {},
        (1, 2): {**RECTANGLE, **black},
        (3,): {**kinds[3], **black},
        (4,): kinds[4],
    }


@pytest.mark.parametrize(
    "other",
    [
        {"PatientID": "P2"},
        {"PatientID": "", "PatientName": "B^B"},
        {"PatientID": "P1", "IssuerOfPatientID": "elsewhere"},
    ],
)
def test_two_patients_under_one_study_share_neither_state_nor_series(tmp_path, other):
    first = {"PatientID": "P1" if other["PatientID"] else "", "PatientName": "A^A"}
    paths = [one_of_study(tmp_path, n, **(other if n == 1 else first)) for n in range(3)]
    states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    found = written(tmp_path / "out")
    assert sorted(len(shown_in(state)) for state in found) == [1, 2]
    assert len({state.SeriesInstanceUID for state in found}) == 2


def test_a_rescale_that_changes_nothing_is_none_however_it_is_written(tmp_path):
    kinds = [
        {},
        {"RescaleSlope": "1", "RescaleIntercept": "0"},
        {"RescaleSlope": "1.0", "RescaleIntercept": "-0.00"},
        {"RescaleSlope": "2", "RescaleIntercept": "0"},
        {"RescaleSlope": "2.0E0", "RescaleIntercept": "0.0"},
    ]
    paths = [one_of_study(tmp_path, number, **kind) for number, kind in enumerate(kinds)]
    states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    assert sorted(len(shown_in(state)) for state in written(tmp_path / "out")) == [2, 3]


def test_a_state_of_an_earlier_run_that_is_not_part_of_the_result_is_taken_away(tmp_path):
    paths = [one_of_study(tmp_path, number) for number in (1, 2, 3)]
    first = states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    [before] = written(tmp_path / "out")
    mine = write(before, tmp_path / "out" / "gsps-mine.dcm")
    os.utime(paths[1])
    again = states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    assert (first.harmonized, again.harmonized) == (3, 3)
    mine.unlink()  # no journal speaks of it, so it was left alone
    assert len(written(tmp_path / "out")) == 1
    one_of_study(tmp_path, 3, inverted=True)
    states(scanner_harmonizer(HOLOGIC), paths, tmp_path / "out")
    assert sorted(map(shown_in, written(tmp_path / "out"))) == [["1.2.9.9.1", "1.2.9.9.2"], ["1.2.9.9.3"]]


def test_a_state_is_kept_while_an_image_of_its_run_cannot_be_read(tmp_path):
    paths = [one_of_study(tmp_path, number) for number in (1, 2)]
    manifest = Manifest(pd.DataFrame({"path": list(map(str, paths)), "domain": HOLOGIC}))
    options = {"deliver": "gsps", "workers": 0, "quiet": True}
    apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", **options)
    kept = tmp_path / "elsewhere.dcm"
    paths[1].rename(kept)
    missing = apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", **options)
    assert [error.code for error in missing.refused] == ["E_READ"]
    assert ["1.2.9.9.1", "1.2.9.9.2"] in [shown_in(state) for state in written(tmp_path / "out")]
    kept.rename(paths[1])
    back = apply(scanner_harmonizer(HOLOGIC), manifest, tmp_path / "out", **options)
    assert (back.harmonized, back.resumed) == (0, 2)
    assert [shown_in(state) for state in written(tmp_path / "out")] == [["1.2.9.9.1", "1.2.9.9.2"]]

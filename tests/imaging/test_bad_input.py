"""Every bad input has its stable code, one line and a next step, and allocates nothing that it only claims."""

from __future__ import annotations

import multiprocessing
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bad_dicoms import FAULTS
from dicoms import LOSSLESS, encoded, pixels, radiograph, write
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.opening.bounded_file import MAX_INFLATED
from isotone.imaging.read import read_header, read_radiograph

PATIENT = ("Doe", "Jane", "P-1", "A-1", "Roe", "19500101")


@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_has_its_code_and_quotes_no_patient_data(tmp_path, name):
    fault = FAULTS[name]
    path = tmp_path / f"{name}{fault.suffix}"
    fault.build(path)
    if fault.code.startswith("W_"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            image = read_radiograph(path)
        assert any(line.startswith(fault.code) for line in image.header.warnings)
        assert not any(secret in str(image.header.warnings) for secret in PATIENT)
        return
    with pytest.raises(RadiographError) as caught:
        read_radiograph(path)
    assert caught.value.code == fault.code
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert caught.value.next_step in line
    assert "\n" not in line
    assert not any(secret in line.removeprefix(str(path)) for secret in PATIENT)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None  # tracebacks quote values too


SEEN_IN_THE_HEADER = {"E_NOT_DICOM", "E_LENGTH", "E_DEPTH", "E_BOMB", "E_RESCALE", "E_NOT_REGULAR", "E_NO_PIXELS"}


@pytest.mark.parametrize("name", [name for name, fault in FAULTS.items() if fault.code in SEEN_IN_THE_HEADER])
def test_what_the_header_tells_is_refused_without_decoding(tmp_path, name):
    path = tmp_path / f"{name}{FAULTS[name].suffix}"
    FAULTS[name].build(path)
    with pytest.raises(RadiographError) as caught:
        read_header(path)
    assert caught.value.code == FAULTS[name].code


def test_an_unusable_window_leaves_the_full_range(tmp_path):
    FAULTS["window-width-0"].build(tmp_path / "a.dcm")
    image = read_radiograph(tmp_path / "a.dcm")
    assert image.display is None
    assert image.header.window is None


def test_markup_and_formulas_in_the_header_are_but_text(tmp_path):
    ds = radiograph(Manufacturer="<script>alert(1)</script>\n", ManufacturerModelName="=cmd|' /C calc'!A0")
    header = read_header(write(ds, tmp_path / "a.dcm"))
    assert header.domain == "<script>alert(1)</script> =cmd|' /C calc'!A0"  # whoever prints it escapes it


@pytest.mark.parametrize(
    ("tag", "planted"),
    [(b"MONOCHROME2 ", b"DOE JANE  19"), (b"1.2.840.10008.1.2.4.80", b"1.2.840.10008.DOE.JANE")],
)
def test_a_refusal_names_terms_of_the_standard_and_quotes_nothing_else(tmp_path, tag, planted):
    path = write(encoded(radiograph(), LOSSLESS["jpeg-ls"]), tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(tag, planted))
    with pytest.raises(RadiographError) as caught:
        read_header(path)
    assert caught.value.code in ("E_UNSUPPORTED", "E_CODEC")
    assert "DOE" not in str(caught.value)


def _said_within(memory, paths, send):
    import resource  # not on Windows

    held = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (held + memory, resource.RLIM_INFINITY))
    for path in paths:
        try:
            read_radiograph(path)
        except IsotoneError as error:
            send.send(str(error))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="limits the address space of a process")
def test_what_a_file_only_claims_is_not_allocated(tmp_path):
    claims = ["65535-squared", "65535-squared-compressed", "100000-frames", "element-of-4-gb", "png-huge"]
    claims += ["element-of-4-gb-nested", "nested-5000-deep-defined", "deflate-bomb"]
    paths = [tmp_path / f"{name}{FAULTS[name].suffix}" for name in claims]
    for name, path in zip(claims, paths, strict=True):
        FAULTS[name].build(path)
    receive, send = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("spawn").Process(target=_said_within, args=(3 * MAX_INFLATED, paths, send))
    process.start()
    for name in claims:
        assert receive.poll(60)
        said = receive.recv()
        assert FAULTS[name].code in said
        assert "memory" not in said
    process.join()


@pytest.mark.slow
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["explicit", "implicit", "jpeg-ls", "jpeg-2000", "rle", "jpeg-lossless-sv1", "deflated"]),
    st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=20),
    st.floats(0.2, 1),
)
def test_damage_anywhere_is_refused_in_our_own_words_or_reads(tmp_path, name, changes, kept):
    path = tmp_path / "a.dcm"
    write(encoded(radiograph(), LOSSLESS[name]), path)
    data = bytearray(path.read_bytes())
    for where, value in changes:
        data[int(where * len(data))] = value
    path.write_bytes(data[: int(kept * len(data))])
    try:
        image = read_radiograph(path)
    except RadiographError:
        return
    assert image.stored.max() < len(image.tone)


@given(st.binary(max_size=400))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_behind_a_prefix_are_refused(tmp_path, data):
    path = tmp_path / "a.dcm"
    path.write_bytes(bytes(128) + b"DICM" + data)
    with pytest.raises(RadiographError):
        read_radiograph(path)


def test_names_that_are_not_utf_8_are_read(tmp_path):
    path = tmp_path / "a\udcff.dcm"
    write(radiograph(), path)
    np.testing.assert_array_equal(read_radiograph(path).stored, pixels())

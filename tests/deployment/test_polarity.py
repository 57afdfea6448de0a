"""The polarity that a user states goes before the header's, from the manifest to what is delivered."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pydicom
import pytest

from dicoms import pixels, radiograph, write
from harmonizers import scanner_harmonizer
from isotone.data.manifests.manifest import Manifest
from isotone.deployment.apply import apply
from isotone.imaging.inspect import Listed, inspect
from isotone.imaging.read import read_header, read_radiograph

DOMAIN = "HOLOGIC, Inc. Selenia Dimensions"


def fuji(path, **attributes):
    """MONOCHROME1 with the PresentationLUTShape of MONOCHROME2, which isotone follows unless told otherwise."""
    return write(radiograph(4095 - pixels(), inverted=True, PresentationLUTShape="IDENTITY", **attributes), path)


def test_a_manifest_may_state_it_for_each_image_or_leave_it_open(tmp_path):
    for name in "abc":
        fuji(tmp_path / f"{name}.dcm", seed=ord(name))
    table = pd.DataFrame({"path": ["a.dcm", "b.dcm", "c.dcm"], "inverted": ["true", "false", ""]})
    table.to_csv(tmp_path / "m.csv", index=False)
    manifest = Manifest.read(tmp_path / "m.csv")
    assert [row.inverted for row in manifest] == [True, False, None]
    found = [read_header(row.path, inverted=row.inverted).inverted for row in manifest]
    assert found == [True, False, False]
    manifest.write(tmp_path / "again.csv")
    assert [row.inverted for row in Manifest.read(tmp_path / "again.csv")] == [True, False, None]


@pytest.mark.parametrize("stated", [True, False])
def test_the_command_line_goes_before_the_manifest(tmp_path, stated):
    fuji(tmp_path / "a.dcm")
    (tmp_path / "m.csv").write_text(f"path,inverted\na.dcm,{not stated}\n")
    assert [row.inverted for row in Manifest.from_paths([tmp_path / "m.csv"], inverted=stated)] == [stated]
    (finding,) = inspect([Listed(tmp_path / "a.dcm", inverted=not stated)], inverted=stated, workers=0)
    assert finding.header.inverted == stated


@pytest.mark.parametrize("deliver", ["pixels", "voi-lut"])
@pytest.mark.parametrize("stated", [True, False, None])
def test_what_is_delivered_says_the_polarity_that_was_used(tmp_path, deliver, stated):
    source = fuji(tmp_path / "a.dcm")
    manifest = Manifest.from_paths([source], inverted=stated)
    harmonizer = scanner_harmonizer(DOMAIN)
    report = apply(harmonizer, manifest, tmp_path / "out", deliver=deliver, workers=0, quiet=True)
    assert not report.refused
    (made,) = (tmp_path / "out").rglob("*.dcm")
    ds, image = pydicom.dcmread(made), read_radiograph(made)
    assert image.header.inverted == bool(stated)
    assert ds.PhotometricInterpretation == ("MONOCHROME1" if stated else "MONOCHROME2")
    assert ds.PresentationLUTShape == ("INVERSE" if stated else "IDENTITY")
    assert "W_POLARITY" not in image.header.codes
    before = read_radiograph(source, inverted=stated)
    expected = harmonizer.curve(before)(before.tone)[before.stored]
    np.testing.assert_allclose(image.displayed().pixels, expected, atol=2e-5)


def test_a_state_shows_the_polarity_that_was_stated(tmp_path):
    manifest = Manifest.from_paths([fuji(tmp_path / "a.dcm")], inverted=True)
    apply(scanner_harmonizer(DOMAIN), manifest, tmp_path / "out", deliver="gsps", workers=0, quiet=True)
    (made,) = (tmp_path / "out").rglob("*.dcm")
    assert pydicom.dcmread(made).PresentationLUTShape == "INVERSE"


def test_a_reference_image_whose_header_denies_it_is_not_copied(tmp_path):
    source = fuji(tmp_path / "a.dcm")
    harmonizer = scanner_harmonizer("another scanner")
    harmonizer.reference_domains = (DOMAIN,)
    for stated, refused in ((True, 1), (False, 0), (None, 0)):
        report = apply(
            harmonizer, Manifest.from_paths([source], inverted=stated), tmp_path / str(stated), workers=0, quiet=True
        )
        assert len(report.refused) == refused
        assert all("polarity" in str(error) for error in report.refused)

"""What objects show in a notebook."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import dicoms
from harmonizers import CURVE, scanner_harmonizer
from isotone.evaluation.results import Provenance, ResultRow, Results
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph


class Balanced(HTMLParser):
    """Every element that is opened is closed, in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def shown(thing: object) -> str:
    """Its HTML, which is well-formed, with pictures that are SVG."""
    html = thing._repr_html_()  # type: ignore[attr-defined]
    parser = Balanced()
    parser.feed(html)
    assert parser.open == []
    for data in re.findall(r"base64,([^\"]+)", html):
        assert ElementTree.fromstring(base64.b64decode(data)).tag.endswith("svg")
    return html


def results() -> Results:
    row = ResultRow(domain="Birch", method="none", reference=False, n=12, patients=6, auc=0.75, auc_ci=(0.5, 0.9))
    origin = Provenance(isotone="0", python="3", seed=7, manifest="a" * 64, harmonizers={"curve": "b" * 64})
    return Results(
        schema=1, classes=["A"], reference_domains=["Alder"], rows=[row], cautions=["W_WEAK so"], provenance=origin
    )


def test_a_curve_shows_its_plot_numbers_and_checksum() -> None:
    html = shown(CURVE)
    assert html.count("<img") == 1
    for said in ("+0.5000", "strictly monotone", "SHA-256"):
        assert said in html


def test_a_harmonizer_shows_a_plot_of_every_scanner_and_its_digest() -> None:
    harmonizer = scanner_harmonizer("Birch", "Cedar")
    html = shown(harmonizer)
    assert harmonizer.digest[:16] in html
    picture = base64.b64decode(re.findall(r"base64,([^\"]+)", html)[0]).decode()
    assert "Birch" in picture
    assert "Cedar" in picture
    assert "<td>no</td>" in shown(ToneCurveHarmonizer("Alder", "Birch"))


def test_a_radiograph_shows_its_header_and_no_patient_and_no_pixels() -> None:
    html = shown(read_radiograph(dicoms.radiograph(PatientID="P-4711", PatientName="Doe^Jane")))
    for said in ("Selenia Dimensions", "48 × 64", "MG"):
        assert said in html
    assert "4711" not in html
    assert "Doe" not in html
    assert "image/png" not in html
    assert shown(Radiograph.from_array(np.zeros((4, 4))))


def test_the_text_of_a_radiograph_which_a_notebook_stores_too_has_no_pixels_and_no_file_name(tmp_path: Path) -> None:
    path = tmp_path / "Doe_Jane.dcm"
    dicoms.radiograph().save_as(path, enforce_file_format=True)
    text = repr(read_radiograph(path))
    assert "Selenia Dimensions" in text
    assert "Doe" not in text
    assert "array" not in text


def test_results_show_numbers_cautions_and_provenance() -> None:
    html = shown(results())
    for said in ("0.75 [0.50, 0.90]", "W_WEAK so", "a" * 16, "b" * 16):
        assert said in html


@pytest.mark.parametrize("name", ["<script>x</script>", 'a" onload="x', "a\x1b[31m"])
def test_a_strangers_name_is_text(name: str) -> None:
    for html in (shown(scanner_harmonizer(name)), shown(Radiograph.from_array(np.eye(4), domain=name))):
        assert "<script" not in html
        assert 'onload="' not in html
        assert "\x1b" not in html

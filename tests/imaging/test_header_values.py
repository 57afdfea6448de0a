"""What a header holds goes on only as a term of the standard: a name that is shaped like a code stays behind."""

import pytest

from dicoms import radiograph, write
from isotone.imaging.dicom.header_values import BODY_PARTS, VIEWS, coded
from isotone.imaging.read import read_header

ATTRIBUTES = [("ViewPosition", "view"), ("BodyPartExamined", "body_part"), ("ImageLaterality", "laterality")]


@pytest.mark.parametrize(("attribute", "fact"), ATTRIBUTES)
def test_a_name_shaped_like_a_code_is_not_kept(tmp_path, attribute, fact):
    marks = []
    for text in ("SMITH JOHN", "SMITH JOHN", "DOE JANE"):
        write(radiograph(**{attribute: text}), tmp_path / "a.dcm")
        marks.append(getattr(read_header(tmp_path / "a.dcm"), fact))
    assert "SMITH" not in marks[0]
    assert marks[0] == marks[1] != marks[2]


@pytest.mark.parametrize(("attribute", "fact", "term"), [(*ATTRIBUTES[0], "MLO"), (*ATTRIBUTES[1], "CHEST")])
def test_a_defined_term_is_kept(tmp_path, attribute, fact, term):
    write(radiograph(**{attribute: term}), tmp_path / "a.dcm")
    assert getattr(read_header(tmp_path / "a.dcm"), fact) == term


def test_a_mark_is_not_marked_again():
    assert coded(coded("SMITH JOHN", VIEWS), VIEWS) == coded("SMITH JOHN", VIEWS)
    assert coded("an unknown value SMITH", BODY_PARTS) != "an unknown value SMITH"

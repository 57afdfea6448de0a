"""Numbers order classes; words do not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isotone.data.class_order import class_order, ordinal_ranks


@pytest.mark.parametrize(
    "classes",
    [
        ("1", "2", "10"),
        ("-1", "0", "1"),
        ("0", "0.5", "2.25"),
        ("BI-RADS 1", "BI-RADS 2", "BI-RADS 10"),
        ("0 low", "1 medium", "2 high"),
        ("grade2", "Grade10"),
        ("A", "B", "C", "D"),
        ("a", "b"),
    ],
)
def test_numbers_and_the_first_letters_order_classes(classes: tuple[str, ...]) -> None:
    assert class_order(reversed(classes)) == classes
    assert ordinal_ranks(classes[::-1]) == list(range(len(classes)))[::-1]


@pytest.mark.parametrize(
    "classes",
    [
        ("low", "medium", "high"),
        ("B", "M", "N"),
        ("1", "2", "other"),
        ("1", "1.0"),
        ("T1", "N2", "M3"),
        ("4A", "4B", "5"),
    ],
)
def test_words_state_no_order(classes: tuple[str, ...]) -> None:
    assert ordinal_ranks(classes) is None
    assert class_order(classes) == tuple(sorted(classes))


@given(st.lists(st.integers(-1000, 1000), min_size=1, unique=True))
def test_whole_numbers_stand_in_their_order(numbers: list[int]) -> None:
    assert [int(label) for label in class_order(map(str, numbers))] == sorted(numbers)


@given(st.lists(st.text(max_size=4)))
def test_each_label_stands_once_whatever_it_is(labels: list[str]) -> None:
    assert sorted(class_order(labels)) == sorted(set(labels))
    assert class_order(labels) == class_order(reversed(labels))

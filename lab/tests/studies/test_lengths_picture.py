"""README's picture of lengths: its labels can be read, and each can be told to its line."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))

import write_lengths_picture as lengths

MEASURED = "0.888 m (0.888 to 0.888), true 8.88 m"
LABELS = [
    (lengths.GIVEN, lengths.place_label(lengths.GIVEN, "given: 0.888 x 0.888 m")),
    *((style, lengths.place_label(style, MEASURED)) for style in lengths.MEASURED),
]


def test_labels_lie_inside_the_picture_and_apart() -> None:
    width, height = lengths.SIZE
    boxes = [label.box for _, label in LABELS]
    for left, top, right, bottom in boxes:
        assert left >= 0
        assert top >= 0
        assert right <= width
        assert bottom <= height
    for first, second in itertools.combinations(boxes, 2):
        is_beside = first[2] < second[0] or second[2] < first[0]
        is_below = first[3] < second[1] or second[3] < first[1]
        assert is_beside or is_below


def test_every_label_has_a_leader_to_its_line_in_a_colour_of_its_own() -> None:
    assert len({style.colour for style, _ in LABELS}) == len(LABELS)
    for style, label in LABELS:
        begin, end = (np.array(place) for place in lengths.on_picture(style.ends)[:2])
        target = np.array(label.leader[1])
        share = np.dot(target - begin, end - begin) / np.dot(end - begin, end - begin)
        assert 0 < share < 1
        np.testing.assert_allclose(begin + share * (end - begin), target)
        assert np.linalg.norm(target - label.leader[0]) > 8


@pytest.mark.parametrize("style", lengths.MEASURED, ids=lambda style: style.colour)
def test_no_label_hides_a_line(style: lengths.LineStyle) -> None:
    begin, end = (np.array(place) for place in lengths.on_picture(style.ends)[:2])
    for share in np.linspace(0, 1, 50):
        x, y = begin + share * (end - begin)
        for _, label in LABELS:
            left, top, right, bottom = label.box
            assert not (left < x < right and top < y < bottom)

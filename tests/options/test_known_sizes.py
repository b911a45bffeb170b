"""Known sizes: every form in which they may be given, and what they make of a photograph."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rilievo.calibration.sizes import KnownCircle, KnownLength, KnownPoint, KnownRectangle
from rilievo.errors import OptionError
from rilievo.options.known_sizes import KnownSizes

POINT = KnownPoint(u=40, v=50, metres=1.5)
LENGTH = KnownLength(u1=40, v1=50, u2=90, v2=60, metres=0.2)
RECTANGLE = KnownRectangle(corners=((10, 10), (90, 12), (88, 70), (9, 68)), sides=(0.9, 0.6))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (POINT, POINT),
        ("40,50,1.5", POINT),
        ((40, 50, 1.5), POINT),
        ([40, 50, 1.5], POINT),
        (tuple(np.array([40, 50, 1.5])), POINT),
        (LENGTH, LENGTH),
        ("40,50,90,60,0.2", LENGTH),
        ((40, 50, 90, 60, 0.2), LENGTH),
        (RECTANGLE, RECTANGLE),
    ],
)
def test_a_known_size_is_the_same_in_every_form(given: Any, expected: object) -> None:
    assert KnownSizes(known=(given,)).known_sizes == (expected,)


@pytest.mark.parametrize("given", [(1, 2), (1, 2, 3, 4), (1, 2, "3"), (1, 2, 3, 4, 5, 6), 7])
def test_what_is_neither_a_point_nor_a_length_is_refused(given: Any) -> None:
    with pytest.raises(OptionError, match="KnownPoint"):
        _ = KnownSizes(known=(given,)).known_sizes


def test_lengths_and_rectangles_have_options_of_their_own() -> None:
    sizes = KnownSizes(
        known=("40,50,1.5",),
        known_length=("40,50,90,60,0.2",),
        known_rectangle=("10,10,90,12,88,70,9,68,90cmx60cm",),
        known_circle=("40,50,30,20,10,3cm",),
    )
    circle = KnownCircle(u=40, v=50, width=30, height=20, angle=10, metres=0.03)
    assert sizes.known_sizes == (POINT, LENGTH, RECTANGLE, circle)


@pytest.mark.parametrize(
    ("option", "text"),
    [
        ("known_length", "40,50,1.5"),
        ("known_length", "40,50,90,60"),
        ("known_length", "40,x,90,60,2"),
        ("known_length", "40,50,90,60,20,0.2"),
        ("known_length", "10,10,90,12,88,70,9,68,a4"),
        ("known_rectangle", "40,50,90,60,2"),
        ("known_circle", "40,50,1.5"),
    ],
)
def test_a_wrong_size_is_called_by_the_kind_of_its_option(option: str, text: str) -> None:
    kind = option.removeprefix("known_")
    with pytest.raises(OptionError, match=f"^known {kind} "):
        _ = KnownSizes(**{option: (text,)}).known_sizes


def test_a_table_holds_the_sizes_of_many_photographs_and_stands_alone() -> None:
    sizes = KnownSizes(known=("in/Known.CSV",))
    assert sizes.table == Path("in/Known.CSV")
    assert sizes.known_sizes == ()
    assert KnownSizes(known=("40,50,1.5",)).table is None
    for further in ({"known": ("known.csv", "40,50,1.5")}, {"known_length": ("1,2,3,4,1",)}):
        with pytest.raises(OptionError, match="one table"):
            _ = KnownSizes(**{"known": ("known.csv",), **further}).table


@pytest.mark.parametrize(
    ("given", "reads"),
    [
        ({}, True),
        ({"own_depth": "off"}, False),
        ({"known": ("40,50,1.5",)}, False),
        ({"known": ("known.csv",)}, False),
        ({"known_length": ("40,50,90,60,0.2",)}, False),
        ({"markers": 0.06}, False),
        ({"sparse": Path("depth.png")}, False),
        ({"camera_height": 1.5}, False),
    ],
)
def test_the_depth_map_in_a_file_gives_metres_where_nothing_else_does(
    given: dict[str, Any], reads: bool
) -> None:
    assert KnownSizes(**given).reads_own_depth is reads

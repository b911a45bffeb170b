"""Rows of a table of known sizes: empty values are of the other kind, empty rows are none."""

from pathlib import Path

import pytest

from rilievo.calibration.sizes import KnownLength, KnownPoint
from rilievo.errors import InputError
from rilievo.predicting.metres.size_files import read_known_csv


def test_rows_are_points_or_lengths_and_blank_ones_are_passed_over(tmp_path: Path) -> None:
    photo, table = tmp_path / "a.png", tmp_path / "known.csv"
    photo.touch()
    rows = ("file,u,v,u2,v2,metres", "a.png,150,140,,,3", ", ,,,,", "", "a.png,1,2,30,4,0.5")
    table.write_text("\n".join(rows))
    assert read_known_csv(table) == {
        photo.resolve(): (
            KnownPoint(u=150, v=140, metres=3),
            KnownLength(u1=1, v1=2, u2=30, v2=4, metres=0.5),
        )
    }


def test_a_row_without_a_photograph_is_refused_by_its_line(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    table = tmp_path / "known.csv"
    table.write_text("file,u,v,metres\na.png,1,2,3\na.png,,2,3\n")
    with pytest.raises(InputError, match="line 3"):
        read_known_csv(table)

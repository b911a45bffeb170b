"""Words of thousands of characters in text files, which no system takes as names or numbers."""

from pathlib import Path

import numpy as np
import pytest

from rilievo.calibration.points import calibrate
from rilievo.calibration.sizes import KnownLength, KnownPoint
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.predicting.metres.size_files import read_known_csv
from rilievo.records.depth_map import DepthKind, DepthMap


@pytest.mark.parametrize("name", [5000 * "n", 5000 * "ä", "n/" + 300 * "o", 2000 * "n/" + "a.png"])
def test_a_photograph_s_name_in_a_table_that_is_too_long_is_refused_in_a_line(
    tmp_path: Path, name: str
) -> None:
    table = tmp_path / "known.csv"
    table.write_text(f"file,u,v,metres\n{name},1,2,3\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"line 2: there is no file 'n|line 2: there is no file 'ä"
    ) as error:
        read_known_csv(table)
    assert len(str(error.value)) < 700


@pytest.mark.parametrize("metres", [1e-300, 9.9e-7, 5e-324, 1.1e6])
def test_sizes_that_nothing_has_are_refused(metres: float) -> None:
    with pytest.raises(OptionError, match=r"between 1e-06 and 1e\+06"):
        KnownLength(u1=1, v1=1, u2=9, v2=9, metres=metres)
    with pytest.raises(OptionError, match=r"between 1e-06 and 1e\+06"):
        KnownPoint(u=1, v=1, metres=metres)


@pytest.mark.parametrize("near", [1e-6, 1e-3, 1.0])
def test_sizes_a_million_million_times_apart_are_refused_in_a_line(near: float) -> None:
    values = np.geomspace(1e-12, 1e12, 48 * 64).astype(np.float32).reshape(48, 64)
    depth = DepthMap(values=values, valid=np.ones((48, 64), bool), kind=DepthKind.UP_TO_SCALE)
    known = (KnownPoint(u=0, v=0, metres=1e6), KnownPoint(u=63, v=47, metres=near))
    with pytest.raises(CalibrationError, match="contradict each other by a factor"):
        calibrate(depth, known)

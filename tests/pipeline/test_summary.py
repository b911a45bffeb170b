"""What a run says at its end."""

from pathlib import Path

import pytest

from rilievo.pipeline.summary import Tally


@pytest.mark.parametrize(
    ("count", "last"), [(20, "note: look at 19"), (23, "note: ... and 3 more")]
)
def test_notes_beyond_twenty_are_counted(tmp_path: Path, count: int, last: str) -> None:
    tally = Tally(output=tmp_path, show=False)
    for index in range(count):
        tally.note(f"look at {index}")
    lines = str(tally.summary()).splitlines()
    assert [line.startswith("note: ") for line in lines] == [False] + [True] * min(count, 21)
    assert lines[-1] == last

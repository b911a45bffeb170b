"""Ends of resumed work that the played power cuts take for a refusal."""

import pytest

from lab.torture.cuts import _is_refusal

FOREIGN = "out/1.png: rilievo did not write this file, so it is not replaced: move it"


@pytest.mark.parametrize(
    ("said", "is_refusal"),
    [
        (f"rilievo: in/1.jpg: {FOREIGN}\n5 done in 0.5 s\n1 failed, as said above", True),
        (f"0 done in 0.0 s\nfailed: in/clip.mp4: {FOREIGN}", True),
        (f"rilievo: in/1.jpg: {FOREIGN}\nrilievo: in/2.jpg: cannot be read\n4 done", False),
        ("5 done in 0.5 s\n1 failed, as said above", False),
        ("Traceback (most recent call last):\n  boom", False),
    ],
)
def test_work_is_refused_where_all_that_failed_is_files_of_nobody(
    said: str, *, is_refusal: bool
) -> None:
    assert _is_refusal(1, said) is is_refusal

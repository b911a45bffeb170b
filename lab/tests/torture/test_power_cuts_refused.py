"""Ends of resumed work that the played power cuts take for a refusal, and files with numbers."""

from pathlib import Path

import pytest

from lab.torture.cuts import _is_refusal
from lab.torture.leavings import lost_list, numbered, unmarked_result
from rilievo.errors import InputError
from rilievo.io.outputs.sidecar import parse_sidecar

WEIGHTS = "out/weights.safetensors: is empty: delete record.json to restart training"
FOREIGN = "out/1.png: rilievo did not write this file, so it is not replaced: move it"


@pytest.mark.parametrize(
    ("said", "is_refusal"),
    [
        (f"rilievo: in/1.jpg: {FOREIGN}\n5 done in 0.5 s\n1 failed (see above)", True),
        (f"0 done in 0.0 s\nfailed: in/clip.mp4: {FOREIGN}", True),
        (f"rilievo: in/1.jpg: {FOREIGN}\nrilievo: in/2.jpg: cannot be read\n4 done", False),
        (f"1 of 2: cells/a\nskipped: a: {WEIGHTS}\n2 of 2: cells/b", True),
        (f"1 of 2: cells/a\nskipped: a: {WEIGHTS}\nskipped: b: no such layer", False),
        ("5 done in 0.5 s\n1 failed (see above)", False),
        ("Traceback (most recent call last):\n  boom", False),
    ],
)
def test_work_is_refused_where_all_that_failed_is_files_of_nobody(
    said: str, *, is_refusal: bool
) -> None:
    assert _is_refusal(1, said) is is_refusal


def test_a_damaged_list_of_files_is_refused_in_words_that_the_campaign_knows() -> None:
    with pytest.raises(InputError) as refused:
        parse_sidecar('{\n "for', "out/1.json")
    assert _is_refusal(1, f"rilievo: in/1.jpg: {refused.value}\n5 done in 0.5 s\n1 failed")


WANTED = {"0.glb": b"surface", "0.html": b"page", "0.json": b"both", "1.glb": b"other"}


@pytest.mark.parametrize(
    ("found", "names"),
    [
        ({"0.glb": b"sur", "0-2.glb": b"surface", "0-2.html": b"page", "0-2.json": b"both"}, True),
        ({"0.glb": b"sur", "0.html": b"page", "0-2.glb": b"surface", "0-2.json": b"one"}, True),
        ({"0.glb": b"sur", "0.html": b"pa", "0-2.glb": b"surface", "0-2.json": b"one"}, False),
        ({"0.glb": b"surface", "0.html": b"page"}, False),
    ],
)
def test_results_whose_list_is_lost_may_be_there_with_a_number(
    found: dict[str, bytes], *, names: bool
) -> None:
    of_stem = {name for name in {**found, **WANTED} if name.startswith("0")}
    assert numbered(found, WANTED, ["0"]) == (of_stem if names else set())
    assert numbered(found, WANTED, []) == set()


@pytest.mark.parametrize(
    ("content", "stem"),
    [
        (None, "0"),
        (b'{\n "for', "0"),
        (b'{\n "f\0\0\0', "0"),
        (b'{\n "format": "rilievo/1",', ""),
        (b"", ""),
        (b"\0\0", ""),
    ],
)
@pytest.mark.parametrize("name", ["0.json", ".0.json.pending"])
def test_a_list_is_lost_where_nothing_tells_that_it_is_ours(
    name: str, content: bytes | None, stem: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert lost_list(tmp_path / name) == stem
    assert lost_list(tmp_path / "0.glb") == ""


@pytest.mark.parametrize(
    ("name", "content", "stem"),
    [
        ("0.html", b"<!doctype html", "0"),
        ("0.glb", b"glTF\2\0\0\0\0\0\0\0", "0"),
        ("0.html", b"<!doctype html><title>rilievo</title>", ""),
        ("0.html", b"", ""),
        ("0.glb", b"\0\0\0\0", ""),
        ("0.json", b"{", ""),
    ],
)
def test_a_result_is_unmarked_where_nothing_in_it_tells_that_it_is_ours(
    name: str, content: bytes, stem: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert unmarked_result(tmp_path / name) == stem
    assert unmarked_result(tmp_path / "gone.glb") == ""

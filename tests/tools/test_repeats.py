"""Repeats are runs of six lines of one shape, and are counted once for each pair of files."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from repeats import Pair, find_pairs, lines_of, main

BODY = '''
def {name}({given}):
    """Docstring of {name}."""
    low = {given}.min()
    high = {given}.max()
    # a comment, and a line of space

    if high - low < {limit}:
        return {given}
    middle = (low + high) / 2
    return [
        {given} - middle,
    ]
'''


def body(name: str, given: str = "depth", limit: str = "1e-6") -> str:
    return BODY.format(name=name, given=given, limit=limit)


def test_lines_are_compared_without_what_does_nothing() -> None:
    lines = lines_of('"""Docstring."""\nimport numpy\n' + body("middled"))
    assert [line.number for line in lines] == [4, 6, 7, 10, 11, 12, 13, 14]
    assert lines[1].shape == "x = x . x ( )"
    assert lines[1].text == "low = depth . min ( )"
    assert lines[3].shape == "if x - x < 0 :"
    assert [line.acts for line in lines] == [False, True, True, True, True, True, True, False]


def test_other_names_and_numbers_make_the_same_shape() -> None:
    [pair] = find_pairs({"a/one.py": body("one"), "b/two.py": "X = 1\n" + body("two", "n", "3")})
    assert pair == Pair(first="a/one.py:2-12", second="b/two.py:3-13", lines=8, letter=False)
    assert pair.folders == {"a", "b"}


def test_lines_that_are_the_same_to_the_letter_are_marked() -> None:
    sources = {"a/one.py": body("same"), "a/two.py": body("same")}
    assert [(pair.letter, pair.folders) for pair in find_pairs(sources)] == [(True, {"a"})]


def test_a_file_is_paired_with_itself_once() -> None:
    [pair] = find_pairs({"one.py": body("first") + body("second")})
    assert (pair.first, pair.second) == ("one.py:2-12", "one.py:15-25")


def test_fields_and_short_runs_and_what_stands_everywhere_are_no_repeats() -> None:
    fields = "class Of:\n" + "".join(f"    field{k}: int\n" for k in range(9))
    assert find_pairs({"one.py": fields, "two.py": fields.replace("field", "other")}) == []
    five = "".join(f"value{k} = {k} + given\n" for k in range(5))
    assert find_pairs({"one.py": five, "two.py": five}) == []
    assert len(find_pairs({f"{k}.py": body("each") for k in range(8)})) == 28
    assert find_pairs({f"{k}.py": body("each") for k in range(9)}) == []


def test_the_program_counts_pairs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file.py").write_text(body(name, given=name))
    assert main(["--source", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("1 pairs, 0 to the letter; 1 in different folders\n")
    assert "  a/file.py:2-12 ~ b/file.py:2-12 (8 lines)" in printed

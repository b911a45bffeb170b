"""Comparisons as files: the same numbers in every format, and names that stay text."""

import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest

from rilievo.cli import main
from rilievo.errors import OptionError, OutputError
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.tables.comparing import compare
from rilievo.evaluation.tables.comparison import ComparedValue
from rilievo.evaluation.tables.comparison_page import disagreements
from rilievo.evaluation.tables.comparison_report import comparison_tables, write_comparison
from rilievo.evaluation.tables.comparison_tables import alignment_texts, cell_entry
from rilievo.evaluation.tables.long_table import long_table
from rilievo.io.map_pictures import DEPTH_COLOURS, describe_depth_colours
from rilievo.io.verification import verify
from rilievo.pages.tables import (
    Table,
    make_headings,
    table_as_csv,
    table_as_latex,
    tables_as_markdown,
)
from support.evaluations import evaluation, in_folder, random_errors, run_of
from support.pictured_rooms import Rooms

EVIL = "<script>alert(1)</script>|$x_1$ & 5% #~^\\{}*`\n=2"


def test_hostile_names_stay_text_in_every_format(tmp_path: Path) -> None:
    values = random_errors()
    ids = tuple(f"{EVIL}{i}" for i in range(40))
    runs = [
        run_of(f"={name}{EVIL}", each, ids=ids) for name, each in (("a", values), ("b", values + 1))
    ]
    compared = compare(runs)
    text = tables_as_markdown(*comparison_tables(compared))
    assert "<script>" not in text.replace("\\<script", "")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in rows[:4]} == {3}
    table = list(csv.DictReader(io.StringIO(table_as_csv(long_table(compared)))))
    assert [row["model"][:3] for row in table] == ["'=a", "'=b"]
    body = table_as_latex(comparison_tables(compared)[0])
    for special in "&%$#_{}~^\\":
        written = {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
        assert written.get(special, f"\\{special}") in body
    assert not re.search(r"(?<!\\)[%#]", body.split("\n", 1)[1])
    write_comparison(compared, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    scripts = re.findall("<script>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == page.count("<script") == 2, "of the stage and of the page"
    assert not any("alert(1)" in script for script in scripts)
    assert "&lt;script&gt;alert(1)" in page
    assert not re.search(r"(src|href|url)\s*[=(]\s*[\"']?(https?:)?//", page)


def test_a_page_has_open_figures_folded_notes_and_the_names_of_its_colours(tmp_path: Path) -> None:
    values = random_errors()
    compared = compare([run_of("a", values), run_of("b", values + 1)])
    write_comparison(compared, tmp_path / "c.html", {"a": Rooms(), "b": Rooms()})
    page = (tmp_path / "c.html").read_text()
    folds = re.findall(r'<details class="fold"( open)?>(.*?)</details>', page, re.DOTALL)
    figures = [is_open for is_open, text in folds if "<svg" in text]
    assert figures
    assert all(figures)
    [notes_are_open] = [is_open for is_open, text in folds if 'id="notes"' in text]
    assert not notes_are_open
    assert describe_depth_colours(DEPTH_COLOURS) in page


@pytest.mark.parametrize(("images", "has_middle"), [(2, False), (3, True)])
def test_of_two_images_neither_is_called_the_middle(
    images: int, has_middle: bool, tmp_path: Path
) -> None:
    values = np.arange(1, images + 1) / 10
    compared = compare([run_of("a", values), run_of("b", values + 1)])
    write_comparison(compared, tmp_path / "c.html", {"a": Rooms(), "b": Rooms()})
    page = (tmp_path / "c.html").read_text()
    assert ('data-label="mean of the runs"' in page) == has_middle
    assert ("The image in the middle by the mean" in page) == has_middle


def test_a_single_image_is_no_plural(tmp_path: Path) -> None:
    compared = compare(
        [run_of(name, np.array([value])) for name, value in (("a", 0.1), ("b", 0.2))]
    )
    for ending in ("md", "tex", "html"):
        write_comparison(compared, tmp_path / f"c.{ending}")
        text = (tmp_path / f"c.{ending}").read_text()
        assert "1 image" in text
        assert "1 images" not in text


def test_ranks_stand_where_they_are_asked_for_and_known() -> None:
    cell = ComparedValue(value=1.0, rank=2)
    assert cell_entry(cell).small_print == ()
    assert cell_entry(cell, shows_rank=True).small_print == ("rank 2",)
    assert cell_entry(ComparedValue(value=1.0), shows_rank=True).small_print == ()


def test_two_images_show_a_difference_without_interval_or_p() -> None:
    values = random_errors()[:2]
    compared = compare([run_of("a", values), run_of("b", values + 1)])
    [row] = (
        line
        for line in tables_as_markdown(comparison_tables(compared)[1]).splitlines()
        if "b − a" in line
    )
    assert row.split("|")[-3:-1] == [" – ", " – "]


def test_the_page_has_every_number_and_the_images_on_which_runs_disagree(tmp_path: Path) -> None:
    values = random_errors()
    other = values.copy()
    other[7] += 0.5
    other[9] -= 0.01
    compared = compare([run_of("a", values), run_of("b", other)])
    pairs = disagreements(compared.groups[0], compared.groups[0].columns[0])
    assert [pair.id for pair in pairs[:2]] == ["room/0007", "room/0009"]
    assert pairs[0].spread == pytest.approx(0.5)
    write_comparison(compared, tmp_path / "c.html")
    page = (tmp_path / "c.html").read_text()
    assert f"{values.mean():.4f}" in page
    assert f"{other.mean():.4f}" in page
    assert "b is better than a on 1 of 40 images (2.5%)" in page


@pytest.mark.slow
def test_every_format_has_the_same_numbers(tmp_path: Path) -> None:
    compared = compare([evaluation(model="a", seed=1), evaluation(model="b", seed=2)])
    for ending in ("md", "tex", "html", "csv"):
        path = tmp_path / f"c.{ending}"
        write_comparison(compared, path)
        text = path.read_text()
        for row in compared.groups[0].rows:
            for cell in row.cells.values():
                assert (repr(cell.value) if ending == "csv" else f"{cell.value:.4f}") in text
    with pytest.raises(OptionError, match=r"\.md, \.csv, \.tex or \.html"):
        write_comparison(compared, tmp_path / "c.pdf")
    with pytest.raises(OutputError, match="folder does not exist"):
        write_comparison(compared, tmp_path / "absent" / "c.md")


@pytest.mark.parametrize("ending", ["md", "html"])
def test_a_comparison_is_verified_by_the_checksum_beside_it(tmp_path: Path, ending: str) -> None:
    compared = compare([evaluation(model="a", seed=1), evaluation(model="b", seed=2)])
    path = tmp_path / f"c.{ending}"
    write_comparison(compared, path)
    assert verify(path).whole == 1
    assert verify(tmp_path).is_whole
    path.write_bytes(path.read_bytes()[:-1])
    [fault] = verify(path).faults
    assert fault.file == str(path)
    write_comparison(compared, path)
    assert verify(path).is_whole


def test_the_command_prints_tables_or_writes_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = [
        str(in_folder(run_of(name, random_errors(i)), tmp_path / name))
        for i, name in enumerate("ab")
    ]
    assert main(["compare", *runs, "--baseline", "b"]) == 0
    printed = capsys.readouterr().out
    # Tables as a terminal has them: no Markdown, no escapes.
    assert "| " not in printed
    assert "\\" not in printed
    compared = compare([Path(run) for run in runs], baseline="b")
    for _, _, difference in compared.groups[0].differences():
        assert f"{difference.mean:.4f}" in printed
    assert "a − b" in printed
    assert "after fitting a scale to each image" in printed
    assert main(["compare", *runs, "-o", str(tmp_path / "c.tex"), "--metrics", "abs_rel"]) == 0
    written = (tmp_path / "c.tex").read_text()
    assert "\\toprule" in written
    assert "\\scriptsize 0." in written
    assert "its 95\\% confidence interval." in written
    assert main(["compare", *runs, "--metrics", "nothing"]) == 2
    (tmp_path / "a" / "evaluation.json").write_text("{")
    assert main(["compare", *runs]) == 2
    assert str(tmp_path / "a" / "evaluation.json") in capsys.readouterr().err


def test_the_command_shows_five_metrics_unless_all_are_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("abs_rel", "sq_rel", "rmse", "log10", "silog", "silog_half", "delta1", "mae")
    metrics = tuple((name, name.upper(), "", Better.LOWER) for name in names)
    runs = [
        str(in_folder(evaluation(model=name, seed=i, metrics=metrics), tmp_path / name))
        for i, name in enumerate("ab")
    ]
    shown = {}
    for asked in ([], ["--metrics", "all"], ["--metrics", "mae,sq_rel"]):
        assert main(["compare", *runs, *asked]) == 0
        printed = capsys.readouterr().out
        shown[tuple(asked)] = [name for name in names if f"{name.upper()} ↓" in printed]
    assert list(shown.values()) == [
        ["abs_rel", "rmse", "log10", "silog", "delta1"],
        list(names),
        ["sq_rel", "mae"],
    ]
    assert main(["compare", *runs, "-o", str(tmp_path / "c.csv")]) == 0
    assert "silog_half" in (tmp_path / "c.csv").read_text()


def test_a_table_without_rows_keeps_its_header() -> None:
    assert table_as_csv(Table(headings=make_headings("model", "value"), rows=())) == "model,value\n"


def test_a_table_for_a_paper_states_its_alignment_and_its_dataset() -> None:
    compared = compare([evaluation(model="a", seed=1), evaluation(model="b", seed=2)])
    [note] = alignment_texts(compared.groups[0])
    text = table_as_latex(comparison_tables(compared)[0])
    assert f"All predictions are scored {note}." in text
    assert (
        compared.groups[0].dataset.split(",")[0] in text.partition(r"\caption")[2].splitlines()[0]
    )
    assert "terminal" not in text


@pytest.mark.parametrize(("baseline", "reference"), [(None, "the best run"), ("b", "b")])
def test_a_table_for_a_paper_says_what_its_asterisks_mean_and_promises_no_other_numbers(
    baseline: str | None, reference: str
) -> None:
    values = random_errors()
    compared = compare([run_of("a", values), run_of("b", values + 1)], baseline=baseline)
    text = table_as_latex(comparison_tables(compared)[0])
    assert "$^{*}$" in text
    assert f"An asterisk marks a significant difference from {reference}: p " in text
    assert "intervals of the differences" not in text
    assert "Differences" not in text

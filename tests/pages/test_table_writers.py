"""One record of a table: the same cells in every format, and text that stays text."""

import csv
import io
import re

import pytest

from rilievo.evaluation.tables.comparison import Comparison
from rilievo.pages.document import page_pieces
from rilievo.pages.tables import (
    Entry,
    Heading,
    Table,
    make_headings,
    table_as_csv,
    table_as_latex,
    tables_as_markdown,
)

BEST = Entry(text="0.05", interval="0.04 to 0.06", is_best=True, is_marked=True)
TABLE = Table(
    title="rooms",
    lead=("Three images.",),
    caption="rooms: 50%",
    headings=(
        Heading(text="model"),
        Heading(text="AbsRel ↓", group="a_b"),
        Heading(text="δ1 ↑", group="a_b"),
        Heading(text="why", is_text=True),
    ),
    rows=(
        ("mine", BEST, "0.9", "x|y"),
        (Entry(text="theirs", source=1), None, "", Entry(text="=1+1")),
    ),
    rows_above_rule=1,
    notes=("Mind the # gap.",),
    sources=("A paper",),
)


def test_markdown_has_every_cell_its_marks_and_the_notes() -> None:
    assert tables_as_markdown(TABLE).splitlines() == [
        "# rooms",
        "",
        "Three images.",
        "",
        r"| model | a\_b: AbsRel ↓ | a\_b: δ1 ↑ | why |",
        "| --- | ---: | ---: | --- |",
        r"| mine | **0.05\*** (0.04 to 0.06) | 0.9 | x\|y |",
        "| theirs (published) [1] | – | – | =1+1 |",
        "",
        r"- Mind the \# gap.",
        "- [1] A paper",
    ]


def test_latex_groups_columns_and_parts_rows() -> None:
    lines = table_as_latex(TABLE).splitlines()
    assert r"\begin{tabular}{lrrl}" in lines
    groups = lines.index(r" & \multicolumn{2}{c}{a\_b} &  \\")
    assert lines[groups + 1] == r"\cmidrule(lr){2-3}"
    assert lines[groups + 2].startswith(r"model & AbsRel $\downarrow$ & $\delta$1 $\uparrow$ & why")
    mine = lines.index(r"mine & \textbf{0.05}$^{*}$ & 0.9 & x\textbar{}y \\")
    assert lines[mine + 1] == r" & {\scriptsize 0.04 to 0.06} &  &  \\"
    assert lines[mine + 2 :][:2] == [r"\midrule", r"theirs (published)$^{1}$ & -- & -- & =1+1 \\"]
    assert r"\caption{rooms: 50\%}" in lines
    assert r"$^{1}$ A paper\\" in lines


def test_a_spreadsheet_gets_numbers_in_full_and_no_formula() -> None:
    made = Table(
        headings=make_headings("a", "b", "c"), rows=(("+1", 1 / 3, None), ("x\ny", True, 2))
    )
    assert list(csv.reader(io.StringIO(table_as_csv(made)))) == [
        ["a", "b", "c"],
        ["'+1", repr(1 / 3), ""],
        [r"x\ny", "True", "2"],
    ]


def test_a_page_has_the_same_cells() -> None:
    nothing = Comparison(groups=(), notes=())
    empty = Table(headings=make_headings("model"), rows=())
    page = "".join(
        page_pieces(
            "leaderboard.html",
            comparison=nothing,
            wide_table=TABLE,
            rank_table=empty,
            pair_table=empty,
            tables_by_benchmark={},
            rank_chart=None,
        )
    )
    body = re.search(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert body is not None
    cells = re.findall(r"<t[hd].*?>(.*?)</t[hd]>", body[1])
    assert [re.sub(r"<.*?>", " ", cell).split() for cell in cells] == [
        *(["mine"], ["0.05*", "0.04", "to", "0.06"], ["0.9"], ["x|y"]),
        *(["theirs", "published", "[1]"], ["–"], ["–"], ["=1+1"]),
    ]
    assert '<th scope="col">a_b: AbsRel ↓</th>' in page
    assert page.count('class="strong"') == 1


def test_rows_without_a_heading_for_each_cell_are_refused() -> None:
    with pytest.raises(AssertionError, match="2 headings, but a row of 1"):
        Table(headings=make_headings("a", "b"), rows=(("x",),))


def test_an_empty_text_is_empty_in_every_format() -> None:
    table = Table(headings=make_headings("image", "notes"), rows=(("a", Entry(text="")),))
    page = "".join(
        page_pieces(
            "leaderboard.html",
            comparison=Comparison(groups=(), notes=()),
            wide_table=table,
            rank_table=Table(headings=make_headings("model"), rows=()),
            pair_table=Table(headings=make_headings("model"), rows=()),
            tables_by_benchmark={},
            rank_chart=None,
        )
    )
    [row] = re.findall(r"<tr><th scope=.row.>.*?</tr>", page)
    written = [row, tables_as_markdown(table), table_as_latex(table), table_as_csv(table)]
    assert not any("''" in text or "&#39;" in text for text in written)
    assert table.terminal_rows == [["a", ""]]

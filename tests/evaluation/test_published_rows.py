"""The table of published rows: every number stands in the words that are quoted for it."""

import csv
import re
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from rilievo.data.datasets import DATASETS, find_dataset
from rilievo.evaluation import benchmarks
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Published, benchmark_settings
from rilievo.evaluation.commands.benchmarks import main
from rilievo.evaluation.tables.comparing import compare
from rilievo.evaluation.tables.comparison_report import comparison_tables
from rilievo.evaluation.tables.long_table import long_table
from rilievo.pages.tables import table_as_csv, table_as_latex, tables_as_markdown
from support.evaluations import METRICS, evaluation, random_errors

NUMBER = re.compile(r"\d+(?:\.\d+)?")
FACTORS = (1, 100)
"""Factors from our unit to the printed one: as it is, or in %."""
RIVALS = 4
WITH_ROWS = 44
FEWER = {
    "kitti-uncertainty": 1,  # the paper's table was not to be read
    "probe3d-navi-si": 3,  # the paper prints scale-aware depth alone
    "sunrgbd-article": 2,  # the article has two models
}
NONE = {
    # Nobody's numbers, or variants that no paper prints.
    *("nyuv2-eigen-filled", "kitti-dav2", "kitti-kb-eigen", "probe3d-nyuv2-si"),
    *("depth", "normals", "certainty", "normals-certainty"),
    # Papers print it, in a table that was not to be read.
    "marigold-nyuv2-normals",
}
ROWS = [(each, row) for each in BENCHMARKS.values() for row in each.published]


def faults(row: Published) -> list[str]:
    """Return what a row lacks of place, words, number in them, document and days."""
    if not row.place:
        return ["place"]
    if not row.quote:
        return ["days without words"] if row.checked or row.read else []
    printed = {Decimal(each) for each in NUMBER.findall(row.quote)}
    found = [
        f"{name}={value:g}"
        for name, value in row.values.items()
        if not printed & {Decimal(str(abs(value))) * factor for factor in FACTORS}
    ]
    found += [] if row.read else ["document"]
    try:
        [date.fromisoformat(day) for day in row.checked.split()]
    except ValueError:
        found.append("days")
    return found if row.checked else [*found, "days"]


def test_every_number_stands_in_its_words_or_the_row_is_unquoted() -> None:
    wrong = [(each.name, row.model, row.place, faults(row)) for each, row in ROWS if faults(row)]
    assert not wrong


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"values": {"abs_rel": 0.053}}, "abs_rel=0.053"),
        ({"values": {"abs_rel": 0.52}}, "abs_rel=0.52"),
        ({"place": ""}, "place"),
        ({"read": ""}, "document"),
        ({"checked": ""}, "days"),
        ({"checked": "yesterday"}, "days"),
        ({"quote": ""}, "days without words"),
    ],
    ids=str,
)
def test_a_planted_fault_in_a_row_is_found(change: dict[str, str], fault: str) -> None:
    right = Published(
        model="m",
        values={"abs_rel": 0.052, "delta1": 0.966},
        place="a paper, Table 1",
        quote="m | 74K | 5.2 96.6",
        read="the paper",
        checked="2026-11-22",
    )
    assert faults(right) == []
    assert faults(replace(right, **change)) == [fault]


def test_every_row_of_the_file_reaches_its_benchmark() -> None:
    path = Path(benchmarks.__file__).with_name("published.csv")
    with path.open(encoding="utf-8", newline="") as file:
        names = Counter(row["benchmark"] for row in csv.DictReader(file))
    assert names == Counter(each.name for each, _ in ROWS)


def test_no_row_stands_twice() -> None:
    count = Counter(
        (each.name, row.data, row.model, str(row.values), row.place) for each, row in ROWS
    )
    assert [key for key, times in count.items() if times > 1] == []


def test_rows_of_any_dataset_say_on_which() -> None:
    for each, row in ROWS:
        if each.dataset is not None:
            assert row.data == "", (each.name, row.model)
            continue
        name, split = row.data.split(" ", 1)
        if name in DATASETS:
            assert split in find_dataset(name).card.splits, row.data
        else:  # in words: frames that no dataset here has
            assert ", " in row.data, row.data


def test_benchmarks_that_papers_print_have_rivals() -> None:
    models: defaultdict[str, set[str]] = defaultdict(set)
    for each, row in ROWS:
        models[each.name].add(row.model)
    few = {name: len(found) for name, found in models.items() if len(found) < RIVALS}
    assert few == FEWER
    assert not NONE & models.keys()
    assert len(models) >= WITH_ROWS  # a benchmark that was added since may have none


PUBLISHED = (
    Published(model="old", values={"abs_rel": 1e-6}, place="a table", quote=""),
    Published(model="far", values={"abs_rel": 0.9}, place="p", quote="far 0.9"),
    Published(model="near", values={"abs_rel": 0.1}, place="p", quote="near 0.1", note="cropped"),
    Published(model="shares", values={"delta1": 0.99}, place="p", quote="shares 99"),
    Published(model="here", values={"abs_rel": 0.2}, place="p", quote="0.2", data="rooms test"),
    Published(model="there", values={"abs_rel": 0.2}, place="p", quote="0.2", data="rooms train"),
)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    """A benchmark with published rows, one of them without words and better than all."""
    made = replace(BENCHMARKS["depth"], published=PUBLISHED)
    monkeypatch.setattr("rilievo.evaluation.tables.comparing.find_benchmark", lambda _: made)
    monkeypatch.setattr("rilievo.evaluation.commands.benchmarks.find_benchmark", lambda _: made)
    return made


def test_published_rows_are_sorted_never_bold_and_say_what_they_lack(card: Benchmark) -> None:
    worse = random_errors(images=12)
    runs = [
        evaluation(
            model=name,
            benchmark="depth",
            settings=dict(benchmark_settings(card)),
            values={"abs_rel": factor * worse, "delta1": 1 - worse},
            metrics=(METRICS[0], METRICS[2]),
        )
        for name, factor in (("a", 1), ("b", 1 / 3))
    ]
    compared = compare(runs)
    published = [row for row in compared.groups[0].rows if row.is_published]
    assert [row.name for row in published] == ["old", "near", "here", "far", "shares"]
    assert [row.source for row in published] == ["a table; unquoted", "p; cropped", "p", "p", "p"]
    assert sum(cell.is_best for row in compared.groups[0].runs for cell in row.cells.values()) == 1
    assert not any(cell.is_best for row in published for cell in row.cells.values())
    for text, bold in (
        (tables_as_markdown(*comparison_tables(compared)), "**"),
        (table_as_latex(comparison_tables(compared)[0]), r"\textbf"),
    ):
        lines = [line for line in text.splitlines() if bold in line]
        assert len(lines) == 1
        assert "ublished" not in lines[0]
    table = list(csv.DictReader(table_as_csv(long_table(compared)).splitlines()))
    assert {row["model"]: row["quote"] for row in table if row["published"] == "True"} == {
        "old": "",
        "near": "near 0.1",
        "here": "0.2",
        "far": "far 0.9",
        "shares": "shares 99",
    }


def test_the_card_of_a_benchmark_quotes_its_published_rows(
    card: Benchmark, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["depth"]) == 0
    text = capsys.readouterr().out
    assert '  near: abs_rel 0.1 (p; cropped)\n    "near 0.1"\n' in text
    assert "  old: abs_rel 1e-06 (a table; unquoted)\n  far" in text
    assert "  here on rooms test: abs_rel 0.2 (p)\n" in text


def test_both_benchmarks_of_probed_normals_have_the_25_rows() -> None:
    for name in ("probe3d-nyuv2-normals", "probe3d-navi-normals"):
        rows = {row.model: row.values for row in BENCHMARKS[name].published}
        assert len(rows) == 25
        for values in rows.values():
            assert values["within_11_25"] < values["within_22_5"] < values["within_30"]
    assert rows["DINOv2 L14"] == {
        "within_11_25": 0.5015,
        "within_22_5": 0.747,
        "within_30": pytest.approx(0.8312),
        "rmse": 24.52,
    }

"""A walk counts the functions and modules that hold a value, however it is passed on."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

from import_graph import read_modules
from walks import ROOT, WALKS, Walk, listing, table, walk

BEGIN = """
from dataclasses import dataclass, replace
from functools import partial
from ours import late, middle
from ours.records import Job, Options, Plan

def begin(options: Options | None = None) -> None:
    options = options or Options()
"""
RECORDS = """
from dataclasses import dataclass, field
from ours import late

@dataclass(frozen=True)
class Size:
    width: int

@dataclass(frozen=True)
class Options:
    size: Size = field(default_factory=Size)

    @property
    def area(self) -> int:
        return late.area(self.size)

@dataclass(frozen=True)
class Plan:
    name: str
    options: Options

    def make(self) -> None:
        late.work(self.options)

    def say(self) -> str:
        return late.work(self.name)

class Job:
    def __init__(self, options: Options) -> None:
        self._options = options

    def run(self) -> None:
        late.work(self._options)
"""
MIDDLE = """
from ours import late
from ours.records import Plan

def middle(value):
    late.work(value)

def carry(plan: Plan) -> None:
    plan.make()

def name_of(plan: Plan) -> str:
    return plan.name

def call(function) -> None:
    function()

def call_all(function, values) -> None:
    for value in values:
        function(value)

def back(value):
    from ours.begin import helper
    late.work(value)
    helper(value)
"""
LATE = "def work(value):\n    value.go()\n\ndef area(size):\n    return size.width\n"


def walk_of(folder: Path, body: str, *, fields: bool = False) -> Walk:
    """Walk of the options through ``begin`` with a body, in a package of four modules."""
    files = {"begin": f"{BEGIN}    {body}\n\ndef helper(value):\n    late.work(value)\n"}
    files |= {"records": RECORDS, "middle": MIDDLE, "late": LATE, "__init__": ""}
    (folder / "ours").mkdir()
    for name, text in files.items():
        (folder / f"ours/{name}.py").write_text(text)
    return walk(read_modules(folder / "ours"), "ours.begin:begin", "options", fields=fields)


def names(way: Walk) -> str:
    return " ".join(str(stay).removeprefix("ours.") for stay in way.stays)


@pytest.mark.parametrize(
    ("body", "stays"),
    [
        ("late.work(1)", ""),
        ("middle.middle(options)", "middle:middle late:work"),
        ("middle.middle(value=options)", "middle:middle late:work"),
        ("other = options; middle.middle(other)", "middle:middle late:work"),
        ("late.work(replace(options, size=None))", "late:work"),
        ("Plan('a', options).make()", "records:Plan.make late:work"),
        ("middle.carry(Plan('', options=options))", "middle:carry records:Plan.make late:work"),
        ("middle.name_of(Plan('a', options))", ""),
        ("Plan('a', options).say()", ""),
        ("Job(options).run()", "records:Job.__init__ records:Job.run late:work"),
        ("late.work({'a': [options]}['a'][0])", "late:work"),
        ("many = []; many.append((1, options)); late.work(many)", "late:work"),
        ("[late.work(one) for one in (options,)]", "late:work"),
        ("middle.call(lambda: late.work(options))", "late:work middle:call"),
        ("j = Job(options); middle.call(j.run)",
            "records:Job.__init__ middle:call records:Job.run late:work"),
        ("middle.call_all(late.work, [options])", "middle:call_all late:work"),
        ("pool.submit(middle.middle, options)", "middle:middle late:work"),
        ("partial(middle.middle, options)()", "middle:middle late:work"),
        ("late.work(str(options)); middle.middle(hash(options))", "late:work"),
        ("late.work(options.size)", ""),
        ("options.area", "records:Options.area"),
    ],
)  # fmt: skip
def test_stays_are_the_functions_that_hold_the_value(tmp_path: Path, body: str, stays: str) -> None:
    assert names(walk_of(tmp_path, body)) == f"begin:begin {stays}".strip()


def test_fields_of_the_value_are_followed_where_they_count(tmp_path: Path) -> None:
    body = "late.work(options.size.width); options.area"
    way = walk_of(tmp_path, body, fields=True)
    assert names(way) == "begin:begin late:work records:Options.area late:area"


def test_calls_back_into_rooms_passed_before_are_climbs(tmp_path: Path) -> None:
    way = walk_of(tmp_path, "late.work(options); middle.back(options); middle.middle(options)")
    assert names(way) == "begin:begin late:work middle:back begin:helper middle:middle"
    assert [*way.rooms] == ["ours.begin", "ours.late", "ours.middle"]
    climbs = [(caller.node.name, callee.node.name) for caller, callee in way.climbs]
    assert climbs == [("back", "helper"), ("begin", "middle")]
    assert table({"a": (way, way)}).splitlines()[-1].split() == ["a", *"532532"]
    assert listing("a", way).splitlines()[3:] == [
        "   3 ours.middle: back, middle",
        "a: climbs",
        "     ours.middle:back -> ours.begin:helper",
        "     ours.begin:begin -> ours.middle:middle",
    ]


def test_a_walk_that_begins_nowhere_is_refused(tmp_path: Path) -> None:
    walk_of(tmp_path, "late.work(options)")
    modules = read_modules(tmp_path / "ours")
    for name in ("ours.begin:gone", "ours.gone:begin", "ours.records:Plan.gone"):
        with pytest.raises(SystemExit, match="no function"):
            walk(modules, name, "options")
    with pytest.raises(SystemExit, match="no parameter gone"):
        walk(modules, "ours.begin:begin", "gone")


@pytest.mark.slow
def test_walks_of_the_package_leave_the_room_where_they_begin() -> None:
    modules = read_modules(ROOT / "src/rilievo")
    for start in WALKS.values():
        assert len(walk(modules, *start).rooms) > 1, start


@pytest.mark.slow
def test_the_configuration_of_a_training_ends_in_its_plan() -> None:
    modules = read_modules(ROOT / "src/rilievo")
    rooms = walk(modules, *WALKS["train video's config"]).rooms
    names = {room.rpartition(".")[2] for room in rooms}
    assert "video_plan" in names
    assert names.isdisjoint({"video_task", "video_learner", "pose_warm_up", "loop"}), names

"""A journey counts the modules whose functions are called between its beginning and its end."""

import sys
import threading
from importlib import import_module
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import journey
from journey import Journey, follow, report

FILES = {
    "__init__.py": "",
    "start.py": """
def before():
    from walked import middle

    middle.never_before()
    begin()


def begin():
    from walked import late, middle

    middle.first()
    middle.second()
    late.work()
    list(map(lambda each: each, (each for each in "ab")))
    end()
    late.after()


def end():
    pass
""",
    "middle.py": """
def never_before():
    pass


def first():
    second()


def second():
    pass
""",
    "late.py": """
from walked import side


def at_import():
    side.work()


at_import()


class Worker:
    def work(self):
        import threading

        thread = threading.Thread(target=side.in_thread)
        thread.start()
        thread.join()


def work():
    Worker().work()


def after():
    side.work()
""",
    "side.py": "def work():\n    pass\n\n\ndef in_thread():\n    pass\n",
    "other.py": "def other():\n    pass\n",
}


@pytest.fixture
def walked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package to follow a call through, imported by nobody yet."""
    source = tmp_path / "walked"
    source.mkdir()
    for name, text in FILES.items():
        (source / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "walked"]:
        monkeypatch.delitem(sys.modules, name)
    return source


def call(_: Path) -> None:
    import_module("walked.start").before()


def test_calls_between_beginning_and_end_are_noted_in_order(walked: Path) -> None:
    trail = follow(Journey(call, begins="begin", ends="end"), walked)
    assert {module: [*functions] for module, functions in trail.functions.items()} == {
        "start.py": ["begin", "end"],
        "middle.py": ["first", "second"],
        "late.py": ["work", "Worker.work"],
        "side.py": ["in_thread"],
    }
    assert [*trail.functions] == ["start.py", "middle.py", "late.py", "side.py"]
    names = sorted(file.name for file in trail.imported)
    assert names == ["__init__.py", "late.py", "middle.py", "side.py", "start.py"]
    assert sys.getprofile() is None
    assert threading.getprofile() is None


def test_the_whole_call_is_followed_where_nothing_else_is_said(walked: Path) -> None:
    trail = follow(Journey(call), walked)
    assert [*trail.functions["start.py"]] == ["before", "begin", "end"]
    assert [*trail.functions["middle.py"]] == ["never_before", "first", "second"]
    assert [*trail.functions["side.py"]] == ["in_thread", "work"]


def test_modules_of_the_first_events_are_counted(
    walked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journey, "FIRST_EVENTS", 8)
    trail = follow(Journey(call, begins="begin", ends="end"), walked)
    # begin, first and second, second again, the returns of these three, and work
    assert trail.early == {"start.py", "middle.py", "late.py"}
    lines = report(trail).splitlines()
    imported = sum(len(text.splitlines()) for name, text in FILES.items() if name != "other.py")
    assert lines[1] == "  2  " + "middle.py".ljust(40) + " first, second"
    assert lines[-4:] == [
        "4 modules entered, 7 functions",
        "3 modules within the first 8 calls and returns",
        f"5 modules imported, {imported} lines",
        "0 functions that options pass",
    ]


OPTIONS = """
class Record: ...
class Refine(Record): ...
class OwnOptions:
    def __init__(self): self.use(1)
    def use(self, times): ...
def one(*, refine): ...
def several(*records): ...
def named(**given): ...
def other(value): ...
def pass_on():
    options = OwnOptions()
    one(refine=Refine())
    several(1, options)
    named(refine=Refine)
    named(refine=[Refine()])
    other("Options")
"""


def test_functions_that_options_pass_are_those_with_such_an_argument(walked: Path) -> None:
    (walked / "options.py").write_text(OPTIONS)
    trail = follow(Journey(lambda _: import_module("walked.options").pass_on()), walked)
    names = {name.partition(":")[2] for name in trail.options}
    assert names == {"OwnOptions.use", "one", "several"}


def test_a_journey_without_a_module_of_this_checkout_fails_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(journey, "SOURCE", tmp_path / "rilievo")
    monkeypatch.setattr(journey, "JOURNEYS", {"predict": Journey(lambda _: None)})
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert journey.main(["predict"]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith(f"no module of {tmp_path}/rilievo was entered")
    assert printed.err.count("\n") == 1
    assert sys.path[0] == str(tmp_path)


def test_profilers_are_put_away_when_the_call_fails(walked: Path) -> None:
    def fail(_: Path) -> None:
        raise RuntimeError("no way")

    with pytest.raises(RuntimeError, match="no way"):
        follow(Journey(fail), walked)
    assert sys.getprofile() is None


@pytest.mark.slow
@pytest.mark.parametrize("name", journey.JOURNEYS)
def test_every_journey_is_walked_from_its_beginning_to_its_end(name: str) -> None:
    trail = follow(journey.JOURNEYS[name])
    called = {function for functions in trail.functions.values() for function in functions}
    assert {journey.JOURNEYS[name].begins, journey.JOURNEYS[name].ends} - {""} <= called
    assert len(trail.functions) > 10

"""Record which functions of ``src`` each file of tests reaches: a plugin of pytest for mutants.

Usage: python -m pytest -p lab.prove.reached --reached FOLDER

Functions that run in another process, or while a module is imported, are not seen.
"""

import json
import sys
import threading
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from types import CodeType, FrameType

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the folder of the record."""
    parser.addoption("--reached", type=Path, metavar="FOLDER", help="where the record goes")


def pytest_configure(config: pytest.Config) -> None:
    """Record in every process that runs tests."""
    folder = config.getoption("reached")
    if folder is not None:
        config.pluginmanager.register(_Recorder(folder))


def read(folder: Path) -> dict[str, set[str]]:
    """Names of the functions that each file of tests reached, from the files of all processes."""
    reached: dict[str, set[str]] = {}
    for path in folder.glob("*.json"):
        for file, names in json.loads(path.read_text("utf-8")).items():
            reached.setdefault(file, set()).update(names)
    return reached


class _Recorder:
    def __init__(self, folder: Path) -> None:
        spec = find_spec("rilievo")
        assert spec is not None, "tests import it"
        assert spec.origin is not None, "it is a package"
        self._source = Path(spec.origin).parents[1]
        self._folder = folder
        self._codes: dict[str, set[CodeType]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Record the functions that a test and its fixtures call, in this and in new threads."""
        test_file = item.location[0]
        called = self._codes.setdefault(test_file, set())
        package = f"{self._source}/rilievo/"

        def record_call(frame: FrameType, event: str, argument: object) -> None:
            """Record a called function; Python passes the frame of each call to its tracer."""
            if frame.f_code.co_filename.startswith(package):
                called.add(frame.f_code)

        sys.settrace(record_call)
        threading.settrace(record_call)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the record of this process."""
        names = {
            file: sorted({self._function_name(code) for code in codes})
            for file, codes in self._codes.items()
        }
        worker = getattr(session.config, "workerinput", {}).get("workerid", "alone")
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{worker}.json").write_text(json.dumps(names), "utf-8")

    def _function_name(self, code: CodeType) -> str:
        """Dotted name of a function or method, from the package on."""
        path = Path(code.co_filename).relative_to(self._source).with_suffix("")
        parts = path.parts[:-1] if path.name == "__init__" else path.parts
        return ".".join((*parts, code.co_qualname.partition(".<locals>")[0]))

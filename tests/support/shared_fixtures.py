"""Plugin of pytest with the fixtures that all tests share, those of ``lab`` too."""

import gc
import os
import re
import socket
import threading
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import TypeCheckError

from support import opened_files

# A slow or busy machine is no failure of what is tested. `make test` tries the same few examples
# everywhere; `make test-all` chooses `thorough`, which tries others at every run.
_PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", _PATIENT, max_examples=10, derandomize=True)
settings.register_profile("thorough", _PATIENT, max_examples=60)
settings.load_profile("quick")

# Tests run side by side, a worker a core, so each computes with one thread.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def _parse_one_module_at_a_time() -> None:
    """Let jaxtyping, whose loader of modules parses them to check shapes, parse one at a time.

    Pythons before 3.11.8 count the depth of syntax trees in one place for all threads (CPython
    issue 106905), so two that import at a time can fail with "AST constructor recursion depth
    mismatch". The loader is a ``SourceFileLoader``, which reads and parses in ``get_code``.
    """
    parsing = threading.RLock()
    get_code = SourceFileLoader.get_code

    def get_code_alone(loader: SourceFileLoader, fullname: str) -> CodeType | None:
        with parsing:
            return get_code(loader, fullname)

    SourceFileLoader.get_code = get_code_alone


@pytest.hookimpl(trylast=True)
def pytest_configure(config: pytest.Config) -> None:
    """Import rilievo before any test imports its dependencies: it turns their telemetry off.

    Last, after the hook that has jaxtyping check the modules that are imported from now on.
    """
    if config.getoption("jaxtyping_packages", default=None):
        _parse_one_module_at_a_time()
    import_module("rilievo")
    opened_files.start()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keep the tests of a file in one worker, so that fixtures of modules are made once.

    Files are begun in the order of collection.
    """
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    config.option.loadscopereorder = False
    return LoadFileScheduling(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Import all tests without collecting garbage, and leave what they import out of collections.

    Each collection would go over millions of objects that stay to the end.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.freeze()


_COMPUTES = re.compile(
    r"^ *(?:import|from) (?:torch|onnxruntime|openvino)\b|\bload_model\(|\.predict(?:_raw)?\(",
    re.MULTILINE,
)
_COMPARES = re.compile(
    r"approx\(|allclose\(|assert_close\(|array_equal\(|torch\.equal\(|assert_networks_agree\("
)
_STARTS = re.compile(
    r"\b(?:subprocess|Popen|chromium|serve_process|start_process|run_core|train_\w+\()|browser: Any"
)
_AS_LONG_AS = 50
"""Tests that take as long as one that starts a browser or a process, or that trains."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark ``kernels``, the tests of modules that run networks and compare numbers; order workers.

    The files that take longest come first where several workers run them, so that none of them
    works on at the end while the others have nothing left.
    """
    texts = {path: path.read_text(encoding="utf-8") for path in {item.path for item in items}}
    for item in items:
        text = texts[item.path]
        if _COMPUTES.search(text) and _COMPARES.search(text):
            item.add_marker(pytest.mark.kernels)
    if "PYTEST_XDIST_WORKER" in os.environ:
        weights = Counter(item.path for item in items)
        weights.update({path: _AS_LONG_AS for path, text in texts.items() if _STARTS.search(text)})
        items.sort(key=lambda item: -weights[item.path])


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of recorded frames that ``RILIEVO_DATA`` names; its tests are skipped without."""
    folder = os.environ.get("RILIEVO_DATA")
    if folder is None:
        pytest.skip("RILIEVO_DATA is not set")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what tests convert and compile out of the user's cache, and proxies out of tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RILIEVO_CACHE", str(tmp_path_factory.mktemp("cache")))
        # Servers of the tests are asked as they are, whatever proxy this machine has.
        for name in ("no_proxy", "NO_PROXY"):
            patch.setenv(name, "127.0.0.1,localhost")
        yield


@pytest.fixture(autouse=True)
def readers_in_the_table() -> Iterator[None]:
    """Fail the test in which a function of rilievo opens a file and has no row in the campaign."""
    yield
    unlisted = opened_files.unlisted()
    if unlisted:
        openings = ", ".join(f"{name}, which opened {what}" for name, what in unlisted.items())
        pytest.fail(
            f"tests/support/reader_table.toml has no row for {openings}: name the reader of the "
            "campaign that tries it, or why none does"
        )


_OURS = (
    *("support.tiny_dataset:Tiny", "support.toy_dataset:Toy"),
    *(f"support.probed_scenes:{name}" for name in ("Small", "Broken", "Greedy", "Heavy", "Absent")),
)


@pytest.fixture(autouse=True)
def trusted_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let files of tests name the code of tests, and forget other code that a test has trusted."""
    monkeypatch.setenv("RILIEVO_TRUST_CODE", "\n".join(_OURS))


@pytest.fixture
def type_errors(request: pytest.FixtureRequest) -> tuple[type[Exception], ...]:
    """Errors that refuse a wrong type before the function sees it: none, or that of `test-all`."""
    if not request.config.getoption("jaxtyping_packages", default=None):
        return ()
    return (TypeCheckError,)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium; its tests are skipped where there is none."""
    from support.browser import chromium

    with chromium() as running:
        yield running


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of this machine that refuses every connection, as nobody listens there."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


@pytest.fixture(scope="session", autouse=True)
def as_many_threads() -> Iterator[None]:
    """Give ONNX Runtime and OpenVINO the threads that ``OMP_NUM_THREADS`` gives torch."""
    threads = os.environ.get("OMP_NUM_THREADS")
    if threads is None:
        yield
        return
    from rilievo.models.onnx_files import engines

    checked = engines.resolve_engine

    def with_threads(options: engines.LoadOptions, **rest: object) -> engines.LoadOptions:
        options = checked(options, **rest)  # pyright: ignore[reportArgumentType]
        return replace(options, threads=options.threads or int(threads))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engines, "resolve_engine", with_threads)
        yield


@pytest.fixture(scope="module", autouse=True)
def remembered_answers(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run the embedded networks once for each picture, but in the tests of models."""
    if request.path.parent.name == "models":
        yield
        return
    from rilievo.models.onnx_files import onnx_model
    from support.remembered_answers import open_once

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_model, "open_session", open_once)
        yield

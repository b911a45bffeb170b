"""The page of ``rilievo app`` in a real Chromium: first paint, answers, memory of the server."""

import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from benchmarks.chromium import chromium
from benchmarks.measure import (
    NotHereError,
    cost_of,
    cpu_seconds,
    resident,
    rilievo_command,
    serving,
    spread,
)
from benchmarks.photographs import make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

PAINT_PROMISE = 2.0
"""Seconds to the first paint."""
ANSWER_PROMISE = 1.5
"""Seconds from a photograph's choice to the pictures of its depth."""
GROWTH = 1.1
"""Memory of the server after all visitors over that after the first few."""
RATIO_PROMISE = 1.5
"""CPU time of the server for a large photograph over that of a folder run."""
SERVE_PROMISE = 1.3
"""CPU time of the app for a photograph and its view over that of ``rilievo serve`` for colours."""
LARGE_SIDE = 3464
"""Side of a photograph of 12 megapixels."""
AT_ONCE = 8
MOST_MEMORY = 450
"""Memory of the server after visitors at once [MB]."""
WARM_UP = 5

_WINDOW: Mapping[str, Any] = {
    "viewport": {"width": 1280, "height": 900},
    # Without a graphics card, surfaces that sway on eight pages take all cores for ever.
    "reduced_motion": "reduce",
}
_PAINT = "performance.getEntriesByName('first-contentful-paint').map(each => each.startTime / 1000)"


def run(settings: Settings) -> Report:
    people = settings.count(20, quick=4)
    [photo] = make_photographs(settings.folder("app"), 1)
    with server("app") as (address, pid):
        with chromium() as browser:
            paints = [_first_paint(browser, address) for _ in range(settings.count(5, quick=2))]
            # Every thread keeps some memory, so all of them have to have worked once before.
            _people(browser, address, photo, WARM_UP)
            _at_once(browser, address, photo)
            before = resident(pid)
            in_a_row = _people(browser, address, photo, people)
            after_row = resident(pid)
            rounds = [_at_once(browser, address, photo) for _ in range(settings.count(5, quick=1))]
            after_rounds = resident(pid)
        large = make_photographs(
            settings.folder("large"), settings.count(6, quick=2), side=LARGE_SIDE
        )
        server_cpu = _cpu_of_server(address, pid, large)
    folder_cpu = _cpu_of_folder(settings, large)
    memory = (before, after_row, after_rounds)
    beside = _cpu_beside_serve(photo.read_bytes(), settings.count(40, quick=4))
    return _report(paints, in_a_row, rounds, memory, (server_cpu, folder_cpu), beside)


def _cpu_beside_serve(content: bytes, count: int) -> tuple[float, float]:
    """CPU time for a photograph of app and ``rilievo serve``, which answer in turns [s]."""
    with server("app") as (app, app_pid), server("serve") as (serve, serve_pid):

        def ask() -> None:
            told = json.loads(_send(app, content))
            with urlopen(f"{app}app/results/{told['id']}/view", timeout=600) as answer:
                answer.read()
            _send(serve, content, "v1/predict?save=colour")

        for _ in range(WARM_UP):
            ask()
        starts = cpu_seconds(app_pid), cpu_seconds(serve_pid)
        for _ in range(count):
            ask()
        return (
            (cpu_seconds(app_pid) - starts[0]) / count,
            (cpu_seconds(serve_pid) - starts[1]) / count,
        )


def _cpu_of_server(address: str, pid: int, photos: Sequence[Path]) -> float:
    """CPU time for a photograph, beyond the second [s]."""
    contents = [path.read_bytes() for path in photos]
    for content in contents[:2]:
        _send(address, content)
    start = cpu_seconds(pid)
    for content in contents:
        _send(address, content)
    return (cpu_seconds(pid) - start) / len(contents)


def _send(address: str, content: bytes, path: str = "app/results?name=large.jpg") -> bytes:
    request = Request(f"{address}{path}", content, method="POST")
    with urlopen(request, timeout=600) as answer:
        return answer.read()


def _cpu_of_folder(settings: Settings, photos: Sequence[Path]) -> float:
    """CPU time for a photograph beyond the first in a folder run [s]."""
    one = settings.folder("one")
    os.link(photos[0], one / photos[0].name)
    costs = [
        cost_of(
            rilievo_command(
                *("predict", folder, "-o", settings.work / f"out-{folder.name}"),
                *settings.model_options,
            )
        ).cpu
        for folder in (photos[0].parent, one)
    ]
    return (costs[0] - costs[1]) / (len(photos) - 1)


def _report(
    paints: list[float],
    in_a_row: list[float],
    rounds: list[float],
    memory: tuple[float, ...],
    cpu: tuple[float, float],
    beside: tuple[float, float],
) -> Report:
    before, after_row, after_rounds = memory
    ratio, serve_ratio = cpu[0] / cpu[1], beside[0] / beside[1]
    answer, paint = statistics.median(in_a_row), statistics.median(paints)
    return Report(
        name="app",
        about=(
            "If you open rilievo's [app](../app.md) in a browser, how long do you wait for a "
            "result? In this benchmark, each visitor opens a new page and chooses a JPEG file of "
            "768x768. The time ends when the photograph and its depth are shown, so it includes "
            "the upload. The browser (Chromium) and the server share the cores of one "
            "machine.\n\n"
            f"The app should also work if several people use it at once. To test this, {AT_ONCE} "
            "visitors choose a file at the same moment, and we measure the time until the last of "
            "them sees the depth. The table also shows how much memory (RSS) the server uses, "
            "which should not grow with the number of visitors."
        ),
        tables=(
            Table(
                columns=("what", "median (least to most)"),
                rows=(
                    ("first paint [s]", str(spread(paints))),
                    (f"answer, {len(in_a_row)} visitors in a row [s]", str(spread(in_a_row))),
                    (f"answers, {AT_ONCE} visitors at once [s]", str(spread(rounds))),
                    (f"memory after {WARM_UP} and {AT_ONCE} at once [MB]", f"{before:.0f}"),
                    (f"memory after {len(in_a_row)} more in a row [MB]", f"{after_row:.0f}"),
                    (
                        f"memory after {AT_ONCE * len(rounds)} more at once [MB]",
                        f"{after_rounds:.0f}",
                    ),
                ),
            ),
        ),
        bars=(
            Bar(
                promise=f"first paint in {PAINT_PROMISE:g} s",
                measured=f"{paint:.2f} s",
                kept=paint <= PAINT_PROMISE,
            ),
            Bar(
                promise=f"a 768x768 photograph answered in {ANSWER_PROMISE:g} s",
                measured=f"{answer:.2f} s",
                kept=answer <= ANSWER_PROMISE,
            ),
            Bar(
                promise=f"CPU time for 12 megapixels at most {RATIO_PROMISE:g} times the folder's",
                measured=f"{cpu[0]:.2f} s, folder {cpu[1]:.2f} s, ratio {ratio:.2f}",
                kept=ratio <= RATIO_PROMISE,
            ),
            Bar(
                promise=f"CPU time for a photograph at most {SERVE_PROMISE:g} times serve's",
                measured=f"{beside[0]:.3f} s, serve {beside[1]:.3f} s, ratio {serve_ratio:.2f}",
                kept=serve_ratio <= SERVE_PROMISE,
            ),
            Bar(
                promise="memory does not grow with the number of visitors",
                measured=f"{before:.0f} MB, then {after_row:.0f} MB, then {after_rounds:.0f} MB",
                kept=max(after_row, after_rounds) <= GROWTH * before,
            ),
            Bar(
                promise=f"at most {MOST_MEMORY} MB with {AT_ONCE} visitors at once",
                measured=f"{max(before, after_rounds):.0f} MB",
                kept=max(before, after_rounds) <= MOST_MEMORY,
            ),
        ),
    )


@contextmanager
def server(name: str, *options: str | Path) -> Iterator[tuple[str, int]]:
    """Run the command ``app`` or ``serve``; gives its address and process."""
    if find_spec("starlette") is None:
        raise NotHereError(f"starlette is not installed: pip install 'rilievo[{name}]'")
    with serving(rilievo_command(name, "--port", "0", *options)) as served:
        yield served


def _opened(browser: Any, address: str) -> Any:
    context = browser.new_context(**_WINDOW)
    page = context.new_page()
    page.goto(address)
    page.locator("#state", has_text="Done").wait_for()
    return page


def _first_paint(browser: Any, address: str) -> float:
    page = _opened(browser, address)
    [seconds] = page.evaluate(_PAINT)
    page.context.close()
    return seconds


def _shown(page: Any, photo: Path) -> None:
    page.locator("#result-title", has_text=photo.stem).wait_for()


def _people(browser: Any, address: str, photo: Path, count: int) -> list[float]:
    seconds = []
    for _ in range(count):
        page = _opened(browser, address)
        start = time.perf_counter()
        page.set_input_files("#photo-file", photo)
        _shown(page, photo)
        seconds.append(time.perf_counter() - start)
        page.context.close()
    return seconds


def _at_once(browser: Any, address: str, photo: Path) -> float:
    pages = [_opened(browser, address) for _ in range(AT_ONCE)]
    start = time.perf_counter()
    for page in pages:
        page.set_input_files("#photo-file", photo)
    for page in pages:
        _shown(page, photo)
    seconds = time.perf_counter() - start
    for page in pages:
        page.context.close()
    return seconds

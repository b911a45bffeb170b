"""The folder of ``rilievo page`` in a real Chromium: what is fetched, first answers, live depth."""

import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks.chromium import chromium
from benchmarks.measure import (
    answer_of,
    command_of,
    processes_below,
    rilievo_command,
    serving,
    spread,
)
from benchmarks.photographs import make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings
from benchmarks.small_network import save_small_network

SIZE_PROMISE = 7.0
"""Megabytes, compressed, that a first answer needs."""
ANSWER_PROMISE = 1.5
"""Seconds from the first photograph after the page is loaded to its depth."""
RATE_PROMISE = 8.0
"""Frames a second of the camera, seen by the network at 256x192."""

SHARPER_PROMISE = 20.0
"""Megabytes, compressed, that a first and a sharper answer by ZipDepth need."""

_CAMERA = ("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream")
_PATIENCE = 120_000


def run(settings: Settings) -> Report:
    folder = settings.work / "page"
    subprocess.run(
        [str(part) for part in rilievo_command("page", "--output", folder)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    [photo] = make_photographs(settings.folder("page-photo"), 1)
    sharper = settings.work / "sharper-page"
    answer_of("page_site", sharper, save_small_network(settings.work / "small.onnx"))
    with (
        host(folder) as (address, _),
        host(sharper) as (sharper_address, _),
        chromium(*_CAMERA) as browser,
    ):
        visits = [_visit(browser, address, photo) for _ in range(settings.count(7, quick=2))]
        lives = [_live(browser, address) for _ in range(settings.count(3, quick=1))]
        rounds = settings.count(5, quick=2)
        twice = [_twice(browser, sharper_address, photo) for _ in range(rounds)]
    first = _report(_megabytes(folder, "cpu"), visits, lives)
    megabytes = {
        device: _megabytes(sharper, device, "models/zipdepth*") for device in ("cpu", "gpu")
    }
    most = max(megabytes.values())
    return replace(
        first,
        tables=(*first.tables, _sharper_table(megabytes, twice)),
        bars=(
            *first.bars,
            Bar(
                promise=f"both answers with ZipDepth, {SHARPER_PROMISE:g} MB compressed",
                measured=f"{most:.2f} MB",
                kept=most <= SHARPER_PROMISE,
            ),
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Visit:
    """Seconds of one visit.

    Attributes:
        ready: Time from the address to a network that is ready.
        example: Time from the address to a finished example.
        first: Time from the first photograph to its depth.
        surface: Time from the first photograph to its surface and normals.
        next: Time from the next photograph to its depth.
        cpu: CPU time of the tab for the first photograph's depth; other work on the machine
            hardly changes it.
    """

    ready: float
    example: float
    first: float
    surface: float
    next: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Live:
    """Frames a second of the camera, and CPU time [s] of the tab for one."""

    rate: float
    cpu: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Twice:
    """Seconds from a photograph to both answers, and CPU time [s] of the tab for them."""

    first: float
    sharper: float
    cpu_first: float
    cpu_sharper: float


def _sharper_table(megabytes: Mapping[str, float], visits: Sequence[_Twice]) -> Table:
    return Table(
        columns=("with a network of ZipDepth's size class", "median (least to most)"),
        rows=(
            ("compressed files of both answers [MB]", f"{megabytes['cpu']:.2f}"),
            ("the same with WebGPU [MB]", f"{megabytes['gpu']:.2f}"),
            ("first answer [s]", str(spread([each.first for each in visits]))),
            ("sharper answer, fetched and anchored [s]", str(spread([x.sharper for x in visits]))),
            ("CPU time of the tab, first [s]", str(spread([x.cpu_first for x in visits]))),
            ("CPU time of the tab, both [s]", str(spread([x.cpu_sharper for x in visits]))),
        ),
    )


def _report(megabytes: float, visits: Sequence[_Visit], lives: Sequence[_Live]) -> Report:
    answer = statistics.median(each.first for each in visits)
    rate = statistics.median(each.rate for each in lives)
    rows = (
        ("compressed files of a first answer [MB]", f"{megabytes:.2f}"),
        ("network ready [s]", str(spread([each.ready for each in visits]))),
        ("a finished example [s]", str(spread([each.example for each in visits]))),
        ("first answer, 768x768 JPEG [s]", str(spread([each.first for each in visits]))),
        ("CPU time of the tab for it [s]", str(spread([each.cpu for each in visits]))),
        ("its normals and surface too [s]", str(spread([each.surface for each in visits]))),
        ("next answer [s]", str(spread([each.next for each in visits]))),
        ("live [frames a second]", str(spread([each.rate for each in lives]))),
        ("CPU time of the tab for a frame [s]", str(spread([each.cpu for each in lives]))),
    )
    return Report(
        name="page",
        about=(
            "The `rilievo page` command makes a web page that predicts depth in the visitor's "
            "browser. How long does the visitor wait for a result? In this benchmark, the model "
            "`rilievo/small` runs as WebAssembly in Chromium, on one thread and without a "
            "graphics card. Each visit starts with an empty cache. The web server runs on the "
            "same machine.\n\n"
            "When a visitor predicts depth on the web page, most times in the table begin when "
            "the visitor chooses a file, and end when the photograph and its depth are shown. Two "
            "times begin earlier, when the page is opened: the time until the network is ready, "
            "and the time until the example is finished. The rows about live depth use a test "
            "camera of 640x480 that is built into the browser."
        ),
        tables=(Table(columns=("what", "median (least to most)"), rows=rows),),
        bars=(
            Bar(
                promise=f"{SIZE_PROMISE:g} MB compressed",
                measured=f"{megabytes:.2f} MB",
                kept=megabytes <= SIZE_PROMISE,
            ),
            Bar(
                promise=f"first answer in {ANSWER_PROMISE:g} s",
                measured=f"{answer:.2f} s",
                kept=answer <= ANSWER_PROMISE,
            ),
            Bar(
                promise=f"live at {RATE_PROMISE:g} frames a second",
                measured=f"{rate:.1f}",
                kept=rate >= RATE_PROMISE,
            ),
        ),
    )


def host(folder: Path) -> AbstractContextManager[tuple[str, int]]:
    """Serve a folder by a process of its own."""
    server = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    return serving([*server, "--directory", folder])


def _opened(browser: Any, address: str) -> Any:
    context = browser.new_context(reduced_motion="reduce", service_workers="block")
    context.set_default_timeout(_PATIENCE)
    page = context.new_page()
    page.goto(address)
    page.locator("html[data-ready]").wait_for()
    return page


def _with_example(page: Any) -> None:
    """Wait for the example with which the page opens, so that photographs wait for nothing."""
    page.locator("body:not([aria-busy]) #result-title").wait_for()


def _visit(browser: Any, address: str, photo: Path) -> _Visit:
    start = time.perf_counter()
    page = _opened(browser, address)
    ready = time.perf_counter() - start
    _with_example(page)
    example = time.perf_counter() - start
    depths, surfaces, spent = [], [], []
    for again in range(2):
        copy = photo.with_name(f"{again}-{photo.name}")
        shutil.copyfile(photo, copy)
        start, before = time.perf_counter(), _cpu_of_tabs()
        page.set_input_files("#photo-file", str(copy))
        page.locator("#result-title", has_text=copy.name).wait_for()
        depths.append(time.perf_counter() - start)
        spent.append(_cpu_of_tabs() - before)
        page.locator("#surface-state").wait_for(state="hidden")
        surfaces.append(time.perf_counter() - start)
    page.context.close()
    return _Visit(
        ready=ready,
        example=example,
        first=depths[0],
        surface=surfaces[0],
        next=depths[1],
        cpu=spent[0],
    )


def _twice(browser: Any, address: str, photo: Path) -> _Twice:
    page = _opened(browser, address)
    _with_example(page)
    start, before = time.perf_counter(), _cpu_of_tabs()
    page.set_input_files("#photo-file", str(photo))
    page.locator("#result-title", has_text=photo.name).wait_for()
    first, cpu_first = time.perf_counter() - start, _cpu_of_tabs() - before
    page.locator("#state", has_text="Sharper result: done").or_(
        page.locator("#state", has_text="there is no surface")
    ).wait_for()
    sharper, cpu_sharper = time.perf_counter() - start, _cpu_of_tabs() - before
    page.context.close()
    return _Twice(first=first, sharper=sharper, cpu_first=cpu_first, cpu_sharper=cpu_sharper)


def _cpu_of_tabs() -> float:
    """CPU time [s] of the browser's processes for pages, which are descendants of this one."""
    processes = processes_below(os.getpid()).items()
    return sum(spent for pid, spent in processes if b"--type=renderer" in command_of(pid))


def _live(browser: Any, address: str) -> _Live:
    page = _opened(browser, address)
    page.click("#camera-start")
    page.locator("#rate", has_text="second").wait_for()
    page.wait_for_timeout(2000)
    start, before = time.perf_counter(), _cpu_of_tabs()
    page.wait_for_timeout(5000)
    share = (_cpu_of_tabs() - before) / (time.perf_counter() - start)
    rate = float(page.locator("#rate").inner_text().split()[0])
    page.context.close()
    return _Live(rate=rate, cpu=share / rate)


def _megabytes(folder: Path, device: str, more: str = "") -> float:
    """Compressed size [MB] of the files of a first visit, and of those of a pattern.

    Args:
        folder: The page.
        device: Device that runs its networks: cpu or gpu.
        more: Pattern of more files.
    """
    script = (folder / "sw.js").read_text(encoding="utf-8")
    names, runtimes = (
        json.loads(script.partition(f"{name} = ")[2].partition(";\n")[0])
        for name in ("FILES", "RUNTIMES")
    )
    every = [*names[1:], *runtimes[device]]
    files = [folder / name for name in every] + (sorted(folder.glob(more)) if more else [])
    return sum(len(gzip.compress(each.read_bytes())) for each in files) / 1e6

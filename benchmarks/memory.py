"""Peak memory of ``rilievo predict``: it must not grow with the number of inputs."""

from dataclasses import dataclass
from pathlib import Path

from benchmarks.clips import make_clip
from benchmarks.measure import Cost, cost_of, peak_of, rilievo_command
from benchmarks.photographs import SIDE, make_photographs
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

SAME = 1.1
"""Ratio below which peaks count as equal: they differ by half of that from run to run, and in
longer runs it is more likely that all threads hold most at the same moment.
"""
LARGE_SIDE = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One run: a description of its inputs, and its cost."""

    name: str
    cost: Cost


def run(settings: Settings) -> Report:
    few, many = settings.count(100, quick=10), settings.count(1000, quick=40)
    short, long = settings.count(60, quick=10), settings.count(600, quick=100)
    photos = (
        _folder(settings, 1, ""),
        _folder(settings, few, "s"),
        _folder(settings, many, "s"),
    )
    videos = (_video(settings, short), _video(settings, long))
    large = _large(settings)
    return Report(
        name="memory",
        about=(
            "If you process many photographs or a long video, rilievo should not need more memory "
            "than for a few. To check this, we run `rilievo predict` on different numbers of JPEG "
            f"photographs ({SIDE}x{SIDE}) and video frames (640x480), and also on one photograph "
            f"of {LARGE_SIDE}x{LARGE_SIDE}. The table shows the largest amount of memory (RAM) "
            "that the process used."
        ),
        tables=(_table((*photos, *large, *videos)),),
        bars=(
            _same(photos[1], photos[2]),
            _same(videos[0], videos[1]),
        ),
    )


def _folder(settings: Settings, count: int, plural: str) -> _Case:
    folder = settings.work / f"{count}-photographs"
    make_photographs(folder, count)
    return _Case(
        name=f"{count} photograph{plural}", cost=_cost(settings, folder, f"{count}-photographs")
    )


def _large(settings: Settings) -> tuple[_Case, ...]:
    folder = settings.work / "large"
    make_photographs(folder, 1, LARGE_SIDE)
    megapixels = LARGE_SIDE**2 // 10**6
    return (
        _Case(
            name=f"one photograph of {megapixels} megapixels",
            cost=_cost(settings, folder, "large"),
        ),
        _Case(
            name=f"the same, with normals, 16 bits, cloud and mesh ({megapixels} megapixels)",
            cost=_cost(settings, folder, "large-all", "--save", "colour,png16,normals,ply,glb"),
        ),
    )


def _video(settings: Settings, frames: int) -> _Case:
    [photo] = make_photographs(settings.work / f"for-{frames}", 1)
    clip = make_clip(photo, settings.work / f"{frames}.mp4", frames)
    return _Case(name=f"a video of {frames} frames", cost=_cost(settings, clip, f"clip-{frames}"))


def _cost(settings: Settings, source: Path, name: str, *options: str) -> Cost:
    output = settings.folder(f"output-{name}")
    return cost_of(
        rilievo_command("predict", source, "-o", output, *settings.model_options, *options)
    )


def _same(short: _Case, long: _Case) -> Bar:
    ratio = peak_of(long.cost) / peak_of(short.cost)
    return Bar(
        promise=f"the same for {long.name} as for {short.name} (within {SAME - 1:.0%})",
        measured=f"{peak_of(long.cost):.0f} MB and {peak_of(short.cost):.0f} MB",
        kept=ratio <= SAME,
    )


def _table(cases: tuple[_Case, ...]) -> Table:
    return Table(
        columns=("input", "peak MB", "wall s", "CPU s"),
        rows=[
            (
                case.name,
                f"{peak_of(case.cost):.0f}",
                f"{case.cost.wall:.1f}",
                f"{case.cost.cpu:.1f}",
            )
            for case in cases
        ],
    )

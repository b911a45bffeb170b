"""``python -m lab.scenes``: render frames as shards or files, clips, or a sheet of them."""

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from PIL import Image

from lab.scenes.clip import render_clip
from lab.scenes.clip_folders import ClipPlan, missing_clips, write_clips
from lab.scenes.contact import contact_sheet
from lab.scenes.frame_files import FilePlan, missing_files, write_files
from lab.scenes.plan import textures_of
from lab.scenes.renderer import render
from lab.scenes.shards import ShardPlan, missing_shards, write_shards
from lab.scenes.venue import Kind
from rilievo.errors import OptionError, RilievoError
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.records.sample import Sample

RenderPlan = ShardPlan | FilePlan | ClipPlan


def parse() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.scenes",
        description="Render synthetic scenes: frames as shards or files, clips, or a contact "
        "sheet. Files that an earlier run has finished are kept.",
    )
    add = parser.add_argument
    add("--count", type=int, help="frames in all (64)")
    add("--files", action="store_true", help="frames as files, which --dataset synthetic reads")
    add("--clips", type=int, help="render that many clips in place of single frames")
    add("--frames", type=int, help="frames of each clip (8)")
    add("--step", type=float, help="metres between frames of a clip; by default as there is room")
    add("--hand-held", action="store_true", help="clips that shake and blur, exposure that changes")
    kinds = [kind.value for kind in Kind]
    add("--kind", choices=kinds, default=Kind.ALL.value, help="kind of scenes (all)")
    add("--seed", type=int, default=0, help="another seed gives other frames (0)")
    add("--workers", type=int, default=1, help="number of processes (1)")
    add("--size", type=int, nargs=2, default=(192, 256), metavar=("H", "W"), help="[px] (192 256)")
    add("--photos", type=Path, nargs="*", default=(), help="folders of photographs for textures")
    add("--materials", type=Path, help="folder of photographed materials for more textures")
    add("--models", type=Path, nargs="*", default=(), help="folders of models for furniture")
    add("-o", "--output", type=Path, help="folder of shards ('shards'), files ('frames') or clips")
    add("--contact-sheet", type=Path, help="picture of the frames to write instead: .jpg or .png")
    return parser.parse_args(sys.argv[1:] or ["--help"])


def plan_of(options: argparse.Namespace) -> RenderPlan:
    """Make the plan that the options describe.

    Raises:
        OptionError: If options conflict, or one is out of range.
    """
    common = {
        "seed": options.seed,
        "size": tuple(options.size),
        "photos": tuple(options.photos),
        "kind": Kind(options.kind),
        "materials": options.materials,
        "models": tuple(options.models),
    }
    if options.clips is None:
        for name in ("frames", "step", "hand_held"):
            if getattr(options, name) not in (None, False):
                option = name.replace("_", "-")
                raise OptionError(f"--{option} is about clips: say how many with --clips")
        count = 64 if options.count is None else options.count
        if options.files:
            return FilePlan(count=count, folder=options.output or Path("frames"), **common)
        return ShardPlan(count=count, folder=options.output or Path("shards"), **common)
    for name in ("count", "files"):
        if getattr(options, name) not in (None, False):
            raise OptionError(f"--{name} is about single frames: give either it or --clips")
    return ClipPlan(
        count=options.clips,
        frames=8 if options.frames is None else options.frames,
        step=options.step,
        hand_held=options.hand_held,
        folder=options.output or Path("clips"),
        **common,
    )


def frames_of(plan: RenderPlan) -> Iterator[Sample]:
    """Render the frames of a plan one after the other, without writing them."""
    textures = textures_of(plan)
    for seed in map(plan.seed_of, range(plan.count)):
        if not isinstance(plan, ClipPlan):
            yield render(seed, size=plan.size, textures=textures, kind=plan.kind)
        else:
            clip = render_clip(
                seed,
                frames=plan.frames,
                size=plan.size,
                textures=textures,
                kind=plan.kind,
                step=plan.step,
                hand_held=plan.hand_held,
            )
            yield from clip.frames


def write(plan: RenderPlan, workers: int) -> None:
    """Render missing files, and print progress and speed."""
    started = time.monotonic()
    if isinstance(plan, ShardPlan):
        missing: Sequence[int] = missing_shards(plan)
        written, frames = write_shards(plan, workers), plan.frames_per_shard
    elif isinstance(plan, FilePlan):
        missing = missing_files(plan)
        written, frames = write_files(plan, workers), 1
    else:
        missing = missing_clips(plan)
        written, frames = write_clips(plan, workers), plan.frames
    for done, path in enumerate(written, start=1):
        rate = done * frames / (time.monotonic() - started)
        sys.stdout.write(f"{path} ({done} of {len(missing)}, {rate:.1f} frames/s)\n")
        sys.stdout.flush()
    if not missing:
        sys.stdout.write(f"{plan.folder}: all is there already\n")


def write_sheet(plan: RenderPlan, path: Path) -> None:
    """Render the frames, and write a contact sheet of them."""
    if path.suffix.lower() not in (".jpg", ".png"):
        raise OptionError(f"{path}: a contact sheet is a .jpg or .png")
    make_folder(path.parent)
    sheet = Image.fromarray(contact_sheet(list(frames_of(plan))))
    with replacing(path) as part:
        sheet.save(part, format=Image.registered_extensions()[path.suffix.lower()])


def main() -> int:
    """Run the command; the exit code is 0, or 2 for a usage error."""
    options = parse()
    try:
        plan = plan_of(options)
        if options.contact_sheet is None:
            write(plan, options.workers)
        else:
            write_sheet(plan, options.contact_sheet)
    except RilievoError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0

"""``python -m rilievo.datasets.synthetic``: render frames into shards, or a sheet to look at."""

import argparse
import sys
import time
from pathlib import Path

from PIL import Image

from rilievo.datasets.synthetic.contact import contact_sheet
from rilievo.datasets.synthetic.renderer import render
from rilievo.datasets.synthetic.shards import (
    ShardPlan,
    missing_shards,
    textures_of,
    write_shards,
)
from rilievo.errors import RilievoError


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m rilievo.datasets.synthetic", description=__doc__
    )
    parser.add_argument("--count", type=int, default=64, help="frames in all")
    parser.add_argument("--seed", type=int, default=0, help="another seed gives other frames")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--size", type=int, nargs=2, default=(192, 256), metavar=("H", "W"))
    parser.add_argument("--photos", type=Path, nargs="*", default=(), help="folders of photographs")
    parser.add_argument(
        "-o", "--output", type=Path, default=Path("shards"), help="folder of shards"
    )
    parser.add_argument("--contact-sheet", type=Path, help="draw one picture of the frames instead")
    return parser.parse_args()


def write_contact_sheet(plan: ShardPlan, path: Path) -> None:
    """Draw the frames of a plan on one sheet."""
    textures = textures_of(plan)
    seeds = (plan.seed * 2**32 + number for number in range(plan.count))
    samples = [render(seed, size=plan.size, textures=textures) for seed in seeds]
    Image.fromarray(contact_sheet(samples)).save(path)


def main() -> int:
    """Run the command; the exit code is 0, or 2 for an error of use."""
    options = parse()
    try:
        plan = ShardPlan(
            count=options.count,
            seed=options.seed,
            size=tuple(options.size),
            photos=tuple(options.photos),
            folder=options.output,
        )
        if options.contact_sheet is not None:
            write_contact_sheet(plan, options.contact_sheet)
            return 0
        left, started = len(missing_shards(plan)), time.monotonic()
        for done, path in enumerate(write_shards(plan, options.workers), start=1):
            rate = done * plan.frames_per_shard / (time.monotonic() - started)
            sys.stdout.write(f"{path} ({done} of {left}, {rate:.1f} frames/s)\n")
            sys.stdout.flush()
    except RilievoError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Write the embedded models' files from the runs that trained them.

    python tools/write_default_models.py --small run/ --tiny run-tiny/ --rendered run-rendered/

Each run is optional; what is not named stays as it is. ``small.onnx`` and ``tiny.onnx`` go into the
package, and ``small-rendered.onnx``, its weights stored in 16 bits, into ``weights/``.
"""

import argparse
import sys
from pathlib import Path

from rilievo.errors import InputError, RilievoError
from rilievo.io.atomic import replacing
from rilievo.models.conversion.compression import halve, set_metadata
from rilievo.models.engines import LoadOptions
from rilievo.models.onnx import OnnxModel
from rilievo.networks.small import SmallNet
from rilievo.train.export import PROVENANCES, export_small
from rilievo.train.recipes import RECIPES
from rilievo.train.start import read_average

_ROOT = Path(__file__).parents[1]
PACKAGE = _ROOT / "src" / "rilievo" / "models" / "default"
WEIGHTS = _ROOT / "weights"


def write_model(recipe: str, run: Path, target: Path, *, half: bool = False) -> None:
    """Export the averaged weights of a run's last checkpoint.

    Args:
        recipe: Recipe of the run; it determines the network's width and name.
        run: Folder of the run.
        target: The ONNX file to write.
        half: Whether weights are stored in 16 bits; arithmetic is in 32 all the same.

    Raises:
        InputError: If the folder has no checkpoint, or another network's.
        OutputError: If the file cannot be written.
    """
    network = SmallNet(RECIPES[recipe]().widths)
    try:
        network.load_state_dict(read_average(run))
    except RuntimeError as error:
        raise InputError(f"{run}: no run of the recipe '{recipe}': other weights") from error
    target.parent.mkdir(parents=True, exist_ok=True)
    export_small(network, target, PROVENANCES[recipe])
    if half:
        _store_in_half(target)


def _store_in_half(path: Path) -> None:
    metadata = OnnxModel(path, LoadOptions(device="cpu")).metadata
    with replacing(path) as part:
        halve(path, part)
        set_metadata(part, {**metadata, "rilievo.precision": "fp16"})


def main() -> None:
    """Read the options, write the files."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("small", "tiny", "rendered"):
        parser.add_argument(f"--{name}", type=Path, metavar="RUN", help=f"the run of {name}")
    options = parser.parse_args()
    if options.small:
        write_model("small", options.small, PACKAGE / "small.onnx")
    if options.tiny:
        write_model("tiny", options.tiny, PACKAGE / "tiny.onnx")
    if options.rendered:
        write_model("small-rendered", options.rendered, WEIGHTS / "small-rendered.onnx", half=True)
    if not (options.small or options.tiny or options.rendered):
        sys.exit("error: name a run at least: --small, --tiny or --rendered")


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")

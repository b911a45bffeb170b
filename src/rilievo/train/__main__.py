"""Command ``python -m rilievo.train small --shards DIR --real DIR --encoder FILE.npz -o RUN``."""

import sys

import tyro

from rilievo.errors import MissingExtraError, RilievoError


def run() -> None:
    """Read the command line and train.

    Raises:
        MissingExtraError: If torch or another package of training is not installed.
    """
    try:
        from rilievo.train.command import main
    except ModuleNotFoundError as missing:
        raise MissingExtraError(f"training ({missing.name})", "train") from missing
    tyro.cli(main, prog="python -m rilievo.train")


if __name__ == "__main__":
    try:
        run()
    except RilievoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)

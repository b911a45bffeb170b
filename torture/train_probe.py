"""Train a probe with a checkpoint every few steps: ``python -m torture.train_probe DATA RUN``.

The command line writes one every 500 steps, which no short run would live to see.
"""

import sys
from pathlib import Path

from rilievo.errors import RilievoError
from rilievo.networks.blueprint import BackboneChoice, Blueprint, DepthChoice, ProbeChoice, Task
from rilievo.train.probe.config import DataChoice, ProbeConfig, RunOptions
from rilievo.train.probe.run import train_probe


def main() -> None:
    """Begin the run, or go on with it."""
    config = ProbeConfig(
        blueprint=Blueprint(
            backbone=BackboneChoice(name="timm/test_vit", weights="random"),
            probe=ProbeChoice(kind="linear"),
            task=Task.DEPTH,
            size=(64, 64),
            depth=DepthChoice(bins=16, largest=20.0),
        ),
        data=DataChoice(dataset="folder", root=sys.argv[1]),
        epochs=30,
        batch_size=2,
        checkpoint_steps=5,
    )
    try:
        train_probe(config, Path(sys.argv[2]), RunOptions(device="cpu", resume=True))
    except RilievoError as error:
        sys.exit(f"rilievo: {error}")


if __name__ == "__main__":
    main()

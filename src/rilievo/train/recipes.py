"""Recipes: functions that return the configuration of a run."""

from collections.abc import Callable, Mapping

from rilievo.train.config import Stage, TrainConfig


def small(*, minutes: float | None = 100.0, steps: int | None = None) -> TrainConfig:
    """The embedded model, ``rilievo/small``.

    Small images first, because most of what is learned then does not need more, and they are
    twice as fast; photographs with measured depth mostly in the later part, with rendered scenes
    and outdoors kept to the end so that they are not forgotten.

    Command::

        python -m rilievo.datasets.synthetic --count 14000 --seed 1 --photos KODAK -o shards
        python -m rilievo.train small --shards shards --real NYU --encoder ENCODER.npz -o run

    Hardware and time: 100 minutes on one core that has AVX-512 with bfloat16, in which 111,000
    images are seen (26 a second, then 14); 6 GB of memory; rendering comes on top. On a faster core
    the same minutes see more images.

    Score on held-out frames at the end: NYU (60 frames) AbsRel 0.162, δ1 0.757, normals 26.6°;
    rendered (64) 0.176, 0.786, 20.4°. On 94 NYU test frames 0.154, 0.777, 31.8°. The weights that
    ship come from this run, rendered while it began; the darkening of some frames joined at 45 %.
    """
    return TrainConfig(
        minutes=minutes,
        steps=steps,
        stages=(
            Stage(until=0.15, area=24576, real=0.2),
            Stage(until=0.5, area=24576, real=0.3),
            Stage(until=1.0, area=49152, real=0.4),
        ),
    )


RECIPES: Mapping[str, Callable[..., TrainConfig]] = {"small": small}

"""Recipes: functions that return the configuration of a run."""

from collections.abc import Callable, Mapping

from rilievo.train.config import Stage, TrainConfig


def small(*, minutes: float | None = 100.0, steps: int | None = None) -> TrainConfig:
    """The embedded model, ``rilievo/small``.

    Small images first, because most of what is learned then does not need more, and they are
    twice as fast; photographs with measured depth mostly in the later part, with rendered scenes
    and outdoors kept to the end so that they are not forgotten.
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

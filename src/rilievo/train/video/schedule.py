"""The learning rate over a run: a short climb, then a fall to a tenth at every milestone."""

from rilievo.train.video.config import VideoConfig

_FALL = 0.1


def learning_rate(config: VideoConfig, *, step: int, epoch: float) -> float:
    """The learning rate of a step.

    A milestone of 15 means that epochs 1 to 15 are trained at the full rate. Programs that move
    their schedule on before an epoch instead of after it have 14 such epochs with a newer torch.

    Args:
        config: Of the run.
        step: From 0.
        epoch: Of the step, from 0; 15 is the beginning of the sixteenth.
    """
    climbed = min(1.0, (step + 1) / config.warm_up) if config.warm_up else 1.0
    # A step may begin a rounding before its epoch does.
    falls = sum(epoch >= milestone - 1e-9 for milestone in config.milestones)
    return config.learning_rate * climbed * _FALL**falls

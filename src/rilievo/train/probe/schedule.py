"""Schedule of the learning rate: linear warm-up, then a half or a quarter of a cosine."""

import math

from rilievo.train.probe.config import ProbeConfig, Schedule


def rate_factor(config: ProbeConfig, *, step: int, epoch_steps: int) -> float:
    """Return the learning rate of a step, as a share of its peak.

    It rises linearly from ``start_factor`` over ``warm_up`` epochs and then falls to
    ``final_factor``: with r from 0 to 1 over what remains, by (1 + cos πr) / 2, or by cos(πr / 2),
    which is Probe3D's schedule and stays high for long.

    Args:
        config: Configuration of the run.
        step: Number of the step, from 0.
        epoch_steps: Steps per epoch.
    """
    warm_up, total = config.warm_up * epoch_steps, config.epochs * epoch_steps
    if step < warm_up:
        return config.start_factor + (1 - config.start_factor) * step / warm_up
    progress = min(1.0, (step - warm_up) / max(total - warm_up, 1.0))
    if config.schedule is Schedule.QUARTER_COSINE:
        share = math.cos(0.5 * math.pi * progress)
    else:
        share = 0.5 * (1 + math.cos(math.pi * progress))
    return config.final_factor + (1 - config.final_factor) * share

"""Failures of a step that a user can mend, as errors of one line."""

from collections.abc import Iterator
from contextlib import contextmanager

from rilievo.errors import InputError, OptionError
from rilievo.networks.memory import is_out_of_memory
from rilievo.train.video.checkpoint import RunState
from rilievo.train.video.config import VideoConfig


@contextmanager
def failures(config: VideoConfig, state: RunState) -> Iterator[None]:
    """Turn running out of memory, or values that are not finite, into an error of one line.

    Raises:
        InputError: If a value is not finite.
        OptionError: If memory is too small.
    """
    try:
        yield
    except FloatingPointError as error:
        raise InputError(
            f"step {state.step}: {error}: lower the learning rate, give a clip_norm, "
            "choose fp32, or look at the intrinsics; --resume begins at the last checkpoint"
        ) from error
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        height, width = config.blueprint.size
        raise OptionError(
            f"too little memory for a step of {config.batch_size} x {height}x{width} with "
            f"{config.blueprint.encoder}: take a smaller --batch-size (and --accumulate to "
            "make up for it), a smaller --size, or --precision bf16"
        ) from error

"""A network that an engine has opened: a batch of images in, named arrays out."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Shaped

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]

INPUT = "image"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A network ready to run.

    Attributes:
        feed: Function that runs the network on inputs by name, and returns every output by name.
        metadata: Metadata of the file.
        device: Device that is used: cpu, cuda:N, coreml or directml.
        one_by_one: Whether it accepts only batches of one photograph.
    """

    feed: Callable[[Arrays], Arrays]
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    metadata: Mapping[str, str]
    device: str
    one_by_one: bool

    def run(self, batch: Shaped[np.ndarray, "b ..."], name: str = INPUT) -> Arrays:
        """Run the network on one input; one photograph after the other where it takes no more."""
        if not self.one_by_one or len(batch) == 1:
            return self.feed({name: batch})
        each = [self.feed({name: part}) for part in np.split(batch, len(batch))]
        return {key: np.concatenate([answers[key] for answers in each]) for key in each[0]}

"""Recognition of torch's out-of-memory errors."""

import torch

_WORDS = ("allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch ran out of memory: the type tells on a GPU, the message on a CPU."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)

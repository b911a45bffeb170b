"""Want of memory, as torch says it."""

import torch

_WORDS = ("allocate memory", "not enough memory")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch had too little memory: of a GPU the type says so, of a processor the words."""
    if isinstance(error, torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(words in str(error) for words in _WORDS)

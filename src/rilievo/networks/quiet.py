"""Silence of transformers and diffusers while they load weights, which rilievo checks itself.

Adapters that run without torch import it too.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from importlib import import_module
from logging import CRITICAL


@contextmanager
def quiet(*libraries: str) -> Iterator[None]:
    """Keep libraries, "transformers" or "diffusers", which must be installed, from reporting."""
    with ExitStack() as restored:
        for library in libraries:
            logging = import_module(f"{library}.utils.logging")
            restored.callback(logging.set_verbosity, logging.get_verbosity())
            logging.set_verbosity(CRITICAL)
            # The loaders of diffusers draw with the bars of transformers.
            if library == "transformers" and logging.is_progress_bar_enabled():
                restored.callback(logging.enable_progress_bar)
                logging.disable_progress_bar()
        yield

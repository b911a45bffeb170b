"""Quality words for choosing a model: more accuracy for more time."""

import sys
from contextlib import suppress

from rilievo.errors import ModelError, OptionError, OutputError, suggest
from rilievo.io.atomic import make_folder
from rilievo.models import DEFAULT_MODEL, MODELS
from rilievo.models.engines import cache_directory

QUALITIES = {"fast": DEFAULT_MODEL, "good": "moge-2/small", "best": "moge-2/large"}
"""Model of each word: the embedded one, the small strong one, the large one."""


def model_of(quality: str | None, model: str | None = None) -> str:
    """Name of the model for a quality word, a model name, or neither."""
    if quality is None:
        return model or DEFAULT_MODEL
    if quality not in QUALITIES:
        raise OptionError(f"no quality '{quality}'; {suggest(quality, QUALITIES)}")
    named = QUALITIES[quality]
    if model and model != named:
        raise OptionError("quality and model do not go together; give one")
    return named


def recommend() -> str | None:
    """Hint at a better model than the embedded one; once per machine, on a terminal."""
    if sys.stderr is None or not sys.stderr.isatty() or not _is_first():
        return None
    good, best = MODELS[QUALITIES["good"]], MODELS[QUALITIES["best"]]
    return (
        f"tip: --quality good is much better: {good.name}, metres, normals and the camera; "
        f"{good.megabytes:,.0f} MB, downloaded once, weights {good.licence} "
        f"(best: {best.megabytes:,.0f} MB)"
    )


def _is_first() -> bool:
    """Whether this is the first hint on this machine; False without a cache folder."""
    with suppress(OSError, ModelError, OutputError):
        folder = cache_directory()
        make_folder(folder)
        with (folder / "recommended").open("x"):
            return True
    return False

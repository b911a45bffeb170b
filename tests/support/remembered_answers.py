"""Embedded networks that are opened once in a process and remember their latest answers.

Most tests predict the same few pictures, and the network is the subject of those of ``models``
alone, which do without.
"""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from rilievo.models.default.embedded import embedded_file
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import Session, open_session
from rilievo.models.onnx_files.onnx_model import INPUT
from rilievo.models.resampling.inference import Arrays

_FILES = [embedded_file(f"rilievo/{name}") for name in ("small", "base")]
_PICTURES = 32
"""Pictures whose answers are remembered, of up to 5 MB each."""
_sessions: dict[str, Session] = {}


def open_once(path: Path, options: LoadOptions, what: str = "") -> Session:
    """Open a session, or take that of an embedded network with the same options."""
    if path not in _FILES:
        return open_session(path, options, what)
    key = f"{path.stem} {options}"
    if key not in _sessions:
        _sessions[key] = _remembering(open_session(path, options, what))
    return _sessions[key]


def _remembering(session: Session) -> Session:
    @lru_cache(maxsize=_PICTURES)
    def answer(
        pixels: bytes, shape: tuple[int, ...], switches: frozenset[tuple[str, bool]]
    ) -> Arrays:
        image = np.frombuffer(pixels, np.uint8).reshape(shape)
        return session.feed({INPUT: image, **{name: np.array(value) for name, value in switches}})

    def feed(inputs: Arrays) -> Arrays:
        pixels = inputs[INPUT]
        if len(pixels) > 1:
            return session.feed(inputs)
        # Inputs besides the image say which outputs are left out.
        switches = frozenset((name, bool(value)) for name, value in inputs.items() if name != INPUT)
        answers = answer(pixels.tobytes(), pixels.shape, switches)
        return {name: array.copy() for name, array in answers.items()}

    return replace(session, feed=feed)

"""The HTTP interface in the process of a test, around a quick model that counts its batches."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rilievo.errors import ModelError
from rilievo.models.base import Inference, Model
from rilievo.records.sample import Photo
from rilievo.serving.server.counters import Metrics
from rilievo.serving.server.offered_models import OfferedModels
from rilievo.serving.server.request_files import Disk, Folders
from rilievo.serving.server.routes import Extension, application
from rilievo.serving.server.server_options import ServeOptions, ServerLimits
from rilievo.serving.server.service import Service
from support.fixed_depth import FixedDepth

PATIENCE = 60.0
FAULTY = 255
"""Brightness of photographs that the model fails at."""


class Brightness(FixedDepth):
    """Depth is a slope, farther away in brighter photographs; fails at white ones."""

    def __init__(self, place: str = "") -> None:
        super().__init__(np.ones((8, 8)))
        self.place = place
        self.batches: list[int] = []
        self.gate = threading.Event()
        self.gate.set()
        self.begun = threading.Event()

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        self.batches.append(len(photos))
        self.begun.set()
        assert self.gate.wait(PATIENCE)
        if any(photo.pixels.min() == FAULTY for photo in photos):
            raise ModelError("a white photograph", path=self.place)
        slope = np.linspace(1, 2, 12 * 16, dtype=np.float32).reshape(12, 16)
        return [Inference(depth=slope * float(photo.pixels.mean())) for photo in photos]


class Given(OfferedModels):
    """Offers models that are there already."""

    __slots__ = ()

    def load(self, name: str) -> Model:
        return MODELS[name]


MODELS: dict[str, Model] = {}


@dataclass
class Served:
    """A server in this process."""

    client: Any
    service: Service
    model: Brightness
    folder: Path
    disk: Disk

    def stream(self, query: str = "", **headers: str) -> Any:
        """A WebSocket for frames."""
        place = f"ws://127.0.0.1/v1/stream{query}"
        return self.client.websocket_connect(place, headers=headers)

    def files(self) -> list[Path]:
        """List the files of its folder."""
        return sorted(self.folder.iterdir())


_LIMITS = {field.name for field in fields(ServerLimits)}


@contextmanager
def served(
    folder: Path,
    *,
    tokens: tuple[str, ...] = (),
    kind: type[ServeOptions] = ServeOptions,
    extend: Callable[[Service, Any], Extension] | None = None,
    models: Mapping[str, Model] | None = None,
    **options: Any,
) -> Iterator[Served]:
    """Serve a quick model, or those of a mapping, for as long as the context lasts."""
    from starlette.testclient import TestClient

    model = Brightness()
    MODELS.clear()
    MODELS.update(
        {"test/model": model, "secret/place/other.onnx": Brightness("secret/place/other.onnx")}
    )
    limits = {name: options.pop(name) for name in _LIMITS & options.keys()}
    served_limits = ServerLimits(**{"workers": 2, "batch_seconds": 0.0, **limits})
    given = kind(model=next(iter(models or ["test/model"])), **options, limits=served_limits)
    disk = Disk(int(given.limits.disk_megabytes * 1e6))
    names = {"test/model": "test/model", "other": "secret/place/other.onnx"}
    if models is not None:
        MODELS.update(models)
        names = {name: name for name in models}
    service = Service(given, Given(names, given), Folders(folder, disk), Metrics())
    app = application(service, tokens, extend and extend(service, given))
    with TestClient(
        app,
        base_url="http://127.0.0.1",
        raise_server_exceptions=True,
        client=("127.0.0.1", 50000),
    ) as client:
        yield Served(client, service, model, folder, disk)
        model.gate.set()


def check_refused(answer: Any, status: int, words: str) -> None:
    """An answer is a problem with this status and one line, which tells nothing of the server."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["type"], problem["status"]) == ("about:blank", status)
    assert problem["title"] == HTTPStatus(status).phrase
    line = problem["error"]
    assert problem["detail"] == line
    assert words in line
    assert "\n" not in line
    assert "Traceback" not in line
    for place in ("/tmp", "/root", "/home", "site-packages", "secret", "src/rilievo"):
        assert place not in line


def picture(level: int = 100, size: tuple[int, int] = (96, 64), kind: str = "PNG") -> bytes:
    """A grey picture, without loss."""
    stream = BytesIO()
    Image.new("RGB", size, (level, level, level)).save(stream, kind)
    return stream.getvalue()

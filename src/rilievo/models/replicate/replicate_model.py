"""Models at replicate.com, which answer a photograph with a picture of its depth.

The result is a grey picture, stretched to its own range and mostly of 8 bits, so its depth is
affine (or affine inverse) and has steps of 1/255. Only the photograph's pixels are sent, nothing
else of its file, and they are deleted there afterwards.
"""

import io
import json
import math
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32
from PIL import Image

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.io.photographs.decode import PILLOW_ERRORS
from rilievo.models.adapter_settings import read_settings
from rilievo.models.base import Inference, PaidModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import AUTO, LoadOptions
from rilievo.models.replicate.replicate_cards import (
    ReplicateSettings,
    Version,
    is_version,
    parse_version,
)
from rilievo.models.replicate.replicate_service import (
    LARGEST,
    FinalError,
    Patience,
    RefusedError,
    Service,
    open_service,
)
from rilievo.types import Photo

_ASPECT = 0.03  # largest difference in aspect ratio to the photograph; models round their sizes
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")


class ReplicateModel(PaidModel):
    """One version of a model at replicate.com."""

    service = "replicate.com"

    def __init__(
        self, card: ModelCard, version: Version, service: Service, settings: ReplicateSettings
    ) -> None:
        """Check token and version; nothing is sent or charged yet."""
        self.card, self.weights_sha256 = card, "unknown"
        self._service, self._options = service, settings
        self._version = _version_id(service, version)
        self._calls = settings.calls or 1
        self._ended: FinalError | None = None
        self.settings = {
            "service": self.service,
            "version": self._version,
            "inputs": json.dumps(dict(settings.read_inputs()), sort_keys=True),
            "output": settings.output,
        }

    def allow(self, calls: int) -> None:
        """Allow this many more calls, unless ``calls`` was set."""
        self._calls = self._options.calls or calls

    def interrupt(self) -> None:
        """Stop waiting, and cancel the running prediction."""
        self._service.stop()

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Send one photograph after the other."""
        if len(photos) > self._calls:
            raise ModelError(
                f"model '{self.card.name}': {len(photos)} photographs are paid calls, and "
                f"{self._calls} agreed to: give --set calls=N (settings={{'calls': N}})"
            )
        return [self._infer_one(photo) for photo in photos]

    def _infer_one(self, photo: Photo) -> Inference:
        if self._ended is not None:
            raise self._ended
        content, ask = encode(photo.pixels, photo.name), self._service.ask
        try:
            files = {"content": ("photograph.png", content, "image/png")}
            sent = ask("POST", "/v1/files", files=files)
            try:
                output = self._run(_part(_part(sent, "urls", dict), "get", str)).get("output")
                wanted = addresses(output, self._options.output)
                answers = [self._service.download(address) for address in wanted]
                return Inference(depth=grey_picture(answers, photo.shape))
            finally:
                # A failure to delete the photograph there must not lose the result.
                self._service.insist("DELETE", f"/v1/files/{_name(sent)}")
        except FinalError as error:
            self._ended = error
            raise
        except ModelError as error:
            words = self._service.shown(error)
            raise ModelError(f"model '{self.card.name}': {words}") from None

    def _run(self, address: str) -> Mapping[str, Any]:
        """Run one prediction to its end; it is cancelled on interruption or time-out."""
        service, end = self._service, time.monotonic() + self._options.timeout
        inputs = {**self._options.read_inputs(), self._options.image: address}
        body = {"version": self._version, "input": inputs}
        self._calls -= 1  # also where it is not known whether the call was accepted
        try:
            prediction = service.ask("POST", "/v1/predictions", json=body, costs=True)
        except RefusedError:
            self._calls += 1
            raise
        place, pause = f"/v1/predictions/{_name(prediction)}", service.patience.poll / 8
        try:
            while (status := prediction.get("status")) in ("starting", "processing", "queued"):
                if time.monotonic() > end:
                    raise ModelError(
                        f"no result after {self._options.timeout} seconds: cancelled; give "
                        "--set timeout=SECONDS"
                    )
                service.wait(pause)
                pause = min(2 * pause, service.patience.poll)
                prediction = service.ask("GET", place)
        except (ModelError, KeyboardInterrupt):
            service.insist("POST", f"{place}/cancel")
            raise
        if status != "succeeded":
            said = service.shown(prediction.get("error") or "no reason given")
            raise ModelError(f"the prediction ended as '{status}': {said}")
        return prediction


def load(card: ModelCard, options: LoadOptions, patience: Patience | None = None) -> ReplicateModel:
    """Load a model at replicate.com (``ModelCard.loader``)."""
    if (options.engine, options.precision, options.device) != (AUTO, "fp32", AUTO):
        raise OptionError(
            f"model '{card.name}' runs at replicate.com: no device, engine or precision to choose"
        )
    settings = read_settings(ReplicateSettings, options.settings, card.name)
    return ReplicateModel(card, parse_version(card.name), open_service(patience), settings)


def _version_id(service: Service, version: Version) -> str:
    """Hash of the version, confirmed by the service, as it is recorded in every result."""
    place = f"/v1/models/{version.owner}/{version.name}"
    if version.id is not None:
        found = service.ask("GET", f"{place}/versions/{version.id}")
    else:
        found = _part(service.ask("GET", place), "latest_version", dict)
    id = _part(found, "id", str)
    if not is_version(id) or version.id not in (None, id):
        raise ModelError("replicate.com replied with an invalid version, or another one")
    return id


def _part(answer: Mapping[str, Any], name: str, of: type) -> Any:
    found = answer.get(name)
    if not isinstance(found, of) or not found:
        raise ModelError(f"the reply of replicate.com lacks '{name}'")
    return found


def _name(answer: Mapping[str, Any]) -> str:
    """Id of an object; it becomes part of a URL, so it has to be a plain word."""
    found = _part(answer, "id", str)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", found):
        raise ModelError("replicate.com replied with an invalid id")
    return found


def addresses(output: Any, which: str | None) -> Sequence[str]:
    """URLs of the pictures in a prediction's output (a URL, a list or an object of URLs)."""
    if not isinstance(output, dict):
        listed = output if isinstance(output, list) else [output]
        output = {str(index): each for index, each in enumerate(listed)}
    found = {
        name: each for name, each in output.items() if isinstance(each, str) and "://" in each[:8]
    }
    if not found or which not in (None, *found):
        known = ", ".join(found) or "no picture"
        raise ModelError(f"the result lacks the picture {which or 'of depth'}; it has {known}")
    return [*found.values()] if which is None else [found[which]]


def grey_picture(answers: Sequence[bytes], shape: tuple[int, int]) -> Float32[np.ndarray, "h w"]:
    """Find the one grey picture among some results, and convert it to [0, 1].

    ``shape`` is the photograph's (height, width).
    """
    pictures = [_values(body) for body in answers]
    grey = [each for each in pictures if each is not None]
    if len(grey) != 1:
        raise ModelError(
            f"{len(grey)} of {len(pictures)} pictures in the result are grey: choose the depth "
            "with --set output=... (coloured pictures cannot be read)"
        )
    height, width = grey[0].shape
    # Rounding changes the sides of a small picture by at least one pixel.
    allowed = _ASPECT + 1 / min(height, width)
    if abs(math.log(height / width) - math.log(shape[0] / shape[1])) > allowed:
        raise ModelError(
            f"the result is {width} x {height} pixels, another shape than the photograph's "
            f"{shape[1]} x {shape[0]}"
        )
    return grey[0]


def _values(body: bytes) -> Float32[np.ndarray, "h w"] | None:
    """Values of a picture in [0, 1]; None if it has colours."""
    try:
        with Image.open(io.BytesIO(body), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError("too large to be one")
            if picture.mode.startswith("I"):
                return np.asarray(picture, np.float32) / np.float32(65535)
            colours = np.asarray(picture.convert("RGB"))
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as error:
        raise ModelError(f"the result is not a picture, or broken ({error})") from error
    if (np.ptp(colours, axis=-1) > 0).any():
        return None
    return colours[..., 0].astype(np.float32) / np.float32(255)


def encode(pixels: np.ndarray, name: str) -> bytes:
    """Encode a photograph as a PNG, without place, time or camera."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    content = file.getvalue()
    if len(content) > LARGEST:
        raise InputError(
            f"{name}: is {len(content) / 1e6:.0f} MB as it would be sent, above the "
            f"{LARGEST / 1e6:.0f} MB that replicate.com takes; make it smaller first"
        )
    return content

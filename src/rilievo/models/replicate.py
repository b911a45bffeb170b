"""Models at replicate.com: a photograph is sent, and a picture of its depth is returned.

The result is a grey picture, stretched to its own range and mostly of 8 bits, so its depth is
affine (or affine inverse) and has steps of 1/255. Only the photograph's pixels are sent, nothing
else of its file, and they are deleted there afterwards.
"""

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

from rilievo.errors import ModelError, OptionError
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.engines import AUTO, LoadOptions
from rilievo.models.http_answers import DoubtfulError, FinalError, StoppedError
from rilievo.models.paid import PaidModel
from rilievo.models.replicate_cards import (
    ReplicateSettings,
    Version,
    is_version,
    parse_version,
)
from rilievo.models.replicate_pictures import addresses, encode, grey_picture
from rilievo.models.replicate_service import LARGEST_UPLOAD, Patience, Service, open_service
from rilievo.models.settings import read_settings
from rilievo.types import Photo

_RUNNING = ("starting", "processing", "queued")
UNKNOWN = "unknown"
"""The weights are not on this machine: their hash is unknown, and the version identifies them."""


class ReplicateModel(PaidModel):
    """One version of a model at replicate.com."""

    service = "replicate.com"

    def __init__(
        self, card: ModelCard, version: Version, service: Service, settings: ReplicateSettings
    ) -> None:
        """Check token and version; nothing is sent or charged yet.

        Raises:
            ModelError: If the service does not accept one of them.
        """
        self.card, self.weights_sha256 = card, UNKNOWN
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
        """Send one photograph after the other.

        Raises:
            ModelError: If the service is not available or its reply is not valid, or there are more
                photographs than agreed calls.
            InputError: If a photograph is too large to be sent.
        """
        if len(photos) > self._calls:
            raise ModelError(
                f"model '{self.card.name}': {len(photos)} photographs are paid calls, and "
                f"{self._calls} agreed to: give --set calls=N (settings={{'calls': N}})"
            )
        return [self._infer_one(photo) for photo in photos]

    def _infer_one(self, photo: Photo) -> Inference:
        if self._ended is not None:
            raise self._ended
        content = encode(photo.pixels, photo.name, LARGEST_UPLOAD)
        try:
            return self._predicted(content, photo)
        except FinalError as error:
            self._ended = error
            raise

    def _predicted(self, content: bytes, photo: Photo) -> Inference:
        sent = self._service.upload("photograph.png", content, "image/png")
        try:
            prediction = self._run(_text(_record(sent, "urls"), "get"))
            wanted = addresses(prediction.get("output"), self._options.output)
            answers = [self._service.download(address) for address in wanted]
            return Inference(depth=grey_picture(answers, photo.shape))
        except StoppedError:
            raise
        except ModelError as error:
            if isinstance(error, FinalError):
                raise
            # Messages may contain text of the service: names of results, servers, types.
            words = self._service.without_token(str(error))
            raise ModelError(f"model '{self.card.name}': {words}") from None
        finally:
            self._forget(sent)

    def _run(self, address: str) -> Mapping[str, Any]:
        """Run one prediction to its end; it is cancelled on interruption or time-out.

        Raises:
            ModelError: If it fails or times out.
        """
        inputs = {**self._options.read_inputs(), self._options.image: address}
        body = json.dumps({"version": self._version, "input": inputs}).encode()
        end = time.monotonic() + self._options.timeout
        try:
            prediction = self._service.ask("POST", "/v1/predictions", data=body, costs=True)
        except DoubtfulError:
            self._calls -= 1
            raise
        self._calls -= 1
        place = f"/v1/predictions/{_name(prediction)}"
        pause = self._service.patience.poll / 8
        try:
            while (status := prediction.get("status")) in _RUNNING:
                if time.monotonic() > end:
                    raise ModelError(
                        f"no result after {self._options.timeout} seconds: cancelled; give "
                        "--set timeout=SECONDS"
                    )
                self._service.wait(pause)
                pause = min(2 * pause, self._service.patience.poll)
                prediction = self._service.ask("GET", place)
        except (ModelError, KeyboardInterrupt):
            self._cancel(place)
            raise
        if status != "succeeded":
            said = self._service.said(prediction.get("error") or "no reason given")
            raise ModelError(f"the prediction ended as '{self._service.said(status)}': {said}")
        return prediction

    def _cancel(self, place: str) -> None:
        self._service.insist("POST", f"{place}/cancel")

    def _forget(self, sent: Mapping[str, Any]) -> None:
        """Delete the photograph at the service; a failure must not lose the result."""
        self._service.insist("DELETE", f"/v1/files/{_name(sent)}")


def load(card: ModelCard, options: LoadOptions, patience: Patience | None = None) -> ReplicateModel:
    """Load a model at replicate.com (``ModelCard.loader``).

    Raises:
        ModelError: If there is no token, or the service does not know the version.
        OptionError: If a setting is not available, or an option applies only to local models.
    """
    if (options.engine, options.precision) != (AUTO, "fp32") or options.device != AUTO:
        raise OptionError(
            f"model '{card.name}' runs at replicate.com: device, engine and precision "
            "cannot be chosen"
        )
    settings = read_settings(ReplicateSettings, options.settings, card.name)
    return ReplicateModel(card, parse_version(card.name), open_service(patience), settings)


def _version_id(service: Service, version: Version) -> str:
    """Hash of the version, confirmed by the service."""
    place = f"/v1/models/{version.owner}/{version.name}"
    if version.id is not None:
        found = service.ask("GET", f"{place}/versions/{version.id}")
    else:
        found = _record(service.ask("GET", place), "latest_version")
    id = _text(found, "id")
    # It is recorded in every result, so it has to be correct.
    if not is_version(id) or version.id not in (None, id):
        raise ModelError("replicate.com replied with an invalid version, or another one")
    return id


def _record(answer: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = answer.get(name)
    if not isinstance(found, dict):
        raise ModelError(f"the reply of replicate.com lacks '{name}'")
    return found


def _text(answer: Mapping[str, Any], name: str) -> str:
    found = answer.get(name)
    if not isinstance(found, str) or not found:
        raise ModelError(f"the reply of replicate.com lacks '{name}'")
    return found


def _name(answer: Mapping[str, Any]) -> str:
    """Id of an object; it becomes part of a URL, so it has to be a plain word."""
    found = _text(answer, "id")
    if not found.replace("-", "").replace("_", "").isalnum() or not found.isascii():
        raise ModelError("replicate.com replied with an invalid id")
    return found

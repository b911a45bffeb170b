"""Models at replicate.com, which answer with a grey picture of depth.

It is stretched to its range, so depth is affine in steps of 1/255. Our client repeats no paid
request.
"""

import io
import json
import math
import os
import random
import re
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from rilievo.arrays.shapes import Field
from rilievo.errors import InputError, MissingPackageError, ModelError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.limits import MAX_PIXELS, is_whole
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.io.photographs.decode import PILLOW_ERRORS
from rilievo.models.base import Inference, PaidModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import AUTO, LoadOptions
from rilievo.models.model_settings import read_settings
from rilievo.models.replicate_cards import ReplicateSettings, Version, is_version, parse_version
from rilievo.records.sample import Photo
from rilievo.version import VERSION

if TYPE_CHECKING:
    import httpx

TOKEN, BASE = "REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"
LARGEST = 100 * 10**6
_LOCAL = ("localhost", "127.0.0.1", "::1")
# Statuses by which the service states that a request was not carried out. 504 is not among them:
# behind a gateway's time-out a prediction may be running, and be charged.
_NOT_TAKEN = (429, 500, 502, 503)
_WORDS = {
    401: f"{TOKEN} is not accepted: is it whole, and not revoked?",
    402: "the account has no credit left: see https://replicate.com/account/billing",
    403: "the account may not use this model",
    404: "there is no such model or version",
}

_ASPECT = 0.03  # largest difference in aspect ratio to the photograph; models round their sizes

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")


class FinalError(ModelError):
    """Error that all photographs would meet."""


class RefusedError(ModelError):
    """Error of a request that is not charged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Number of attempts, and waits [s]."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    request: float = 60.0
    poll: float = 1.0


class ReplicateService:
    """Client of the HTTP API."""

    def __init__(self, token: str, base: str, patience: Patience) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingPackageError("a model at replicate.com", "httpx") from error
        if not re.fullmatch(r"[\x21-\x7e]+", token):
            raise ModelError(
                f"{TOKEN} is empty or has spaces or other characters that no token has: set "
                f"{TOKEN} to your token of https://replicate.com/account/api-tokens"
            )
        self._base = httpx.URL(base.rstrip("/"))
        if not self._is_https_or_local(self._base):
            raise ModelError(f"{BASE} is an address that begins with https://")
        self._token, self.patience, self._stopped = token, patience, threading.Event()
        self._http = httpx.Client(
            headers={"User-Agent": f"rilievo/{VERSION}"},
            timeout=patience.request,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def stop(self) -> None:
        """Interrupt all waits, from another thread."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait [s]; raise ``FinalError`` once stopped."""
        if self._stopped.wait(seconds):
            raise FinalError("stopped while waiting for replicate.com")

    def ask(
        self, method: str, path: str, *, costs: bool = False, **content: Any
    ) -> Mapping[str, Any]:
        """Send a request; a paid one of unknown fate once."""
        body = self._send_with_retries(self._build_request(method, path, **content), costs=costs)
        with suppress(NotThisRecord):
            reply = parse_json(body or b"{}")
            if isinstance(reply, dict):
                return reply
        raise ModelError(
            f"replicate.com answered {method} {path} with something else, expected JSON: is "
            "something between here and the service?"
        )

    def insist(self, method: str, path: str) -> None:
        """Send a request once, also after a stop, ignoring errors."""
        import httpx

        with suppress(httpx.HTTPError):
            self._http.send(self._build_request(method, path), stream=True).close()

    def download(self, address: str) -> bytes:
        """Download without the token."""
        import httpx

        with suppress(httpx.InvalidURL, ValueError):
            request = self._http.build_request("GET", address)
            if self._is_https_or_local(request.url):
                return self._send_with_retries(request, costs=False)
        raise ModelError("the result is not at an https:// address")

    def shown(self, text: object) -> str:
        """First line of a text, without the token."""
        clean = re.sub(re.escape(self._token), "***", str(text), flags=re.IGNORECASE)
        return (clean.strip().splitlines() or ["nothing"])[0][:300]

    def _is_https_or_local(self, url: "httpx.URL") -> bool:
        is_local = self._base.host in _LOCAL and url.host in _LOCAL
        return url.scheme == "https" or (is_local and url.scheme == "http")

    def _build_request(self, method: str, path: str, **content: Any) -> "httpx.Request":
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return self._http.build_request(method, f"{self._base}{path}", headers=headers, **content)

    def _send_with_retries(self, request: "httpx.Request", *, costs: bool) -> bytes:
        import httpx

        for attempt in range(1, self.patience.attempts + 1):
            self.wait(0)
            last, retry_after = attempt == self.patience.attempts, ""
            try:
                with closing(self._http.send(request, stream=True)) as response:
                    body = _read_body(response)
            except httpx.HTTPError as error:
                doubtful = costs and not isinstance(error, httpx.ConnectError)
                if doubtful or last:
                    charged = "; the call may have been accepted and charged" if doubtful else ""
                    why = f"cannot be reached ({type(error).__name__}){charged}"
                    # Only the host is shown, because addresses of results are secret.
                    kind = ModelError if doubtful else RefusedError
                    raise kind(f"{request.url.host} {why}") from None
            else:
                status = response.status_code
                if response.is_success:
                    return body
                if last or not (status in _NOT_TAKEN or (status >= 500 and not costs)):
                    raise self._status_error(response, body)
                retry_after = response.headers.get("Retry-After", "")
            self.wait(self._seconds_before_retry(attempt, retry_after))
        raise AssertionError("the last attempt returns or raises")

    def _seconds_before_retry(self, attempt: int, retry_after: str) -> float:
        if not is_whole(retry_after):
            pause = self.patience.first * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            return min(self.patience.longest, pause)
        if int(retry_after) > self.patience.longest:
            raise RefusedError(
                f"replicate.com is busy and asks to wait {retry_after} seconds: come again"
            )
        return int(retry_after)

    def _status_error(self, response: "httpx.Response", body: bytes) -> ModelError:
        status, host = response.status_code, response.request.url.host
        if 300 <= status < 400:
            return ModelError(f"{host} redirects elsewhere (HTTP {status}): refused")
        if status in _WORDS and "Authorization" in response.request.headers:
            return FinalError(f"replicate.com: {_WORDS[status]} (HTTP {status})")
        detail = ""
        with suppress(ValueError, KeyError, TypeError):  # an HTML error page
            detail = f": {self.shown(parse_json(body)['detail'])}"
        kind = RefusedError if status < 500 or status in _NOT_TAKEN else ModelError
        return kind(f"{host} answered with HTTP {status}{detail}")


def open_service(patience: Patience | None = None) -> ReplicateService:
    """Client with the user's token."""
    base = os.environ.get(BASE) or "https://api.replicate.com"
    return ReplicateService(os.environ.get(TOKEN, "").strip(), base, patience or Patience())


def _read_body(response: "httpx.Response") -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > LARGEST:
            raise ModelError(f"{response.url.host} replied with more than {LARGEST / 1e6:.0f} MB")
    return bytes(body)


class ReplicateModel(PaidModel):
    """Version of a model at replicate.com."""

    service = "replicate.com"

    def __init__(
        self,
        card: ModelCard,
        version: Version,
        service: ReplicateService,
        settings: ReplicateSettings,
    ) -> None:
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
        """Set the calls, unless the setting ``calls`` does."""
        self._calls = self._options.calls or calls

    def interrupt(self) -> None:
        """Stop waiting and cancel."""
        self._service.stop()

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Send one photograph after the other."""
        if len(photos) > self._calls:
            raise ModelError(
                problem=Text(
                    f"model '{self.card.name}': {len(photos)} photographs are paid "
                    f"calls, and {self._calls} agreed to: give ",
                    OptionName("set", "calls=N"),
                )
            )
        return [self._infer_one(photo) for photo in photos]

    def _infer_one(self, photo: Photo) -> Inference:
        if self._ended is not None:
            raise self._ended
        content, ask = encode_png(photo.pixels, photo.name), self._service.ask
        try:
            files = {"content": ("photograph.png", content, "image/png")}
            sent = ask("POST", "/v1/files", files=files)
            try:
                output = self._run_prediction(
                    _reply_part(_reply_part(sent, "urls", dict), "get", str)
                ).get("output")
                wanted = picture_urls(output, self._options.output)
                answers = [self._service.download(address) for address in wanted]
                return Inference(depth=grey_picture(answers, photo.shape))
            finally:
                # A failure to delete the photograph there must not lose the result.
                self._service.insist("DELETE", f"/v1/files/{_reply_id(sent)}")
        except FinalError as error:
            self._ended = error
            raise
        except ModelError as error:
            words = self._service.shown(error)
            raise ModelError(f"model '{self.card.name}': {words}") from None

    def _run_prediction(self, address: str) -> Mapping[str, Any]:
        service, end = self._service, time.monotonic() + self._options.timeout
        inputs = {**self._options.read_inputs(), self._options.image: address}
        body = {"version": self._version, "input": inputs}
        self._calls -= 1  # also where it is not known whether the call was accepted
        try:
            prediction = service.ask("POST", "/v1/predictions", json=body, costs=True)
        except RefusedError:
            self._calls += 1
            raise
        place, pause = f"/v1/predictions/{_reply_id(prediction)}", service.patience.poll / 8
        try:
            while (status := prediction.get("status")) in ("starting", "processing", "queued"):
                if time.monotonic() > end:
                    raise ModelError(
                        f"no result after {self._options.timeout} seconds: cancelled",
                        hint=Text("give ", OptionName("set", "timeout=SECONDS")),
                    )
                service.wait(pause)
                pause = min(2 * pause, service.patience.poll)
                prediction = service.ask("GET", place)
        except (ModelError, KeyboardInterrupt):
            service.insist("POST", f"{place}/cancel")
            raise
        if status != "succeeded":
            reason = service.shown(prediction.get("error") or "no reason given")
            raise ModelError(f"the prediction ended as '{status}': {reason}")
        return prediction


def load(card: ModelCard, options: LoadOptions, patience: Patience | None = None) -> ReplicateModel:
    """Load a model at replicate.com."""
    if (options.engine, options.precision, options.device) != (AUTO, "fp32", AUTO):
        raise OptionError(
            f"model '{card.name}' runs at replicate.com: no device, engine or precision to choose"
        )
    settings = read_settings(ReplicateSettings, options.settings, card.name)
    return ReplicateModel(card, parse_version(card.name), open_service(patience), settings)


def _version_id(service: ReplicateService, version: Version) -> str:
    place = f"/v1/models/{version.owner}/{version.name}"
    if version.id is not None:
        record = service.ask("GET", f"{place}/versions/{version.id}")
    else:
        record = _reply_part(service.ask("GET", place), "latest_version", dict)
    id = _reply_part(record, "id", str)
    if not is_version(id) or version.id not in (None, id):
        raise ModelError("replicate.com replied with an invalid version, or another one")
    return id


def _reply_part(answer: Mapping[str, Any], name: str, of: type) -> Any:
    value = answer.get(name)
    if not isinstance(value, of) or not value:
        raise ModelError(f"the reply of replicate.com lacks '{name}'")
    return value


def _reply_id(answer: Mapping[str, Any]) -> str:
    """Id of an object, as a plain word for a URL."""
    identifier = _reply_part(answer, "id", str)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", identifier):
        raise ModelError("replicate.com replied with an invalid id")
    return identifier


def picture_urls(output: Any, which: str | None) -> Sequence[str]:
    """URLs of the pictures in an output."""
    if not isinstance(output, dict):
        listed = output if isinstance(output, list) else [output]
        output = {str(index): address for index, address in enumerate(listed)}
    pictures = {
        name: address
        for name, address in output.items()
        if isinstance(address, str) and "://" in address[:8]
    }
    if not pictures or which not in (None, *pictures):
        names = ", ".join(pictures) or "no picture"
        raise ModelError(f"the result lacks the picture {which or 'of depth'}; it has {names}")
    return [*pictures.values()] if which is None else [pictures[which]]


def grey_picture(answers: Sequence[bytes], shape: tuple[int, int]) -> Field:
    """Decode the only grey picture, in [0, 1]."""
    pictures = [_grey_values(body) for body in answers]
    grey = [picture for picture in pictures if picture is not None]
    if len(grey) != 1:
        raise ModelError(
            problem=Text(
                f"{len(grey)} of {len(pictures)} pictures in the result are "
                "grey: choose the depth with ",
                OptionName("set", "output=..."),
                " (coloured pictures cannot be read)",
            )
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


def _grey_values(body: bytes) -> Field | None:
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


def encode_png(pixels: np.ndarray, name: str) -> bytes:
    """Encode a photograph as a PNG, without metadata."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    content = file.getvalue()
    if len(content) > LARGEST:
        raise InputError(
            (
                f"is {len(content) / 1e6:.0f} MB as it would be sent, above "
                f"the {LARGEST / 1e6:.0f} MB that replicate.com takes; make it "
                "smaller first"
            ),
            path=name,
        )
    return content

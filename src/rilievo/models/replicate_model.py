"""Models at replicate.com, which return depth as a grey picture.

The picture is stretched to its own range, so depth is affine, in steps of 1/255. A paid request is
never repeated if it may have been accepted.
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
from rilievo.models.replicate_cards import ReplicateSettings, Version, is_version_id, parse_version
from rilievo.records.sample import Photo
from rilievo.version import VERSION

if TYPE_CHECKING:
    import httpx

TOKEN, BASE = "REPLICATE_API_TOKEN", "REPLICATE_BASE_URL"
"""Environment variables with the user's token and the address of the service."""
MAX_BYTES = 100 * 10**6
"""Size of a photograph or result: the largest file that replicate.com takes."""
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_NOT_ACCEPTED = (429, 500, 502, 503)
"""Statuses by which the service states that it did not carry out a request.

504 is not among them: behind a gateway's time-out a prediction may be running, and be charged.
"""
_PROBLEMS_BY_STATUS = {
    401: f"{TOKEN} is not accepted: is it whole, and not revoked?",
    402: "the account has no credit left: see https://replicate.com/account/billing",
    403: "the account may not use this model",
    404: "there is no such model or version",
}

_MAX_ASPECT_ERROR = 0.03
"""Relative difference to the photograph's aspect ratio, since models round their sizes."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")


class FinalError(ModelError):
    """Error that the next photograph would meet as well."""


class RefusedError(ModelError):
    """Error of a request that the service did not accept, and does not charge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How often a request is repeated, and how long to wait.

    Attributes:
        attempts: Number of attempts for one request.
        first: Mean wait before the second attempt, which doubles for each further one [s].
        longest: Longest wait before an attempt [s].
        request: Time-out of one attempt [s].
        poll: Longest wait between two questions whether a prediction is ready [s].
    """

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0
    request: float = 60.0
    poll: float = 1.0


class ReplicateService:
    """Client of replicate.com's HTTP interface.

    Attributes:
        patience: How often it repeats requests, and how long it waits.
    """

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
        """End all waits with an error; called from another thread."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait for a number of seconds.

        Raises:
            FinalError: If ``stop`` is or was called.
        """
        if self._stopped.wait(seconds):
            raise FinalError("stopped while waiting for replicate.com")

    def ask(
        self, method: str, path: str, *, costs: bool = False, **content: Any
    ) -> Mapping[str, Any]:
        """Send a request, repeatedly if it fails, and return the JSON object of the reply.

        Args:
            method: HTTP method.
            path: Path of the address.
            costs: Whether the request is charged, so that it must not be sent again if it may have
                been accepted.
            content: Content of the request, as for ``httpx.Client.build_request``.

        Raises:
            RefusedError: If the service did not accept the request.
            ModelError: If it fails otherwise.
        """
        body = self._send_with_retries(self._build_request(method, path, **content), costs=costs)
        with suppress(NotThisRecord):
            reply = parse_json(body or b"{}")
            if isinstance(reply, dict):
                return reply
        raise ModelError(
            f"replicate.com answered {method} {path} with something else, expected JSON: is "
            "something between here and the service?"
        )

    def try_once(self, method: str, path: str) -> None:
        """Send a request once, even after ``stop``, and ignore errors."""
        import httpx

        with suppress(httpx.HTTPError):
            self._http.send(self._build_request(method, path), stream=True).close()

    def download(self, address: str) -> bytes:
        """Download a result from an https:// address, which does not get the token."""
        import httpx

        with suppress(httpx.InvalidURL, ValueError):
            request = self._http.build_request("GET", address)
            if self._is_https_or_local(request.url):
                return self._send_with_retries(request, costs=False)
        raise ModelError("the result is not at an https:// address")

    def printable(self, text: object) -> str:
        """First line of a text, without the token."""
        without_token = re.sub(re.escape(self._token), "***", str(text), flags=re.IGNORECASE)
        lines = without_token.strip().splitlines()
        return lines[0][:300] if lines else "nothing"

    def _is_https_or_local(self, url: "httpx.URL") -> bool:
        is_local = self._base.host in _LOCAL_HOSTS and url.host in _LOCAL_HOSTS
        return url.scheme == "https" or (is_local and url.scheme == "http")

    def _build_request(self, method: str, path: str, **content: Any) -> "httpx.Request":
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        return self._http.build_request(method, f"{self._base}{path}", headers=headers, **content)

    def _send_with_retries(self, request: "httpx.Request", *, costs: bool) -> bytes:
        """Send a request, perhaps repeatedly; return the body of the reply."""
        import httpx

        for attempt in range(1, self.patience.attempts + 1):
            self.wait(0)
            is_last = attempt == self.patience.attempts
            retry_after = ""
            try:
                with closing(self._http.send(request, stream=True)) as response:
                    body = _read_body(response)
            except httpx.HTTPError as error:
                may_be_charged = costs and not isinstance(error, httpx.ConnectError)
                if may_be_charged or is_last:
                    raise _connection_error(request, error, may_be_charged) from None
            else:
                if response.is_success:
                    return body
                status = response.status_code
                may_succeed_later = status in _NOT_ACCEPTED or (status >= 500 and not costs)
                if is_last or not may_succeed_later:
                    raise self._status_error(response, body)
                retry_after = response.headers.get("Retry-After", "")
            self.wait(self._seconds_before_retry(attempt, retry_after))
        raise AssertionError("the last attempt returns or raises")

    def _seconds_before_retry(self, attempt: int, retry_after: str) -> float:
        """How long to wait after the failed ``attempt``, as the service asks or at random."""
        if not is_whole(retry_after):
            pause = self.patience.first * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            return min(self.patience.longest, pause)
        if int(retry_after) > self.patience.longest:
            raise RefusedError(
                f"replicate.com is busy and asks to wait {retry_after} seconds: come again"
            )
        return int(retry_after)

    def _status_error(self, response: "httpx.Response", body: bytes) -> ModelError:
        """Error for a reply whose status is not success."""
        status, host = response.status_code, response.request.url.host
        if 300 <= status < 400:
            return ModelError(f"{host} redirects elsewhere (HTTP {status}): refused")
        if status in _PROBLEMS_BY_STATUS and "Authorization" in response.request.headers:
            return FinalError(f"replicate.com: {_PROBLEMS_BY_STATUS[status]} (HTTP {status})")
        detail = ""
        with suppress(ValueError, KeyError, TypeError):  # an HTML error page
            detail = f": {self.printable(parse_json(body)['detail'])}"
        is_refused = status < 500 or status in _NOT_ACCEPTED
        error_type = RefusedError if is_refused else ModelError
        return error_type(f"{host} answered with HTTP {status}{detail}")


def _connection_error(
    request: "httpx.Request", error: Exception, may_be_charged: bool
) -> ModelError:
    """Error for a request without a reply."""
    # Only the host is shown, because addresses of results are secret.
    problem = f"{request.url.host} cannot be reached ({type(error).__name__})"
    if may_be_charged:
        return ModelError(f"{problem}; the call may have been accepted and charged")
    return RefusedError(problem)


def open_service(patience: Patience | None = None) -> ReplicateService:
    """Make a client with the token and address in the user's environment."""
    base = os.environ.get(BASE) or "https://api.replicate.com"
    return ReplicateService(os.environ.get(TOKEN, "").strip(), base, patience or Patience())


def _read_body(response: "httpx.Response") -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_BYTES:
            raise ModelError(f"{response.url.host} replied with more than {MAX_BYTES / 1e6:.0f} MB")
    return bytes(body)


class ReplicateModel(PaidModel):
    """Model at replicate.com, in one version."""

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
        self._final_error: FinalError | None = None
        self.settings = {
            "service": self.service,
            "version": self._version,
            "inputs": json.dumps(dict(settings.read_inputs()), sort_keys=True),
            "output": settings.output,
        }

    def allow(self, calls: int) -> None:
        """Set how many paid calls may follow; the setting ``calls`` takes precedence."""
        self._calls = self._options.calls or calls

    def interrupt(self) -> None:
        """Stop waiting for a prediction, which is then cancelled."""
        self._service.stop()

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Send photographs one after the other.

        Raises:
            ModelError: If they are more than the user agreed to pay for, or one fails.
        """
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
        """Upload a photograph, run the model on it, download the result, and delete the upload."""
        if self._final_error is not None:
            raise self._final_error
        content = encode_png(photo.pixels, photo.name)
        try:
            files = {"content": ("photograph.png", content, "image/png")}
            uploaded = self._service.ask("POST", "/v1/files", files=files)
            try:
                address = _reply_part(_reply_part(uploaded, "urls", dict), "get", str)
                prediction = self._run_prediction(address)
                urls = picture_urls(prediction.get("output"), self._options.output)
                pictures = [self._service.download(url) for url in urls]
                return Inference(depth=grey_picture(pictures, photo.shape))
            finally:
                # A failure to delete the photograph there must not lose the result.
                self._service.try_once("DELETE", f"/v1/files/{_reply_id(uploaded)}")
        except FinalError as error:
            self._final_error = error
            raise
        except ModelError as error:
            problem = self._service.printable(error)
            raise ModelError(f"model '{self.card.name}': {problem}") from None

    def _run_prediction(self, address: str) -> Mapping[str, Any]:
        """Run the model on the photograph at an address, and return the finished prediction."""
        service, deadline = self._service, time.monotonic() + self._options.timeout
        inputs = {**self._options.read_inputs(), self._options.image: address}
        body = {"version": self._version, "input": inputs}
        self._calls -= 1  # also where it is not known whether the call was accepted
        try:
            prediction = service.ask("POST", "/v1/predictions", json=body, costs=True)
        except RefusedError:
            self._calls += 1
            raise
        path, pause = f"/v1/predictions/{_reply_id(prediction)}", service.patience.poll / 8
        try:
            while prediction.get("status") in ("starting", "processing", "queued"):
                if time.monotonic() > deadline:
                    raise ModelError(
                        f"no result after {self._options.timeout} seconds: cancelled",
                        hint=Text("give ", OptionName("set", "timeout=SECONDS")),
                    )
                service.wait(pause)
                pause = min(2 * pause, service.patience.poll)
                prediction = service.ask("GET", path)
        except (ModelError, KeyboardInterrupt):
            service.try_once("POST", f"{path}/cancel")
            raise
        status = prediction.get("status")
        if status != "succeeded":
            reason = service.printable(prediction.get("error") or "no reason given")
            raise ModelError(f"the prediction ended as '{status}': {reason}")
        return prediction


def load(card: ModelCard, options: LoadOptions, patience: Patience | None = None) -> ReplicateModel:
    """Load a model at replicate.com, in the version of its name or the latest one.

    Raises:
        ModelError: If there is no such version, or the token is not accepted.
        OptionError: If a device, engine or precision was chosen.
    """
    if (options.engine, options.precision, options.device) != (AUTO, "fp32", AUTO):
        raise OptionError(
            f"model '{card.name}' runs at replicate.com: no device, engine or precision to choose"
        )
    settings = read_settings(ReplicateSettings, options.settings, card.name)
    return ReplicateModel(card, parse_version(card.name), open_service(patience), settings)


def _version_id(service: ReplicateService, version: Version) -> str:
    """Ask for the id of a version, and check that the service knows it."""
    path = f"/v1/models/{version.owner}/{version.name}"
    if version.id is not None:
        reply = service.ask("GET", f"{path}/versions/{version.id}")
    else:
        reply = _reply_part(service.ask("GET", path), "latest_version", dict)
    version_id = _reply_part(reply, "id", str)
    if not is_version_id(version_id) or version.id not in (None, version_id):
        raise ModelError("replicate.com replied with an invalid version, or another one")
    return version_id


def _reply_part(reply: Mapping[str, Any], name: str, expected_type: type) -> Any:
    value = reply.get(name)
    if not isinstance(value, expected_type) or not value:
        raise ModelError(f"the reply of replicate.com lacks '{name}'")
    return value


def _reply_id(reply: Mapping[str, Any]) -> str:
    """Id of an object, checked to be safe in an address."""
    identifier = _reply_part(reply, "id", str)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", identifier):
        raise ModelError("replicate.com replied with an invalid id")
    return identifier


def picture_urls(output: Any, name: str | None) -> Sequence[str]:
    """Addresses of the pictures in the output of a prediction.

    Args:
        output: An address, a list of them, or addresses by name.
        name: Name of the wanted picture, or its index in a list; None for all pictures.

    Raises:
        ModelError: If there is no such picture.
    """
    if not isinstance(output, dict):
        values = output if isinstance(output, list) else [output]
        output = {str(index): value for index, value in enumerate(values)}
    urls = {
        key: value for key, value in output.items() if isinstance(value, str) and "://" in value[:8]
    }
    if not urls or name not in (None, *urls):
        names = ", ".join(urls) or "no picture"
        raise ModelError(f"the result lacks the picture {name or 'of depth'}; it has {names}")
    return list(urls.values()) if name is None else [urls[name]]


def grey_picture(files: Sequence[bytes], shape: tuple[int, int]) -> Field:
    """Decode the only grey picture among files; its values are 0 to 1.

    Args:
        files: Contents of picture files.
        shape: Height and width of the photograph, whose aspect ratio the picture must have.

    Raises:
        ModelError: If a file is no picture, or not exactly one is grey.
    """
    pictures = [_grey_values(content) for content in files]
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
    max_error = _MAX_ASPECT_ERROR + 1 / min(height, width)
    error = abs(math.log(height / width) - math.log(shape[0] / shape[1]))
    if error > max_error:
        raise ModelError(
            f"the result is {width} x {height} pixels, another shape than the photograph's "
            f"{shape[1]} x {shape[0]}"
        )
    return grey[0]


def _grey_values(content: bytes) -> Field | None:
    """Values of a grey picture, 0 to 1; None for a coloured one."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
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
    """Encode a photograph as a PNG without metadata.

    Raises:
        InputError: If it is larger than replicate.com takes.
    """
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    content = file.getvalue()
    if len(content) > MAX_BYTES:
        raise InputError(
            f"is {len(content) / 1e6:.0f} MB as it would be sent, above the "
            f"{MAX_BYTES / 1e6:.0f} MB that replicate.com takes; make it smaller first",
            path=name,
        )
    return content

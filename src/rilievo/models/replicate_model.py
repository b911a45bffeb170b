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
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.io.files.archives import PILLOW_ERRORS
from rilievo.io.files.limits import MAX_PIXELS, is_whole
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.models.base import Inference, PaidModel
from rilievo.models.card import ModelCard
from rilievo.models.load_options import AUTO, LoadOptions, read_settings
from rilievo.models.replicate_cards import ReplicateSettings, Version, is_version_id, parse_version
from rilievo.records.sample import Photo
from rilievo.version import VERSION

if TYPE_CHECKING:
    import httpx

TOKEN_VARIABLE = "REPLICATE_API_TOKEN"
"""Environment variable with the user's token."""
BASE_URL_VARIABLE = "REPLICATE_BASE_URL"
"""Environment variable with the address of the service."""
MAX_BYTES = 100 * 10**6
"""Size of a photograph or result: the largest file that replicate.com takes."""
_LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")
_NOT_ACCEPTED_STATUSES = (429, 500, 502, 503)
"""Statuses by which the service states that it did not carry out a request.

504 is not among them: behind a gateway's time-out a prediction may be running, and be charged.
"""
_PROBLEMS_BY_STATUS = {
    401: f"{TOKEN_VARIABLE} is not accepted: check that it is complete and has not been revoked",
    402: "the account has no credit left: see https://replicate.com/account/billing",
    403: "the account may not use this model",
    404: "there is no such model or version",
}

_MAX_ASPECT_ERROR = 0.03
"""Relative difference to the photograph's aspect ratio, since models round their sizes."""
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")


class FinalError(ModelError):
    """Error that the next photograph would meet as well."""


class NotAcceptedError(ModelError):
    """Error of a request that the service did not accept, and does not charge."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _SendOutcome:
    """What came of sending a request once.

    Attributes:
        body: Body of the reply, if the request succeeded.
        error: Why it failed; None if it succeeded.
        may_be_retried: Whether a failed request may be sent again.
        retry_after: Content of the header Retry-After; empty if the service sent none.
    """

    body: bytes = b""
    error: ModelError | None = None
    may_be_retried: bool = False
    retry_after: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How often a request is repeated, and how long to wait in between.

    Attributes:
        first_wait: Mean wait before the second attempt; it doubles before each further one [s].
        max_wait: Longest wait before an attempt [s].
        max_poll_interval: Longest wait between two polls of a running prediction [s].
    """

    attempts: int = 6
    first_wait: float = 0.5
    max_wait: float = 60.0
    request_timeout: float = 60.0
    max_poll_interval: float = 1.0


class ReplicateService:
    """Client of replicate.com's HTTP interface."""

    def __init__(self, token: str, base_url: str, retry_policy: RetryPolicy) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingPackageError("a model at replicate.com", "httpx") from error
        if not re.fullmatch(r"[\x21-\x7e]+", token):  # printable ASCII without spaces
            raise ModelError(
                f"{TOKEN_VARIABLE} is empty, or has spaces or other characters that no "
                f"token has: set {TOKEN_VARIABLE} to your token from "
                "https://replicate.com/account/api-tokens"
            )
        self._base_url = httpx.URL(base_url.rstrip("/"))
        if not self._is_https_or_local(self._base_url):
            raise ModelError(f"{BASE_URL_VARIABLE} must be an address that begins with https://")
        self._token = token
        self.retry_policy = retry_policy
        self._stopped = threading.Event()
        self._http = httpx.Client(
            headers={"User-Agent": f"rilievo/{VERSION}"},
            timeout=retry_policy.request_timeout,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def stop(self) -> None:
        """End all waits with an error; called from another thread."""
        self._stopped.set()

    def wait(self, seconds: float) -> None:
        """Wait for a number of seconds; ``FinalError`` if ``stop`` is or was called."""
        if self._stopped.wait(seconds):
            raise FinalError("stopped while waiting for replicate.com")

    def request_json(
        self, method: str, path: str, *, is_charged: bool = False, **content: Any
    ) -> Mapping[str, Any]:
        """Send a request, repeatedly if it fails, and return the JSON object of the reply.

        Args:
            method: HTTP method.
            path: Path of the address.
            is_charged: Whether the request is charged. Then it is not sent again if the service may
                have accepted it.
            content: Content of the request, as for ``httpx.Client.build_request``.

        Raises:
            NotAcceptedError: If the service did not accept the request.
            ModelError: If it fails otherwise.
        """
        body = self._send_with_retries(
            self._build_request(method, path, **content), is_charged=is_charged
        )
        with suppress(InvalidRecordError):
            reply = parse_json(body or b"{}")
            if isinstance(reply, dict):
                return reply
        raise ModelError(
            f"replicate.com did not answer {method} {path} with JSON: check whether there "
            "is a proxy between this machine and the service"
        )

    def try_once(self, method: str, path: str) -> None:
        """Send a request once, even after ``stop``, and ignore errors; used to clean up."""
        import httpx

        with suppress(httpx.HTTPError):
            self._http.send(self._build_request(method, path), stream=True).close()

    def download(self, address: str) -> bytes:
        """Download a result from an https:// address, which does not get the token."""
        import httpx

        with suppress(httpx.InvalidURL, ValueError):
            request = self._http.build_request("GET", address)
            if self._is_https_or_local(request.url):
                return self._send_with_retries(request, is_charged=False)
        raise ModelError(
            "the result is not at an https:// address, so rilievo does not download it"
        )

    def printable(self, text: object) -> str:
        """First line of a text, without the token."""
        without_token = re.sub(re.escape(self._token), "***", str(text), flags=re.IGNORECASE)
        lines = without_token.strip().splitlines()
        return lines[0][:300] if lines else "nothing"

    def _is_https_or_local(self, url: "httpx.URL") -> bool:
        # A local service may use http, as in tests. A public one must not refer to local addresses.
        is_local = self._base_url.host in _LOCAL_HOSTS and url.host in _LOCAL_HOSTS
        return url.scheme == "https" or (is_local and url.scheme == "http")

    def _build_request(self, method: str, path: str, **content: Any) -> "httpx.Request":
        headers = {"Authorization": f"Bearer {self._token}", "Accept": "application/json"}
        url = f"{self._base_url}{path}"
        return self._http.build_request(method, url, headers=headers, **content)

    def _send_with_retries(self, request: "httpx.Request", *, is_charged: bool) -> bytes:
        """Send a request until it succeeds, within the retry policy; return the reply's body.

        A charged request (``is_charged``) is only sent again if the service certainly did not
        accept it.

        Raises:
            NotAcceptedError: If the service did not accept the request.
            ModelError: If it fails otherwise.
        """
        for attempt in range(1, self.retry_policy.attempts + 1):
            self._raise_if_stopped()
            outcome = self._send_once(request, is_charged=is_charged)
            if outcome.error is None:
                return outcome.body
            is_last_attempt = attempt == self.retry_policy.attempts
            if is_last_attempt or not outcome.may_be_retried:
                raise outcome.error
            self.wait(self._seconds_before_retry(attempt, outcome.retry_after))
        raise AssertionError("the last attempt returns or raises")

    def _raise_if_stopped(self) -> None:
        """Raise ``FinalError`` if ``stop`` was called."""
        self.wait(0)

    def _send_once(self, request: "httpx.Request", *, is_charged: bool) -> _SendOutcome:
        """Send a request, and say whether it succeeded or may be sent again."""
        import httpx

        try:
            with closing(self._http.send(request, stream=True)) as response:
                body = _read_body(response)
        except httpx.HTTPError as error:
            # Without a connection, the service has not even received the request.
            may_be_charged = is_charged and not isinstance(error, httpx.ConnectError)
            return _SendOutcome(
                error=_connection_error(request, error, may_be_charged),
                may_be_retried=not may_be_charged,
            )
        if response.is_success:
            return _SendOutcome(body=body)
        return _SendOutcome(
            error=self._status_error(response, body),
            may_be_retried=_may_succeed_later(response.status_code, is_charged),
            retry_after=response.headers.get("Retry-After", ""),
        )

    def _seconds_before_retry(self, attempt: int, retry_after: str) -> float:
        """How long to wait after the failed ``attempt``.

        The header Retry-After decides if the service sent it. Otherwise it is exponential back-off
        with jitter.
        """
        if not is_whole(retry_after):
            wait = self.retry_policy.first_wait * 2 ** (attempt - 1) * random.uniform(0.5, 1.5)
            return min(self.retry_policy.max_wait, wait)
        if int(retry_after) > self.retry_policy.max_wait:
            raise NotAcceptedError(
                f"replicate.com is busy and asks to wait {retry_after} seconds: try again later"
            )
        return int(retry_after)

    def _status_error(self, response: "httpx.Response", body: bytes) -> ModelError:
        """Error for a reply whose status is not success."""
        status = response.status_code
        host = response.request.url.host
        if 300 <= status < 400:
            return ModelError(
                f"{host} redirects to another address (HTTP {status}), which rilievo refuses"
            )
        # Downloads of results go to other hosts, without the token.
        is_api_request = "Authorization" in response.request.headers
        if status in _PROBLEMS_BY_STATUS and is_api_request:
            return FinalError(f"replicate.com: {_PROBLEMS_BY_STATUS[status]} (HTTP {status})")
        detail = ""
        with suppress(ValueError, KeyError, TypeError):  # an HTML error page
            detail = f": {self.printable(parse_json(body)['detail'])}"
        is_not_accepted = status < 500 or status in _NOT_ACCEPTED_STATUSES
        error_type = NotAcceptedError if is_not_accepted else ModelError
        return error_type(f"{host} answered with HTTP {status}{detail}")


def _may_succeed_later(status: int, is_charged: bool) -> bool:
    """Whether a failed request may be sent again, without the risk of paying twice."""
    return status in _NOT_ACCEPTED_STATUSES or (status >= 500 and not is_charged)


def _connection_error(
    request: "httpx.Request", error: Exception, may_be_charged: bool
) -> ModelError:
    """Error for a request that got no reply."""
    # Only the host is shown, because anyone who has the address of a result can download it.
    problem = f"{request.url.host} cannot be reached ({type(error).__name__})"
    if may_be_charged:
        return ModelError(f"{problem}; the call may have been accepted and charged")
    return NotAcceptedError(problem)


def open_service(retry_policy: RetryPolicy | None = None) -> ReplicateService:
    """Make a client with the token and address in the user's environment."""
    base_url = os.environ.get(BASE_URL_VARIABLE) or "https://api.replicate.com"
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    return ReplicateService(token, base_url, retry_policy or RetryPolicy())


def _read_body(response: "httpx.Response") -> bytes:
    body = bytearray()
    for part in response.iter_bytes():
        body += part
        if len(body) > MAX_BYTES:
            raise ModelError(
                f"{response.url.host} replied with more than {MAX_BYTES / 1e6:.0f} MB, the most "
                "that rilievo accepts"
            )
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
        self.card = card
        self.weights_sha256 = "unknown"
        self._service = service
        self._replicate_settings = settings
        self._version_id = _request_version_id(service, version)
        self._calls_left = settings.calls or 1
        self._final_error: FinalError | None = None
        self.settings = {
            "service": self.service,
            "version": self._version_id,
            "inputs": json.dumps(dict(settings.parse_inputs()), sort_keys=True),
            "output": settings.output,
        }

    def allow(self, calls: int) -> None:
        """Set how many paid calls may follow; the setting ``calls`` takes precedence."""
        self._calls_left = self._replicate_settings.calls or calls

    def interrupt(self) -> None:
        """Stop waiting for a prediction, which is then cancelled."""
        self._service.stop()

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Send photographs one after the other.

        Raises:
            ModelError: If the user agreed to fewer calls, or a call fails.
        """
        if len(photos) > self._calls_left:
            raise self._too_many_calls_error(len(photos))
        return [self._infer_one(photo) for photo in photos]

    def _too_many_calls_error(self, call_count: int) -> ModelError:
        """Error for more calls than are left of those that the user agreed to."""
        left = f"only {self._calls_left}" if self._calls_left else "none"
        are = "are" if self._calls_left > 1 else "is"
        return ModelError(
            problem=Text(
                f"model '{self.card.name}' would make {count_text(call_count, 'paid call')}, but "
                f"{left} of the calls that you agreed to {are} left; to agree to more, give ",
                OptionName("set", "calls=N"),
            )
        )

    def _infer_one(self, photo: Photo) -> Inference:
        """Upload a photograph, run the model on it, download the result, and delete the upload."""
        if self._final_error is not None:
            raise self._final_error
        content = encode_png(photo.pixels, photo.name)
        try:
            files = {"content": ("photograph.png", content, "image/png")}
            uploaded = self._service.request_json("POST", "/v1/files", files=files)
            try:
                photo_url = _reply_part(_reply_part(uploaded, "urls", dict), "get", str)
                prediction = self._run_prediction(photo_url)
                urls = picture_urls(prediction.get("output"), self._replicate_settings.output)
                pictures = [self._service.download(url) for url in urls]
                return Inference(depth=grey_picture(pictures, photo.shape))
            finally:
                # The result must not be lost if the upload cannot be deleted.
                self._service.try_once("DELETE", f"/v1/files/{_reply_id(uploaded)}")
        except FinalError as error:
            self._final_error = error
            raise
        except ModelError as error:
            problem = self._service.printable(error)
            raise ModelError(f"model '{self.card.name}': {problem}") from None

    def _run_prediction(self, photo_url: str) -> Mapping[str, Any]:
        """Run the model on an uploaded photograph, and return the finished prediction."""
        deadline = time.monotonic() + self._replicate_settings.timeout
        prediction = self._start_prediction(photo_url)
        path = f"/v1/predictions/{_reply_id(prediction)}"
        try:
            prediction = self._poll_until_finished(prediction, path, deadline)
        except (ModelError, KeyboardInterrupt):
            self._service.try_once("POST", f"{path}/cancel")
            raise
        status = prediction.get("status")
        if status != "succeeded":
            reason = self._service.printable(prediction.get("error") or "no reason given")
            raise ModelError(f"the prediction ended as '{status}': {reason}")
        return prediction

    def _start_prediction(self, photo_url: str) -> Mapping[str, Any]:
        """Make the paid call that starts a prediction."""
        settings = self._replicate_settings
        inputs = {**settings.parse_inputs(), settings.image: photo_url}
        body = {"version": self._version_id, "input": inputs}
        # A call counts as made unless the service certainly did not accept it.
        self._calls_left -= 1
        try:
            return self._service.request_json("POST", "/v1/predictions", json=body, is_charged=True)
        except NotAcceptedError:
            self._calls_left += 1
            raise

    def _poll_until_finished(
        self, prediction: Mapping[str, Any], path: str, deadline: float
    ) -> Mapping[str, Any]:
        """Ask for the prediction at ``path``, ever more rarely, until it has ended."""
        service = self._service
        max_interval = service.retry_policy.max_poll_interval
        interval = max_interval / 8
        while prediction.get("status") in ("starting", "processing", "queued"):
            if time.monotonic() > deadline:
                raise ModelError(
                    "cancelled, because there was no result after "
                    f"{count_text(self._replicate_settings.timeout, 'second')}",
                    hint=Text("to wait longer, give ", OptionName("set", "timeout=SECONDS")),
                )
            service.wait(interval)
            interval = min(2 * interval, max_interval)
            prediction = service.request_json("GET", path)
        return prediction


def load(
    card: ModelCard, options: LoadOptions, retry_policy: RetryPolicy | None = None
) -> ReplicateModel:
    """Load a model at replicate.com, in the version of its name or the latest one.

    Raises:
        ModelError: If there is no such version, or the token is not accepted.
        OptionError: If a device, engine or precision was chosen.
    """
    if (options.engine, options.precision, options.device) != (AUTO, "fp32", AUTO):
        raise OptionError(
            f"model '{card.name}' runs at replicate.com, so you cannot choose a device, "
            "engine or precision"
        )
    settings = read_settings(ReplicateSettings, options.settings, card.name)
    return ReplicateModel(card, parse_version(card.name), open_service(retry_policy), settings)


def _request_version_id(service: ReplicateService, version: Version) -> str:
    """Ask the service for the id of a version, or of the latest version."""
    path = f"/v1/models/{version.owner}/{version.name}"
    if version.id is not None:
        reply = service.request_json("GET", f"{path}/versions/{version.id}")
    else:
        reply = _reply_part(service.request_json("GET", path), "latest_version", dict)
    version_id = _reply_part(reply, "id", str)
    if not is_version_id(version_id) or version.id not in (None, version_id):
        raise ModelError(
            "replicate.com replied with an invalid version, or not with the requested one"
        )
    return version_id


def _reply_part(reply: Mapping[str, Any], name: str, expected_type: type) -> Any:
    value = reply.get(name)
    if not isinstance(value, expected_type) or not value:
        raise ModelError(f"the reply from replicate.com does not contain '{name}'")
    return value


def _reply_id(reply: Mapping[str, Any]) -> str:
    """Id of an object, checked to be safe as part of an address."""
    object_id = _reply_part(reply, "id", str)
    if not re.fullmatch(r"[A-Za-z0-9_-]+", object_id):
        raise ModelError("replicate.com replied with an invalid id")
    return object_id


def picture_urls(output: Any, name: str | None) -> Sequence[str]:
    """Addresses of the pictures in the output of a prediction.

    Args:
        output: An address, a list of them, or addresses by name.
        name: Name of the wanted picture, or its index in a list; None for all pictures.
    """
    url_by_name = {
        output_name: value
        for output_name, value in _outputs_by_name(output).items()
        if isinstance(value, str) and "://" in value[:8]
    }
    if not url_by_name:
        raise ModelError("the result contains no picture")
    if name is None:
        return list(url_by_name.values())
    if name not in url_by_name:
        raise ModelError(
            f"the result contains no picture '{name}'; its pictures are: {', '.join(url_by_name)}"
        )
    return [url_by_name[name]]


def _outputs_by_name(output: Any) -> Mapping[str, Any]:
    """Outputs of a prediction by name; those in a list by their index, and a single one by "0"."""
    if isinstance(output, dict):
        return output
    values = output if isinstance(output, list) else [output]
    return {str(index): value for index, value in enumerate(values)}


def grey_picture(files: Sequence[bytes], shape: tuple[int, int]) -> Field:
    """Decode the only grey picture among files; its values are 0 to 1.

    Its aspect ratio must be that of the photograph of ``shape``.
    """
    pictures = [_decode_grey(content) for content in files]
    grey_pictures = [picture for picture in pictures if picture is not None]
    if len(grey_pictures) != 1:
        raise _grey_count_error(len(grey_pictures), len(pictures))
    [depth] = grey_pictures
    height, width = depth.shape
    # Models round the sides to whole pixels, which matters more in a small picture.
    max_error = _MAX_ASPECT_ERROR + 1 / min(height, width)
    aspect_error = abs(math.log(height / width) - math.log(shape[0] / shape[1]))
    if aspect_error > max_error:
        raise ModelError(
            f"the result has {width} x {height} pixels, but the photograph has another aspect "
            f"ratio ({shape[1]} x {shape[0]})"
        )
    return depth


def _grey_count_error(grey_count: int, count: int) -> ModelError:
    """Error for a result with no grey picture, or with several, of which one must be chosen."""
    option = OptionName("set", "output=...")
    if grey_count:
        return ModelError(
            problem=Text(
                f"{grey_count} of {count} pictures in the result are grey, so it is unknown which "
                "one is the depth; choose it with ",
                option,
            )
        )
    noun = "the picture in the result is" if count == 1 else "all pictures in the result are"
    return ModelError(
        problem=Text(
            f"{noun} coloured, and rilievo cannot read depth from colours; if the model has "
            "another output with the depth in grey, choose it with ",
            option,
        )
    )


def _decode_grey(content: bytes) -> Field | None:
    """Values of a grey picture from 0 to 1; None for a coloured picture."""
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"it has more than {MAX_PIXELS:,} pixels")
            if picture.mode.startswith("I"):
                return np.asarray(picture, np.float32) / np.float32(65535)
            colours = np.asarray(picture.convert("RGB"))
    except (*PILLOW_ERRORS, Image.DecompressionBombError) as error:
        raise ModelError(f"the result cannot be read as a picture ({error})") from error
    is_coloured = (np.ptp(colours, axis=-1) > 0).any()
    if is_coloured:
        return None
    return colours[..., 0].astype(np.float32) / np.float32(255)


def encode_png(pixels: np.ndarray, name: str) -> bytes:
    """Encode a photograph as a PNG without metadata."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    content = file.getvalue()
    if len(content) > MAX_BYTES:
        raise InputError(
            f"would be sent as a PNG of {len(content) / 1e6:.0f} MB, more than the "
            f"{MAX_BYTES / 1e6:.0f} MB that replicate.com accepts; make the photograph smaller",
            path=name,
        )
    return content

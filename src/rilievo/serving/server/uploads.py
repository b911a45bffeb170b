"""Read the bodies of requests, within limits of size, time and number."""

import asyncio
import binascii
import json
import os
import re
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path, PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import IO, Any, NoReturn

from starlette.datastructures import FormData, Headers, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from rilievo.errors import OptionError
from rilievo.serving.listener.request_refusals import GivenUp, Refusal, busy_refusal
from rilievo.serving.server.decoding.messages import nameless_file
from rilievo.serving.server.local_options import ELSEWHERE, depth_option_names
from rilievo.serving.server.request_files import Disk

_IMAGE = "image"
"""Field of a form or a JSON with the photograph."""
_MAX_FORM_FILES = 8
"""Files of a form that are read; more than one are refused, by their names."""
_MAX_VALUES = 1000
_MAX_VALUE_LENGTH = 2000
_MAX_COMMAS = 20_000
"""Commas of a JSON. Small numbers take many times their bytes in memory."""
_MAX_NON_ASCII_BYTES = 2**20
"""Size of a JSON that is not ASCII. One wide character makes a text four times as large."""


def read_json_body(body: IO[bytes]) -> tuple[bytes, dict[str, list[str]]]:
    """Read image and parameters from a JSON body. Parameters are texts, also where it has numbers.

    Raises:
        Refusal: If it is no such JSON, or has too many values.
        OptionError: If the image is no base64.
    """
    body.seek(0)
    text = body.read()
    if text.count(b",") > _MAX_COMMAS:
        raise Refusal(400, f"the JSON has more than {_MAX_VALUES} values")
    if len(text) > _MAX_NON_ASCII_BYTES and not (text.isascii() and b"\\u" not in text):
        raise Refusal(400, "a large body of JSON has base64 alone beside short ASCII values")
    try:
        values = json.loads(
            text.decode(),
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_constant,
            object_pairs_hook=_dict_refusing_duplicates,
        )
    except (ValueError, RecursionError):
        raise Refusal(400, "the body cannot be read as JSON in UTF-8") from None
    if not isinstance(values, dict):
        raise Refusal(400, 'the JSON is no object: send {"image": "BASE64", ...}')
    image = values.pop("image", "")
    if not isinstance(image, str):
        raise Refusal(400, "image: text is expected, base64 or a data URL")
    fields = {
        _text_from_json("a name", name): _texts_from_json(name, value)
        for name, value in values.items()
        if value is not None
    }
    if sum(map(len, fields.values())) > _MAX_VALUES:
        raise Refusal(400, f"the JSON has more than {_MAX_VALUES} values")
    return decode_base64_image(image, "image"), fields


def refuse_undeclared_json(body: IO[bytes]) -> None:
    """Refuse a body that looks like JSON, but has another content type."""
    body.seek(0)
    if body.read(64).lstrip().startswith(b"{"):
        raise Refusal(400, "the body looks like JSON: send it as Content-Type: application/json")


def decode_base64_image(image: str, option: str) -> bytes:
    """Decode an image in base64 or a data URL.

    Raises:
        OptionError: If it is neither.
    """
    if image[:5].lower() == "data:":
        head, _, image = image.partition(",")
        if not head.lower().endswith(";base64"):
            line = ": a data URL needs base64: data:image/jpeg;base64,..."
            raise OptionError(option=option, problem=line)
    try:
        # Lines are joined at once: a list of them takes many times their bytes.
        content = image.encode("ascii").translate(None, b" \t\r\n")
        return binascii.a2b_base64(content, strict_mode=True)
    except ValueError:
        line = ": no standard base64 with padding"
        hint = "send the file's bytes so, or a data URL"
        raise OptionError(option=option, problem=line, hint=hint) from None


def _texts_from_json(name: str, value: object) -> list[str]:
    """Texts of a parameter, which is one value or a list."""
    texts = value if isinstance(value, list) else [value]
    return [_text_from_json(name, text) for text in texts]


def _text_from_json(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise Refusal(
            400, f"{_short_ascii_name(name)}: text, a number or a list of these is expected"
        )
    if len(value) > _MAX_VALUE_LENGTH:
        raise Refusal(400, f"{_short_ascii_name(name)}: longer than {_MAX_VALUE_LENGTH} characters")
    if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
        raise Refusal(400, "the JSON has half a surrogate pair, which is no text")
    return value


def _short_ascii_name(name: str) -> str:
    return name[:60].encode("ascii", "replace").decode()


def _dict_refusing_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise Refusal(400, f"{_short_ascii_name(name)} is given twice in JSON: give it once")
        values[name] = value
    return values


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


Fields = Mapping[str, list[str]]

_MAX_BYTES_IN_MEMORY = 2**20
"""Size from which a body is on the disk."""
_CHUNK_BYTES = 2**18
_CREDIT_BYTES = 4_000
"""Bytes that every body gets in addition, because its rate says little at first."""
_MIN_AGE = 1e-6  # [s], so that nothing is divided by 0
_PARALLEL_JSON_BODIES = 2
"""Bodies of JSON that are in memory at a time. Each takes four times its size."""
_MAX_FIELDS = 1000
_MAX_FIELD_LENGTH = 2000
_MAX_STEM_LENGTH = 60


class Upload:
    """Image file and parameters of a request.

    Attributes:
        name: Name of the image file, without suffix.
        fields: Parameters in the body.
        received_at: Time of ``time.monotonic`` at which the request began to arrive.
        size: Size of the image file [bytes].
    """

    def __init__(
        self,
        file: IO[bytes] | BytesIO,
        *,
        name: str = "image",
        fields: Fields | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.fields = name, dict(fields or {})
        self.received_at = time.monotonic()
        self._file, self._on_close = file, on_close
        file.seek(0, os.SEEK_END)
        self.size = file.tell()

    def read(self) -> bytes:
        """Content of the image file."""
        self._file.seek(0)
        return self._file.read()

    def open_descriptor(self) -> int:
        """File descriptor of the content, which the caller closes."""
        if self.size > _MAX_BYTES_IN_MEMORY and not isinstance(self._file, BytesIO):
            self._file.flush()
            return os.dup(self._file.fileno())
        return nameless_file(self.read())

    def copy_to(self, path: Path) -> None:
        """Copy the image file to a path."""
        self._file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(self._file, target)

    def close(self) -> None:
        """Remove the image file."""
        self._file.close()
        on_close, self._on_close = self._on_close, lambda: None
        on_close()


class _Arrival:
    """Body that arrives."""

    def __init__(self, client: str) -> None:
        self.client, self.started_at, self.count = client, time.monotonic(), 0
        self.is_displaced = False
        self._limit: asyncio.Timeout | None = None

    def set_time_limit(self, limit: asyncio.Timeout) -> None:
        """Set the time limit, which ``displace`` lets expire."""
        self._limit = limit

    def bytes_per_second(self, now: float) -> float:
        """Mean rate since the start, with a credit of some bytes."""
        return (self.count + _CREDIT_BYTES) / max(now - self.started_at, _MIN_AGE)

    def displace(self) -> None:
        """End the arrival to make room for another one."""
        self.is_displaced = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0.0)


class Uploads:
    """Reader of bodies. If too many arrive, the slowest one is given up."""

    def __init__(
        self, disk: Disk, *, max_arrivals: int, max_bytes: int, seconds: float | int
    ) -> None:
        """Make a reader.

        Args:
            disk: Disk space of the server.
            max_arrivals: Bodies that may arrive at a time; one client may have a quarter.
            max_bytes: Size of the largest body.
            seconds: Time in which a body has to arrive.
        """
        self._disk, self._max_arrivals = disk, max_arrivals
        self._max_bytes, self._seconds = max_bytes, seconds
        self._arrivals: list[_Arrival] = []
        self._decoding = asyncio.Semaphore(_PARALLEL_JSON_BODIES)

    @property
    def arriving(self) -> int:
        """Number of bodies that arrive now."""
        return len(self._arrivals)

    async def read(self, request: Request, client: str) -> Upload:
        """Read the body of a request; the caller closes the upload.

        Raises:
            Refusal: If it is too large, too slow, one too many, or cannot be understood.
            GivenUp: If the client leaves.
        """
        received_at = time.monotonic()
        upload = await self._read_body(request, client)
        upload.received_at = received_at
        return upload

    async def _read_body(self, request: Request, client: str) -> Upload:
        """Receive a body, and read it by its content type."""
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._max_bytes:
            raise self._too_large_refusal()
        reserved = _ReservedBytes(self._disk, client)
        body = SpooledTemporaryFile(max_size=_MAX_BYTES_IN_MEMORY)  # noqa: SIM115
        try:
            with self._counted_arrival(client) as arrival:
                await self._receive_in_time(request, body, reserved, arrival)
            content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if content_type == "application/json":
                async with self._decoding:
                    upload = await asyncio.to_thread(_upload_from_json, body, reserved)
            elif content_type == "multipart/form-data":
                upload = await _upload_from_form(request.headers, body, reserved)
            else:
                refuse_undeclared_json(body)
                return Upload(body, on_close=reserved.release)
            body.close()
            return upload
        except BaseException:
            body.close()
            reserved.release()
            raise

    async def _receive_in_time(
        self, request: Request, body: IO[bytes], reserved: "_ReservedBytes", arrival: _Arrival
    ) -> None:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                arrival.set_time_limit(limit)
                await self._copy_body(request, body, reserved, arrival)
        except TimeoutError:
            reason = ", and others wait for its place" if arrival.is_displaced else ""
            line = f"the request arrives too slowly{reason}: send it over a faster connection"
            raise Refusal(408, line) from None
        except ClientDisconnect:
            raise GivenUp from None

    async def _copy_body(
        self, request: Request, body: IO[bytes], reserved: "_ReservedBytes", arrival: _Arrival
    ) -> None:
        async for chunk in request.stream():
            arrival.count += len(chunk)
            if arrival.count > self._max_bytes:
                raise self._too_large_refusal()
            reserved.add(len(chunk))
            if arrival.count > _MAX_BYTES_IN_MEMORY:  # in a thread, because the disk may be slow
                await asyncio.to_thread(body.write, chunk)
            else:
                body.write(chunk)

    @contextmanager
    def _counted_arrival(self, client: str) -> Iterator[_Arrival]:
        """Count a body as arriving while the block runs."""
        client_count = sum(arrival.client == client for arrival in self._arrivals)
        if client_count >= self._max_arrivals // 4:
            raise busy_refusal("too many requests of yours are arriving", 2)
        self._displace_slowest_if_full()
        arrival = _Arrival(client)
        self._arrivals.append(arrival)
        try:
            yield arrival
        finally:
            if not arrival.is_displaced:
                self._arrivals.remove(arrival)

    def _displace_slowest_if_full(self) -> None:
        if self.arriving < self._max_arrivals:
            return
        now = time.monotonic()
        slowest = min(self._arrivals, key=lambda arrival: arrival.bytes_per_second(now))
        self._arrivals.remove(slowest)
        slowest.displace()

    def _too_large_refusal(self) -> Refusal:
        return Refusal(
            413, f"the request is larger than {self._max_bytes / 1e6:g} MB: send a smaller file"
        )


class _ReservedBytes:
    """Disk space that is reserved for a body, as it arrives."""

    def __init__(self, disk: Disk, client: str) -> None:
        self._disk, self._client, self._count = disk, client, 0

    def add(self, count: int) -> None:
        self._disk.reserve(self._client, count)
        self._count += count

    def release(self) -> None:
        count, self._count = self._count, 0
        self._disk.reserve(self._client, -count)


def safe_stem(name: str | None) -> str:
    """Stem for the files of an upload, made of letters, digits, '-', '_' and '.'; never hidden."""
    stem = PurePosixPath((name or "").replace("\\", "/")).stem
    safe_name = re.sub(r"[^A-Za-z0-9_.-]", "-", stem)
    return safe_name.strip("-.")[:_MAX_STEM_LENGTH].strip("-.") or "image"


async def _chunks(body: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := body.read(_CHUNK_BYTES):
        yield chunk


def _upload_from_json(body: IO[bytes], reserved: _ReservedBytes) -> Upload:
    content, fields = read_json_body(body)
    file = SpooledTemporaryFile(max_size=_MAX_BYTES_IN_MEMORY)  # noqa: SIM115
    try:
        file.write(content)
        return Upload(file, fields=fields, on_close=reserved.release)
    except BaseException:
        file.close()
        raise


def _refuse_other_files(form: FormData) -> None:
    """Refuse a form with other files than one photograph."""
    keys = [key for key, value in form.multi_items() if isinstance(value, UploadFile)]
    unexpected = [key for key in keys if key != _IMAGE]
    if unexpected:
        name = _short_ascii_name(unexpected[0])
        hint = f"; {ELSEWHERE}" if unexpected[0] in depth_option_names() else ""
        raise Refusal(400, f"the form has a file '{name}', expected one file, '{_IMAGE}'{hint}")
    if len(keys) > 1:
        raise Refusal(400, f"the form has {len(keys)} files '{_IMAGE}': send one photograph")


async def _upload_from_form(headers: Headers, body: IO[bytes], reserved: _ReservedBytes) -> Upload:
    """Read image and parameters from a multipart form."""
    body.seek(0)
    parser = MultiPartParser(
        headers,
        _chunks(body),  # pyright: ignore[reportArgumentType]
        max_files=_MAX_FORM_FILES,
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_LENGTH,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        message = getattr(error, "message", "it is no multipart form")
        raise Refusal(400, f"the form cannot be read ({message})") from error
    file: IO[bytes] | BytesIO = BytesIO()
    name, fields = "image", {}
    try:
        _refuse_other_files(form)
    except Refusal:
        await form.close()
        raise
    for key, value in form.multi_items():
        if isinstance(value, UploadFile):
            file, name = value.file, safe_stem(value.filename)
        elif key == _IMAGE:
            raise Refusal(400, "the field 'image' holds text, a file is expected: image=@photo.jpg")
        else:
            fields.setdefault(key, []).append(value)
    return Upload(file, name=name, fields=fields, on_close=reserved.release)

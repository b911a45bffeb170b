"""Bodies of requests, within limits of size, time and number."""

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
"""Field of a form that has the photograph."""
_MOST_NAMED_FILES = 8
"""Files of a form that are read before it is refused, so that the refusal names one."""
_MOST_VALUES = 1000
_LONGEST_VALUE = 2000
_MOST_COMMAS = 20_000
"""Commas of a body: small numbers take many times their bytes."""

_LARGE = 2**20
"""Bytes above which a body is plain ASCII: one wide character makes it four times as large."""


def read_json_body(body: IO[bytes]) -> tuple[bytes, dict[str, list[str]]]:
    """Image and parameters of a JSON; numbers stay texts."""
    body.seek(0)
    text = body.read()
    if text.count(b",") > _MOST_COMMAS:
        raise Refusal(400, f"the JSON has more than {_MOST_VALUES} values")
    if len(text) > _LARGE and not (text.isascii() and b"\\u" not in text):
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
    if sum(map(len, fields.values())) > _MOST_VALUES:
        raise Refusal(400, f"the JSON has more than {_MOST_VALUES} values")
    return decoded_image(image, "image"), fields


def refuse_undeclared_json(body: IO[bytes]) -> None:
    """Refuse JSON of another content type."""
    body.seek(0)
    if body.read(64).lstrip().startswith(b"{"):
        raise Refusal(400, "the body looks like JSON: send it as Content-Type: application/json")


def decoded_image(image: str, option: str) -> bytes:
    """Content of an image in base64 or a data URL.

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
    texts = value if isinstance(value, list) else [value]
    return [_text_from_json(name, text) for text in texts]


def _text_from_json(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise Refusal(
            400, f"{_short_ascii_name(name)}: text, a number or a list of these is expected"
        )
    if len(value) > _LONGEST_VALUE:
        raise Refusal(400, f"{_short_ascii_name(name)}: longer than {_LONGEST_VALUE} characters")
    if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
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

_IN_MEMORY = 2**20  # larger bodies lie on the disk
_CHUNK = 2**18
_CREDIT = 4_000
"""Bytes that count for every body, whose rate says little at first."""
_LEAST_AGE = 1e-6
_DECODED_AT_ONCE = 2
"""Bodies of JSON in memory: each takes four times its bytes."""
_MOST_FIELDS = 1000
_LONGEST_FIELD = 2000
_LONGEST_NAME = 60


class Upload:
    """Image file and parameters of a request."""

    def __init__(
        self,
        file: IO[bytes] | BytesIO,
        *,
        name: str = "image",
        fields: Fields | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.fields, self.begun = name, dict(fields or {}), time.monotonic()
        self._file, self._on_close = file, on_close
        file.seek(0, os.SEEK_END)
        self.size = file.tell()

    def read(self) -> bytes:
        """Content of the image file."""
        self._file.seek(0)
        return self._file.read()

    def open_descriptor(self) -> int:
        """Open file with the content; it must be closed."""
        if self.size > _IN_MEMORY and not isinstance(self._file, BytesIO):
            self._file.flush()
            return os.dup(self._file.fileno())
        return nameless_file(self.read())

    def copy_to(self, path: Path) -> None:
        """Copy the file."""
        self._file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(self._file, target)

    def close(self) -> None:
        """Remove the file."""
        self._file.close()
        on_close, self._on_close = self._on_close, lambda: None
        on_close()


class _Arrival:
    def __init__(self, client: str) -> None:
        self.client, self.begun, self.count = client, time.monotonic(), 0
        self.is_displaced = False
        self._limit: asyncio.Timeout | None = None

    def set_time_limit(self, limit: asyncio.Timeout) -> None:
        """Set the time limit, by which ``displace`` ends it."""
        self._limit = limit

    def bytes_per_second(self, now: float) -> float:
        """Mean rate since the start, with a credit of 4 kB."""
        return (self.count + _CREDIT) / max(now - self.begun, _LEAST_AGE)

    def displace(self) -> None:
        """End it for a newcomer, by its time limit."""
        self.is_displaced = True
        if self._limit is not None and not self._limit.expired():
            self._limit.reschedule(0.0)


class Uploads:
    """Reader of bodies; the slowest gives its place to a newcomer."""

    def __init__(self, disk: Disk, *, most: int, max_bytes: int, seconds: float | int) -> None:
        """Begin without any; one client has at most a quarter of ``most``."""
        self._disk, self._most = disk, most
        self._max_bytes, self._seconds = max_bytes, seconds
        self._arrivals: list[_Arrival] = []
        self._decoding = asyncio.Semaphore(_DECODED_AT_ONCE)

    @property
    def arriving(self) -> int:
        """Number of bodies that arrive now."""
        return len(self._arrivals)

    async def read(self, request: Request, client: str) -> Upload:
        """Read a body; the upload must be closed."""
        begun = time.monotonic()
        upload = await self._read_body(request, client)
        upload.begun = begun
        return upload

    async def _read_body(self, request: Request, client: str) -> Upload:
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._max_bytes:
            raise self._too_large_refusal()
        held = _ReservedBytes(self._disk, client)
        body = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
        try:
            with self._counted_arrival(client) as arrival:
                await self._receive_in_time(request, body, held, arrival)
            kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind == "application/json":
                async with self._decoding:
                    upload = await asyncio.to_thread(_upload_from_json, body, held)
            elif kind == "multipart/form-data":
                upload = await _upload_from_form(request.headers, body, held)
            else:
                refuse_undeclared_json(body)
                return Upload(body, on_close=held.give_back)
            body.close()
            return upload
        except BaseException:
            body.close()
            held.give_back()
            raise

    async def _receive_in_time(
        self, request: Request, body: IO[bytes], held: "_ReservedBytes", arrival: _Arrival
    ) -> None:
        try:
            async with asyncio.timeout(self._seconds) as limit:
                arrival.set_time_limit(limit)
                await self._copy_body(request, body, held, arrival)
        except TimeoutError:
            others = ", and others wait for its place" if arrival.is_displaced else ""
            line = f"the request arrives too slowly{others}: send it over a faster connection"
            raise Refusal(408, line) from None
        except ClientDisconnect:
            raise GivenUp from None

    async def _copy_body(
        self, request: Request, body: IO[bytes], held: "_ReservedBytes", arrival: _Arrival
    ) -> None:
        async for chunk in request.stream():
            arrival.count += len(chunk)
            if arrival.count > self._max_bytes:
                raise self._too_large_refusal()
            held.take(len(chunk))
            if arrival.count > _IN_MEMORY:  # in a thread, as the disk may be slow
                await asyncio.to_thread(body.write, chunk)
            else:
                body.write(chunk)

    @contextmanager
    def _counted_arrival(self, client: str) -> Iterator[_Arrival]:
        own = sum(arrival.client == client for arrival in self._arrivals)
        if own >= self._most // 4:
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
        if self.arriving < self._most:
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
    def __init__(self, disk: Disk, client: str) -> None:
        self._disk, self._client, self._count = disk, client, 0

    def take(self, count: int) -> None:
        self._disk.take(self._client, count)
        self._count += count

    def give_back(self) -> None:
        count, self._count = self._count, 0
        self._disk.take(self._client, -count)


def safe_stem(name: str | None) -> str:
    """Stem of files of an upload: letters, digits, '-', '_' and '.', never hidden."""
    stem = PurePosixPath((name or "").replace("\\", "/")).stem
    safe_name = re.sub(r"[^A-Za-z0-9_.-]", "-", stem)
    return safe_name.strip("-.")[:_LONGEST_NAME].strip("-.") or "image"


async def _chunks(body: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := body.read(_CHUNK):
        yield chunk


def _upload_from_json(body: IO[bytes], held: _ReservedBytes) -> Upload:
    content, fields = read_json_body(body)
    file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115
    try:
        file.write(content)
        return Upload(file, fields=fields, on_close=held.give_back)
    except BaseException:
        file.close()
        raise


def _refuse_other_files(form: FormData) -> None:
    """Refuse files besides the photograph, by their names."""
    keys = [key for key, value in form.multi_items() if isinstance(value, UploadFile)]
    others = [key for key in keys if key != _IMAGE]
    if others:
        shown = _short_ascii_name(others[0])
        hint = f"; {ELSEWHERE}" if others[0] in depth_option_names() else ""
        raise Refusal(400, f"the form has a file '{shown}', expected one file, '{_IMAGE}'{hint}")
    if len(keys) > 1:
        raise Refusal(400, f"the form has {len(keys)} files '{_IMAGE}': send one photograph")


async def _upload_from_form(headers: Headers, body: IO[bytes], held: _ReservedBytes) -> Upload:
    body.seek(0)
    parser = MultiPartParser(
        headers,
        _chunks(body),  # pyright: ignore[reportArgumentType]
        max_files=_MOST_NAMED_FILES,
        max_fields=_MOST_FIELDS,
        max_part_size=_LONGEST_FIELD,
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
    return Upload(file, name=name, fields=fields, on_close=held.give_back)

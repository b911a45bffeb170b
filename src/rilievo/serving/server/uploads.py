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
from rilievo.serving.listener.request_refusals import JobCancelled, Refusal, busy_refusal
from rilievo.serving.server.decoding.messages import anonymous_file
from rilievo.serving.server.local_options import ELSEWHERE, depth_option_names
from rilievo.serving.server.request_files import Disk

_IMAGE = "image"
"""Name of the field of a form or a JSON that holds the photograph."""
_MAX_FORM_FILES = 8
"""Files of a form that are parsed. A form may have one; the others are refused by their names."""
_MAX_VALUES = 1000
_MAX_VALUE_LENGTH = 2000
_MAX_COMMAS = 20_000
"""Most commas in a JSON body. Parsed small numbers take many times their bytes in memory."""
_MAX_NON_ASCII_BYTES = 2**20
"""Largest JSON body that is not ASCII. One wide character makes a string four times as large."""


def read_json_body(body: IO[bytes]) -> tuple[bytes, dict[str, list[str]]]:
    """Read the image and the parameters from a JSON body.

    Numbers are returned as text, because parameters are parsed from text, as in a query string.

    Raises:
        Refusal: If the body is not a JSON object with an image, or has too many values.
        OptionError: If the image is not valid base64.
    """
    body.seek(0)
    content = body.read()
    _check_memory_of_json(content)
    values = _parse_json_object(content)

    image = values.pop("image", "")
    if not isinstance(image, str):
        raise Refusal(400, "image: expected a string with base64 or a data URL")
    fields = {
        _text_from_json("a name", name): _texts_from_json(name, value)
        for name, value in values.items()
        if value is not None
    }
    num_values = sum(len(texts) for texts in fields.values())
    if num_values > _MAX_VALUES:
        raise _too_many_values_refusal()
    return decode_base64_image(image, "image"), fields


def _check_memory_of_json(content: bytes) -> None:
    """Raise a ``Refusal`` if JSON could take far more memory after it is parsed."""
    if content.count(b",") > _MAX_COMMAS:
        raise _too_many_values_refusal()
    decodes_to_ascii = content.isascii() and b"\\u" not in content
    if len(content) > _MAX_NON_ASCII_BYTES and not decodes_to_ascii:
        mebibytes = _MAX_NON_ASCII_BYTES // 2**20
        raise Refusal(400, f"a JSON body of over {mebibytes} MiB must be ASCII without \\u escapes")


def _too_many_values_refusal() -> Refusal:
    return Refusal(400, f"the JSON has more than {_MAX_VALUES:,} values, which is the limit")


def _parse_json_object(content: bytes) -> dict[str, Any]:
    """Parse a JSON object, whose numbers stay text; ``Refusal`` for anything else."""
    try:
        values = json.loads(
            content.decode(),
            parse_int=str,
            parse_float=str,
            parse_constant=_refuse_nan_or_infinity,
            object_pairs_hook=_dict_without_duplicates,
        )
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not valid JSON in UTF-8") from None
    if not isinstance(values, dict):
        raise Refusal(400, 'the JSON is not an object: send {"image": "BASE64", ...}')
    return values


def check_not_undeclared_json(body: IO[bytes]) -> None:
    """Raise a ``Refusal`` if a body looks like JSON, although its content type is another one."""
    body.seek(0)
    if body.read(64).lstrip().startswith(b"{"):
        raise Refusal(
            400, "the body looks like JSON: send the header 'Content-Type: application/json'"
        )


def decode_base64_image(image: str, option: str) -> bytes:
    """Decode an image from base64 or a data URL; ``option`` names the parameter in messages."""
    encoded = image
    if image[:5].lower() == "data:":
        media_type, _, encoded = image.partition(",")
        if not media_type.lower().endswith(";base64"):
            problem = ": a data URL must use base64, as in data:image/jpeg;base64,..."
            raise OptionError(option=option, problem=problem)
    try:
        # Line breaks are removed in one go, because a list of lines takes many times their bytes.
        without_breaks = encoded.encode("ascii").translate(None, b" \t\r\n")
        return binascii.a2b_base64(without_breaks, strict_mode=True)
    except ValueError:
        problem = ": is not standard base64 with padding"
        hint = "encode the file's bytes as base64, or send a data URL"
        raise OptionError(option=option, problem=problem, hint=hint) from None


def _texts_from_json(name: str, value: object) -> list[str]:
    """Texts of a parameter, whose JSON value is a single value or a list."""
    texts = value if isinstance(value, list) else [value]
    return [_text_from_json(name, text) for text in texts]


def _text_from_json(name: str, value: object) -> str:
    """Return a single JSON value as text. The parser has left numbers as text already."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise Refusal(
            400,
            f"{_short_ascii_name(name)}: expected a string, number or boolean, or a list of these",
        )
    if len(value) > _MAX_VALUE_LENGTH:
        raise Refusal(
            400, f"{_short_ascii_name(name)} has more than {_MAX_VALUE_LENGTH:,} characters"
        )
    has_lone_surrogate = not value.isascii() and any(
        "\ud800" <= character <= "\udfff" for character in value
    )
    if has_lone_surrogate:
        raise Refusal(400, "the JSON contains an unpaired surrogate, which is not valid text")
    return value


def _short_ascii_name(name: str) -> str:
    return name[:60].encode("ascii", "replace").decode()


def _dict_without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise Refusal(
                400, f"{_short_ascii_name(name)} is given twice in the JSON: give it once"
            )
        values[name] = value
    return values


def _refuse_nan_or_infinity(name: str) -> NoReturn:
    raise ValueError(name)


Fields = Mapping[str, list[str]]

_MAX_BYTES_IN_MEMORY = 2**20
"""Size from which a body is on the disk."""
_CHUNK_BYTES = 2**18
_CREDIT_BYTES = 4_000
"""Bytes added to what every body has received, because its rate says little at first."""
_MIN_TRANSFER_SECONDS = 1e-6  # so that the rate of a new body is not divided by 0
_PARALLEL_JSON_BODIES = 2
"""Bodies of JSON that are in memory at a time. Each takes four times its size."""
_MIN_CLIENTS_AT_THE_LIMIT = 4
"""Least number of clients that can send the most bodies, so each may send a quarter of them."""
_MAX_FIELDS = 1000
_MAX_FIELD_LENGTH = 2000
_MAX_STEM_LENGTH = 60


class Upload:
    """Image file and parameters of a request.

    Attributes:
        name: Name of the image file, without suffix.
        fields: Parameters in the body.
        created_at: Time of ``time.monotonic`` at which the request began to arrive; by default now.
        size: Size of the image file [bytes].
    """

    def __init__(
        self,
        file: IO[bytes],
        *,
        name: str = "image",
        fields: Fields | None = None,
        on_close: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.fields = dict(fields or {})
        self.created_at = time.monotonic()
        self._file = file
        self._on_close = on_close
        file.seek(0, os.SEEK_END)
        self.size = file.tell()

    def read(self) -> bytes:
        """Return the content of the image file."""
        self._file.seek(0)
        return self._file.read()

    def open_descriptor(self) -> int:
        """Return a file descriptor of the content, which the caller closes.

        Its position may be anywhere in the file.
        """
        # A ``SpooledTemporaryFile`` moves its content to the disk at this size.
        is_on_disk = self.size > _MAX_BYTES_IN_MEMORY and not isinstance(self._file, BytesIO)
        if is_on_disk:
            self._file.flush()
            return os.dup(self._file.fileno())
        return anonymous_file(self.read())

    def copy_to(self, path: Path) -> None:
        """Copy the image file to a path."""
        self._file.seek(0)
        with path.open("wb") as target:
            shutil.copyfileobj(self._file, target)

    def close(self) -> None:
        """Remove the image file; further calls have no effect."""
        self._file.close()
        on_close = self._on_close
        self._on_close = lambda: None  # so that a second call does not release anything again
        on_close()


class _Transfer:
    """Transfer of a request body that is being received.

    Attributes:
        num_bytes: Number of bytes that have arrived.
        is_evicted: Whether it was given up for another body.
    """

    def __init__(self, client: str) -> None:
        self.client = client
        self.started_at = time.monotonic()
        self.num_bytes = 0
        self.is_evicted = False
        self._timeout: asyncio.Timeout | None = None

    def set_timeout(self, timeout: asyncio.Timeout) -> None:
        """Set the timeout of the receiving task, which ``evict`` makes expire."""
        self._timeout = timeout

    def bytes_per_second(self, now: float) -> float:
        """Mean rate since the start, plus ``_CREDIT_BYTES`` so that new bodies do not look slow."""
        return (self.num_bytes + _CREDIT_BYTES) / max(now - self.started_at, _MIN_TRANSFER_SECONDS)

    def evict(self) -> None:
        """Give up this body to make room for another one."""
        self.is_evicted = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(0.0)  # a time in the past, so it expires at once


class Uploads:
    """Reads the bodies of requests. If too many arrive at once, the slowest one is given up."""

    def __init__(
        self, disk: Disk, *, max_arrivals: int, max_bytes: int, seconds: float | int
    ) -> None:
        """Read at most ``max_arrivals`` bodies at a time, each within ``seconds``."""
        self._disk = disk
        self._max_arrivals = max_arrivals
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._transfers: list[_Transfer] = []
        self._decoding = asyncio.Semaphore(_PARALLEL_JSON_BODIES)

    @property
    def arriving(self) -> int:
        """Number of bodies that arrive now."""
        return len(self._transfers)

    async def read(self, request: Request, client: str) -> Upload:
        """Read the body of a request; the caller closes the upload.

        Raises:
            Refusal: If it is too large or too slow, cannot be parsed, or the client sends too many.
            JobCancelled: If the client leaves.
        """
        created_at = time.monotonic()
        upload = await self._read_body(request, client)
        upload.created_at = created_at
        return upload

    async def _read_body(self, request: Request, client: str) -> Upload:
        """Receive a body, and parse it."""
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._max_bytes:
            raise self._too_large_error()
        reservation = _Reservation(self._disk, client)
        body = SpooledTemporaryFile(max_size=_MAX_BYTES_IN_MEMORY)  # noqa: SIM115
        try:
            with self._counted_transfer(client) as transfer:
                await self._receive_in_time(request, body, reservation, transfer)
            return await self._parse_body(request.headers, body, reservation)
        except BaseException:
            body.close()
            reservation.release()
            raise

    async def _parse_body(
        self, headers: Headers, body: IO[bytes], reservation: "_Reservation"
    ) -> Upload:
        """Parse a body as its content type says.

        A body of JSON or a form is closed. Any other body is the image itself, so it stays open.
        """
        media_type = headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type == "application/json":
            with body:
                async with self._decoding:
                    return await asyncio.to_thread(_upload_from_json, body, reservation)
        if media_type == "multipart/form-data":
            with body:
                return await _upload_from_form(headers, body, reservation)
        check_not_undeclared_json(body)
        return Upload(body, on_close=reservation.release)

    async def _receive_in_time(
        self, request: Request, body: IO[bytes], reservation: "_Reservation", transfer: _Transfer
    ) -> None:
        """Copy a request into ``body``, unless it takes too long or has to make room for others."""
        try:
            async with asyncio.timeout(self._seconds) as timeout:
                transfer.set_timeout(timeout)
                await self._copy_body(request, body, reservation, transfer)
        except TimeoutError:
            reason = " while others are waiting" if transfer.is_evicted else ""
            raise Refusal(
                408,
                f"the request arrives too slowly{reason}: send it over a faster connection",
            ) from None
        except ClientDisconnect:
            raise JobCancelled from None

    async def _copy_body(
        self, request: Request, body: IO[bytes], reservation: "_Reservation", transfer: _Transfer
    ) -> None:
        """Copy the chunks of a request into ``body``, and reserve disk space for each."""
        async for chunk in request.stream():
            transfer.num_bytes += len(chunk)
            if transfer.num_bytes > self._max_bytes:
                raise self._too_large_error()
            reservation.add(len(chunk))
            if transfer.num_bytes > _MAX_BYTES_IN_MEMORY:
                # From this size on, the spooled file is on the disk, which may be slow.
                await asyncio.to_thread(body.write, chunk)
            else:
                body.write(chunk)

    @contextmanager
    def _counted_transfer(self, client: str) -> Iterator[_Transfer]:
        """Count the transfer of a body while the block runs."""
        client_count = sum(transfer.client == client for transfer in self._transfers)
        if client_count >= self._max_arrivals // _MIN_CLIENTS_AT_THE_LIMIT:
            raise busy_refusal("you are sending too many requests at once", seconds=2)
        self._evict_slowest_if_full()
        transfer = _Transfer(client)
        self._transfers.append(transfer)
        try:
            yield transfer
        finally:
            if not transfer.is_evicted:  # evicting removes it from the list
                self._transfers.remove(transfer)

    def _evict_slowest_if_full(self) -> None:
        if self.arriving < self._max_arrivals:
            return
        now = time.monotonic()
        slowest = min(self._transfers, key=lambda transfer: transfer.bytes_per_second(now))
        self._transfers.remove(slowest)
        slowest.evict()

    def _too_large_error(self) -> Refusal:
        return Refusal(
            413, f"the request is larger than {self._max_bytes / 1e6:g} MB: send a smaller file"
        )


class _Reservation:
    """Disk space that is reserved for a body, as it arrives."""

    def __init__(self, disk: Disk, client: str) -> None:
        self._disk = disk
        self._client = client
        self._count = 0

    def add(self, count: int) -> None:
        self._disk.reserve(self._client, count)
        self._count += count

    def release(self) -> None:
        count = self._count
        self._count = 0
        self._disk.reserve(self._client, -count)


def safe_stem(name: str | None) -> str:
    """Make a file stem of a client's file name, with ASCII letters, digits, '-', '_' and '.' only.

    It never begins with a dot, so that files are not hidden.
    """
    stem = PurePosixPath((name or "").replace("\\", "/")).stem
    safe_name = re.sub(r"[^A-Za-z0-9_.-]", "-", stem)
    return safe_name.strip("-.")[:_MAX_STEM_LENGTH].strip("-.") or "image"


async def _chunks(body: IO[bytes]) -> AsyncIterator[bytes]:
    while chunk := body.read(_CHUNK_BYTES):
        yield chunk


def _upload_from_json(body: IO[bytes], reserved: _Reservation) -> Upload:
    content, fields = read_json_body(body)
    file = SpooledTemporaryFile(max_size=_MAX_BYTES_IN_MEMORY)  # noqa: SIM115
    try:
        file.write(content)
        return Upload(file, fields=fields, on_close=reserved.release)
    except BaseException:
        file.close()
        raise


def _check_single_photograph(form: FormData) -> None:
    """Raise a ``Refusal`` if a form has other files than one photograph."""
    keys = [key for key, value in form.multi_items() if isinstance(value, UploadFile)]
    unexpected = [key for key in keys if key != _IMAGE]
    if unexpected:
        name = _short_ascii_name(unexpected[0])
        hint = f"; {ELSEWHERE}" if unexpected[0] in depth_option_names() else ""
        raise Refusal(400, f"the form has a file '{name}', but only '{_IMAGE}' is expected{hint}")
    if len(keys) > 1:
        raise Refusal(400, f"the form has {len(keys)} files named '{_IMAGE}': send one photograph")


async def _upload_from_form(headers: Headers, body: IO[bytes], reserved: _Reservation) -> Upload:
    """Read image and parameters from a multipart form.

    A form without an image becomes an upload with an empty file, which is refused later.
    """
    form = await _parse_form(headers, body)
    try:
        _check_single_photograph(form)
    except Refusal:
        await form.close()
        raise
    file: IO[bytes] = BytesIO()
    name = "image"
    fields: dict[str, list[str]] = {}
    for key, value in form.multi_items():
        if isinstance(value, UploadFile):
            file = value.file
            name = safe_stem(value.filename)
        elif key == _IMAGE:
            raise Refusal(
                400, "the field 'image' is text, but must be a file: use curl -F image=@photo.jpg"
            )
        else:
            fields.setdefault(key, []).append(value)
    return Upload(file, name=name, fields=fields, on_close=reserved.release)


async def _parse_form(headers: Headers, body: IO[bytes]) -> FormData:
    """Parse a multipart form; raise a ``Refusal`` if it is malformed or above the limits."""
    body.seek(0)
    parser = MultiPartParser(
        headers,
        _chunks(body),  # pyright: ignore[reportArgumentType]
        max_files=_MAX_FORM_FILES,
        max_fields=_MAX_FIELDS,
        max_part_size=_MAX_FIELD_LENGTH,
    )
    try:
        return await parser.parse()
    except (MultiPartException, ValueError, KeyError) as error:
        message = getattr(error, "message", "it is not a multipart form")
        raise Refusal(400, f"the form cannot be read ({message})") from error

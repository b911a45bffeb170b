"""Options and limits of servers, with and without a page."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.io.files.limits import read_text
from rilievo.io.files.machine import cores
from rilievo.io.files.names import printable
from rilievo.models import DEFAULT_MODEL, FAST_MODEL, MODELS, is_paid_name
from rilievo.models.card import ModelCard
from rilievo.models.model_options import EngineOptions
from rilievo.schema.fields import FieldsByTitle, option
from rilievo.serving.listener.listening import AddressOptions, parse_origins, split_at_commas

MAX_RECTANGLES = 8
"""Most known rectangles of one photograph, because they are fitted together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Limits that keep one client from occupying the whole server.

    Attributes:
        connections: Most open connections of one client; proxies have no limit.
        queue: Most waiting requests.
        uploads: Most request bodies that arrive at a time; one client may have a quarter.
        upload_seconds: Time in which a request has to arrive [s].
        download_seconds: Time in which a client has to read an answer [s].
        streams: Most open WebSocket streams; one client may have half.
        batch: Most photographs in one run of a network on a GPU; on a CPU it is always one.
        batch_seconds: Time that a network waits for more photographs [s].
        workers: Threads that decode, and threads that write.
        disk_megabytes: Disk space for requests and answers; one client may have half.
        video_frames: Most frames that the app predicts in a video.
        video_seconds: Longest time that the app spends on a video [s].
        result_megabytes: Disk space for the app's results; one visitor may have half.
    """

    connections: int = 64
    queue: int = 64
    uploads: int = 256
    upload_seconds: float = 30.0
    download_seconds: float = 600.0
    streams: int = 8
    batch: int = 8
    batch_seconds: float = 0.005
    workers: int = field(default_factory=cores)
    disk_megabytes: float = 5000.0
    video_frames: int = 1800
    video_seconds: float = 900.0
    result_megabytes: float = 2000.0


@dataclass(frozen=True, kw_only=True)
class ServerOptions(AddressOptions, EngineOptions):
    """Address, models and limits of the server."""

    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Address": ("host", "port", "root_path", "proxies"),
        "Access": ("hosts",),
        "Model": ("model", "offer", "device", "engine", "precision", "threads", "trust_code"),
        "Limits": ("max_megabytes", "max_megapixels", "time_limit"),
    }

    model: Annotated[
        str,
        option(
            aliases=("-m",),
            metavar="NAME",
            default=f"{DEFAULT_MODEL}; for streams and videos {FAST_MODEL}",
        ),
    ] = ""
    """Default model, used unless a request selects another: a name that 'rilievo models' lists, an
    ONNX file, or a run of 'rilievo train'."""
    offer: Annotated[str | None, option(comma_separated=True, metavar="NAME,...")] = None
    """Other models that requests can select, separated by commas. Weights are downloaded at first
    use.
    """
    max_megabytes: Annotated[float | int, option(above=0)] = 50.0
    """Maximum size of a request body in megabytes."""
    max_megapixels: Annotated[float | int, option(above=0)] = 24.0
    """Maximum size of a photograph in megapixels."""
    time_limit: Annotated[float | int, option(above=0, unit="seconds")] = 60.0
    """Maximum duration of a request in seconds, including its wait in the queue."""

    limits: Annotated[ServerLimits, option(hidden=True)] = field(default_factory=ServerLimits)

    def tokens(self) -> tuple[str, ...]:
        """Access tokens, one of which each request has to send; by default there are none."""
        return ()

    @property
    def default_model(self) -> str:
        """Name of the model for photographs if a request selects none."""
        return self.model or DEFAULT_MODEL

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the models that requests may choose, the default first."""
        return tuple(dict.fromkeys((self.default_model, *split_at_commas(self.offer or ""))))

    @property
    def max_bytes(self) -> int:
        """Largest request body [bytes]."""
        return int(self.max_megabytes * 1e6)

    @property
    def max_pixels(self) -> int:
        """Largest photograph [px]."""
        return int(self.max_megapixels * 1e6)


TOKEN_VARIABLE = "RILIEVO_SERVE_TOKEN"
_MIN_TOKEN_LENGTH = 16


@dataclass(frozen=True, kw_only=True)
class ServeOptions(ServerOptions):
    """Address, tokens, models and limits of the server."""

    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        **ServerOptions.FIELDS_BY_TITLE,
        "Access": ("token_file", *ServerOptions.FIELDS_BY_TITLE["Access"], "origins"),
    }

    token_file: Annotated[Path | None, option(metavar="FILE")] = None
    """File with one token per line. Requests must send one of them as 'Authorization: Bearer
    TOKEN'. Instead of a file, you can set the environment variable RILIEVO_SERVE_TOKEN to a
    token."""

    origins: Annotated[str, option(comma_separated=True, metavar="ORIGIN,...|*")] = ""
    """Origins of other sites whose web pages may call the server, such as https://blog.example.com;
    by default none. '*' allows every page, but a page on the internet can call a server on a
    private network only if you list its origin. Cookies are never used, so a page must send a token
    itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self._parse_origins()  # raises OptionError if one is malformed

    @property
    def calling_origins(self) -> tuple[str, ...]:
        """Other origins whose pages may call the server, or ``*`` for all."""
        return self._parse_origins()

    def _parse_origins(self) -> tuple[str, ...]:
        if split_at_commas(self.origins) == ["*"]:
            return ("*",)
        return parse_origins("origins", self.origins)

    def tokens(self) -> tuple[str, ...]:
        """Tokens of which a request has to send one; if there are none, everybody may call."""
        tokens = []
        if os.environ.get(TOKEN_VARIABLE):
            tokens.append(os.environ[TOKEN_VARIABLE])
        if self.token_file is not None:
            stripped_lines = [line.strip() for line in read_text(self.token_file).splitlines()]
            file_tokens = [line for line in stripped_lines if line]
            if not file_tokens:
                raise OptionError(
                    option="token_file",
                    problem=f"{printable(self.token_file)}: contains no token",
                    hint="write one token per line",
                )
            tokens += file_tokens
        for token in tokens:
            if len(token) < _MIN_TOKEN_LENGTH or not token.isascii() or " " in token:
                raise OptionError(
                    f"a token must have at least {_MIN_TOKEN_LENGTH} characters, all of them ASCII "
                    "and none a space: make one with 'openssl rand -hex 32'"
                )
        return tuple(tokens)


_PACKAGES_BY_EXTRA = {"models": ("torch", "transformers", "diffusers")}


@dataclass(frozen=True, kw_only=True)
class AppOptions(ServerOptions):
    """Address of the page, and limits for its visitors."""

    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        **ServerOptions.FIELDS_BY_TITLE,
        "Address": (*ServerOptions.FIELDS_BY_TITLE["Address"], "open", "embed_origins"),
        "Limits": (*ServerOptions.FIELDS_BY_TITLE["Limits"], "keep_minutes"),
    }

    port: Annotated[int, option(minimum=0, maximum=65535)] = 7860
    """Port to listen on; 0 picks a free one."""
    open: bool = False
    """Open the page in this machine's browser."""
    embed_origins: Annotated[str | None, option(comma_separated=True, metavar="ORIGIN,...")] = None
    """Origins whose pages may embed results in a view without uploads, such as
    https://blog.example.com, separated by commas. By default, none."""
    offer: Annotated[str | None, option(comma_separated=True, metavar="NAME,...|all")] = None
    """Other models that visitors can choose, separated by commas. Weights are downloaded at first
    use. 'all' means every model whose extra is installed. It is the default if only this machine
    can reach the page; otherwise the default is none. Paid models are never offered."""
    keep_minutes: Annotated[float | int, option(above=0)] = 60.0
    """Time without use after which results are deleted, in minutes."""

    def __post_init__(self) -> None:
        super().__post_init__()
        parse_origins("embed_origins", self.embed_origins or "")  # raises if one is malformed

    @property
    def embedding_origins(self) -> tuple[str, ...]:
        """Origins whose pages may embed results."""
        return parse_origins("embed_origins", self.embed_origins or "")

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the models that visitors may choose, the default first."""
        offer = self.offer
        if offer is None:
            offer = "all" if self.is_private else ""
        names = split_at_commas(offer)
        if "all" in names:
            names = list(_free_installed_models())
        return tuple(dict.fromkeys((self.default_model, *names)))


def _free_installed_models() -> Iterator[str]:
    for card in MODELS.values():
        is_free = not is_paid_name(card.name)
        if card.kind is not None and is_free and _has_packages_installed(card):
            yield card.name


def _has_packages_installed(card: ModelCard) -> bool:
    packages = _PACKAGES_BY_EXTRA.get(card.extra or "", ())
    return all(find_spec(package) is not None for package in packages)

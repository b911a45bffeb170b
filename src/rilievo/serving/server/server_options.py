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
from rilievo.models import DEFAULT_MODEL, MODELS, replicate_cards
from rilievo.models.card import ModelCard
from rilievo.models.model_options import EngineOptions
from rilievo.schema.fields import Groups, option
from rilievo.serving.listener.listening import AddressOptions, parse_origins, split_at_commas


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerLimits:
    """Numbers by which no client can occupy the whole server.

    Attributes:
        connections: Open connections of one client; those of proxies are not counted.
        queue: Requests that wait.
        uploads: Bodies that arrive; one client may have a quarter.
        upload_seconds: Time in which a request has to arrive [s].
        download_seconds: Time in which a client has to read an answer [s].
        streams: Open WebSocket streams; one client may have half.
        batch: Photographs in one run of a network on a GPU; on a CPU it is always one.
        batch_seconds: Time that a network waits for more photographs [s].
        workers: Threads that decode, and threads that write.
        disk_megabytes: Disk space for requests and answers; one client may have half.
        video_frames: Frames of a video of the app.
        video_seconds: Time that the app works on a video [s].
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

    GROUPS: ClassVar[Groups] = {
        "Address": ("host", "port", "root_path", "proxies"),
        "Access": ("hosts",),
        "Model": ("model", "offer", "device", "engine", "precision", "threads", "trust_code"),
        "Limits": ("max_megabytes", "max_megapixels", "time_limit"),
    }

    model: Annotated[str, option(aliases=("-m",), metavar="NAME")] = DEFAULT_MODEL
    """Model that answers unless a request names another: a name that 'rilievo models' lists, an
    ONNX file, or a run of 'rilievo train'."""
    offer: Annotated[str | None, option(comma_separated=True, metavar="NAME,...")] = None
    """Other models that requests may name; weights are fetched at their first use."""
    max_megabytes: Annotated[float | int, option(above=0)] = 50.0
    """Largest request body."""
    max_megapixels: Annotated[float | int, option(above=0)] = 24.0
    """Largest photograph."""
    time_limit: Annotated[float | int, option(above=0, unit="seconds")] = 60.0
    """Seconds after which a request is given up, its wait in the queue included."""

    limits: Annotated[ServerLimits, option(hidden=True)] = field(default_factory=ServerLimits)

    def tokens(self) -> tuple[str, ...]:
        """Tokens of which a request has to send one; none here, because a page cannot send one."""
        return ()

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of the models that requests may choose, the default first."""
        return tuple(dict.fromkeys((self.model, *split_at_commas(self.offer or ""))))

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

    GROUPS: ClassVar[Groups] = {
        **ServerOptions.GROUPS,
        "Access": ("token_file", *ServerOptions.GROUPS["Access"], "origins"),
    }

    token_file: Annotated[Path | None, option(metavar="FILE")] = None
    """File with one token in a line. Requests must send one of them as 'Authorization: Bearer
    TOKEN'. The environment variable RILIEVO_SERVE_TOKEN holds one token in place of a file."""

    origins: Annotated[str, option(comma_separated=True, metavar="ORIGIN,...|*")] = ""
    """Origins of other hosts whose web pages may call the server, such as https://blog.example.com;
    by default none. '*' lets every page in; a page of the internet reaches a server of a private
    network only where it is named. Cookies are never used: a page sends a token itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.calling_origins

    @property
    def calling_origins(self) -> tuple[str, ...]:
        """Other origins whose pages may call the server, or ``*`` for all."""
        allows_all = split_at_commas(self.origins) == ["*"]
        return ("*",) if allows_all else parse_origins("origins", self.origins)

    def tokens(self) -> tuple[str, ...]:
        """Tokens of which a request has to send one; without any, everybody may call.

        Raises:
            OptionError: If a token is too short, or the file has none.
        """
        tokens = []
        if os.environ.get(TOKEN_VARIABLE):
            tokens.append(os.environ[TOKEN_VARIABLE])
        if self.token_file is not None:
            lines = [line.strip() for line in read_text(self.token_file).splitlines()]
            lines = [line for line in lines if line]
            if not lines:
                raise OptionError(
                    option="token_file",
                    problem=f"{printable(self.token_file)}: holds no token",
                )
            tokens += lines
        for token in tokens:
            if len(token) < _MIN_TOKEN_LENGTH or not token.isascii() or " " in token:
                raise OptionError(
                    f"a token has {_MIN_TOKEN_LENGTH} or more ASCII characters and no space, got "
                    f"one of {len(token)}: make one with 'openssl rand -hex 32'"
                )
        return tuple(tokens)


_PACKAGES = {"models": ("torch", "transformers", "diffusers")}
"""Packages of an extra."""


@dataclass(frozen=True, kw_only=True)
class AppOptions(ServerOptions):
    """Address of the page, and limits for its visitors."""

    GROUPS: ClassVar[Groups] = {
        **ServerOptions.GROUPS,
        "Address": (*ServerOptions.GROUPS["Address"], "open", "embed_origins"),
        "Limits": (*ServerOptions.GROUPS["Limits"], "keep_minutes"),
    }

    port: Annotated[int, option(minimum=0, maximum=65535)] = 7860
    """Port of the page; 0 takes a free one."""
    open: bool = False
    """Open the page in this machine's browser."""
    embed_origins: Annotated[str | None, option(comma_separated=True, metavar="ORIGIN,...")] = None
    """Origins whose pages may embed results, in a view without uploads, such as
    https://blog.example.com, separated by commas; by default none."""
    offer: Annotated[str | None, option(comma_separated=True, metavar="NAME,...|all")] = None
    """Other models that visitors may choose, separated by commas; weights are downloaded at first
    use. 'all' is every model whose extra is installed, which is the default if only this machine
    can reach the page; otherwise the default is none. Paid models are never offered."""
    keep_minutes: Annotated[float | int, option(above=0)] = 60.0
    """Minutes without use after which results are deleted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.embedding_origins

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
            names = list(_names_of_free_loadable_models())
        return tuple(dict.fromkeys((self.model, *names)))


def _names_of_free_loadable_models() -> Iterator[str]:
    paid = {card.name for card in replicate_cards.listed_cards()}
    for card in MODELS.values():
        if card.kind is not None and card.name not in paid and _has_packages_installed(card):
            yield card.name


def _has_packages_installed(card: ModelCard) -> bool:
    packages = _PACKAGES.get(card.extra or "", ())
    return all(find_spec(package) is not None for package in packages)

"""Options of ``rilievo app``: those of ``rilievo serve``, and limits of videos and results."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.errors import OptionError
from rilievo.models import MODELS
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import find_file
from rilievo.models.default.embedded_cards import SEPARATE
from rilievo.models.replicate import replicate_cards
from rilievo.options.option_record import Rule, check_rules
from rilievo.serving.address.address_options import is_count, is_positive
from rilievo.serving.server.serve_options import ServeOptions

_ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:\d{1,5})?", re.IGNORECASE | re.ASCII)
_PACKAGES = {"models": ("torch", "transformers", "diffusers")}
_RULES: tuple[Rule, ...] = (
    ("max_frames", is_count, "1 or more"),
    ("max_seconds", is_positive, "a positive number"),
    ("video_limit", is_positive, "a positive number"),
    ("keep_minutes", is_positive, "a positive number"),
    ("keep_megabytes", is_positive, "a positive number"),
)


@dataclass(frozen=True, kw_only=True)
class AppOptions(ServeOptions):
    """Address of the page, and limits for its visitors."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **ServeOptions.GROUPS,
        "Address": (*ServeOptions.GROUPS["Address"], "open", "embed_origins"),
        "Limits": (
            *ServeOptions.GROUPS["Limits"],
            "max_seconds",
            "max_frames",
            "video_limit",
            "keep_minutes",
            "keep_megabytes",
        ),
    }

    token_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Refused, as a page sends no token: put it behind a proxy that asks for a password, or take
    'rilievo serve'."""
    port: int = 7860
    """Port of the page; 0 takes a free one."""
    open: bool = False
    """Open the page in this machine's browser."""
    embed_origins: Annotated[str | None, tyro.conf.arg(metavar="ORIGIN,...")] = None
    """Origins whose pages may embed results, in a view without uploads, such as
    https://blog.example.com, separated by commas; by default none."""
    offer: Annotated[str | None, tyro.conf.arg(metavar="NAME,...|all")] = None
    """Other models that visitors may choose, separated by commas; weights are downloaded at first
    use. 'all' is every model whose extra is installed, which is the default if only this machine
    can reach the page; otherwise the default is none. Paid models are never offered."""
    max_seconds: float | int = 60.0
    """Longest video [s]."""
    max_frames: int = 1800
    """Most frames of a video."""
    video_limit: float | int = 900.0
    """Time after which work on a video stops [s]."""
    keep_minutes: float | int = 60.0
    """Minutes without use after which results are deleted."""
    keep_megabytes: float | int = 2000.0
    """Most disk space for results [MB]; one visitor has at most half, and the oldest are deleted
    first."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_file is not None:
            raise OptionError(
                "--token-file: the page asks for no token; put it behind a proxy that asks for a "
                "password, or take 'rilievo serve'"
            )
        for each in self.embedding:
            if _ORIGIN.fullmatch(each) is None:
                raise OptionError(
                    f"--embed-origins: '{each}' is no origin; name scheme and host, such as "
                    "https://blog.example.com"
                )
        check_rules(self, _RULES)

    @property
    def embedding(self) -> tuple[str, ...]:
        """Origins whose pages may embed results."""
        given = (self.embed_origins or "").split(",")
        return tuple(each.strip().rstrip("/") for each in given if each.strip())

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of models that visitors may choose, the first one selected."""
        asked = ("all" if self.is_private else "") if self.offer is None else self.offer
        names = [name.strip() for name in asked.split(",") if name.strip()]
        if "all" in names:
            names = list(_available())
        return tuple(dict.fromkeys((self.model, *names)))

    def tokens(self) -> tuple[str, ...]:
        """No token, whatever the environment says: a page cannot send one."""
        return ()


def _available() -> Iterator[str]:
    """Names of the free models of depth that need nothing but a download."""
    paid = {card.name for card in replicate_cards.listed_cards()}
    for card in MODELS.values():
        if card.kind is not None and card.name not in paid and _can_load(card):
            yield card.name


def _can_load(card: ModelCard) -> bool:
    if card.loader == SEPARATE and find_file(card) is None:
        return False
    packages = _PACKAGES.get(card.extra or "", ())
    return all(find_spec(package) is not None for package in packages)

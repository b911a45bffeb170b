"""Options of ``rilievo predict`` and ``rilievo.stream``, and of work in several processes."""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from inspect import Signature
from pathlib import Path
from typing import Annotated, Any, ClassVar, Unpack

import numpy as np

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.model_options import Network
from rilievo.options.camera_forms import CameraOptions
from rilievo.options.keywords import PredictKeywords
from rilievo.options.known_sizes import KnownSizes
from rilievo.options.live_options import LIVE_DEFAULTS, live_option_names, reason_not_live
from rilievo.options.photo_options import AnchorOptions, PhotoOptions, Refine
from rilievo.options.run_options import Saving, Speed, VideoOptions
from rilievo.schema.fields import (
    FieldsByTitle,
    Record,
    check_keywords,
    list_options,
    option,
    signature_with,
)

LOCAL = "local"
"""Value of ``--ray`` for a cluster on this machine."""
RECORDS: Mapping[str, type[Record]] = {
    "saving": Saving,
    "network": Network,
    "view": CameraOptions,
    "sizes": KnownSizes,
    "surface": AnchorOptions,
    "refine": Refine,
    "speed": Speed,
    "video": VideoOptions,
}
"""Groups of the options of ``rilievo predict``, in the order of its help."""


@dataclass(frozen=True, kw_only=True, init=False)
class PredictOptions(PhotoOptions):
    """Options of ``rilievo predict``, all as keywords: ``PredictOptions(save="ply", fov=60)``.

    Examples:
        >>> rilievo.PredictOptions(save="ply", fov=60).view.fov
        60

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    saving: Annotated[Saving, option(inline=True)]
    network: Annotated[Network, option(inline=True)]
    speed: Annotated[Speed, option(inline=True)]
    video: Annotated[VideoOptions, option(inline=True)]

    RECORDS: ClassVar[Mapping[str, type[Record]]] = RECORDS
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {"Options": tuple(RECORDS)}
    __signature__: ClassVar[Signature]

    def __init__(self, **keywords: Unpack[PredictKeywords]) -> None:
        super().__init__(**keywords)
        for name, value in (
            ("sparse", self.sizes.sparse),
            ("valid_mask", self.refine.valid_mask),
        ):
            if isinstance(value, np.ndarray):
                raise OptionError(
                    problem=Text(
                        OptionName(name), " must be a file; only rilievo.predict takes an array"
                    )
                )


# A written signature would state each option a second time.
PredictOptions.__signature__ = signature_with(PredictOptions, RECORDS.values())


STREAM_RECORDS: Mapping[str, type[Record]] = {
    name: record for name, record in RECORDS.items() if record is not Saving
}
"""Groups of the options of ``rilievo.stream``."""
STREAM_NAMES = tuple(
    name
    for record in STREAM_RECORDS.values()
    for name in live_option_names(record, draws_pictures=False)
)
"""Names of the keywords of ``rilievo.stream``."""


@dataclass(frozen=True, kw_only=True, init=False)
class StreamOptions(PhotoOptions):
    """Options of a live stream: those of ``PredictOptions`` that make sense for one.

    Raises:
        OptionError: If a stream does not have an option, one is out of range, two do not go
            together, or a known size does not hold for all frames.
    """

    network: Annotated[Network, option(inline=True)]
    speed: Annotated[Speed, option(inline=True)]
    video: Annotated[VideoOptions, option(inline=True)]

    RECORDS: ClassVar[Mapping[str, type[Record]]] = STREAM_RECORDS

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**LIVE_DEFAULTS, **options})
        _check_sizes_of_stream(self.sizes)


def check_options_are_live(names: Iterable[str]) -> None:
    """Raise an error for keywords that ``rilievo.stream`` does not have.

    Raises:
        OptionError: If it is an option of ``rilievo predict``; the message says why a stream does
            not have it.
        TypeError: If there is no such option at all.
    """
    names = [*names]
    reasons = {
        option.name: reason_not_live(option, draws_pictures=False)
        for option in list_options(PredictOptions)
    }
    for name in names:
        reason = reasons.get(name)
        if reason is not None:
            raise OptionError(
                problem=Text("rilievo.stream has no option ", OptionName(name), f": {reason}")
            )
    check_keywords("stream", names, ["model", "quality", "newest", *STREAM_NAMES])


def _check_sizes_of_stream(sizes: KnownSizes) -> None:
    """Raise ``OptionError`` if known sizes hold for a single frame only."""
    if isinstance(sizes.sparse, Path) and sizes.sparse.is_dir():
        raise OptionError(
            option="sparse",
            problem=f"{sizes.sparse} is a folder; give a single file, which applies to all frames "
            "of the stream",
        )
    if sizes.same_camera:
        return
    given_names = [name for name in _SINGLE_PHOTO_OPTIONS if _is_given(getattr(sizes, name))]
    if given_names:
        raise OptionError(
            problem=Text(
                OptionName(given_names[0]),
                " applies to one photograph, but each frame of a stream has its own scale: add ",
                OptionName("same_camera"),
                " if neither the camera nor the known objects move",
            )
        )


_SINGLE_PHOTO_OPTIONS = ("known", "known_length", "known_rectangle", "known_circle", "sparse")


def _is_given(value: object) -> bool:
    """Whether an option is set: neither None nor an empty list."""
    is_empty_list = isinstance(value, tuple) and not value
    return value is not None and not is_empty_list


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of several parts of the inputs, which are of about equal size.

    An input belongs to a part by a hash of its name, so that parts need no communication. Parts are
    numbered from 1 to ``count``.
    """

    number: int
    count: int

    def contains(self, name: str) -> bool:
        """Whether the input with this name belongs to this part."""
        checksum = zlib.crc32(name.encode(errors="surrogatepass"))
        return checksum % self.count == self.number - 1


def parse_shard(text: str) -> Shard:
    """Parse "I/N" as the Ith of N parts.

    Raises:
        OptionError: If the text is anything else.
    """
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise OptionError(
            option="shard", expected="I/N with I from 1 to N, such as 1/4", value=text
        )
    return Shard(number=int(number), count=int(count))


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Which part of the work to do, and on which machines.

    Raises:
        OptionError: If ``shard`` is not I/N with I from 1 to N.
    """

    HELP_TITLE: ClassVar[str] = "Many processes and machines"

    shard: Annotated[str | None, option(metavar="I/N")] = None
    """Process only part I of N, for example 1/4. Make one call per machine or job, with the same
    inputs, options and output. Parts may run at the same time, in any order, and repeatedly.
    """
    ray: Annotated[str | None, option(metavar="local|ADDRESS")] = None
    """Distribute the work over a Ray cluster (extra 'cluster'). Give local to start one on this
    machine for this run, or the address of a cluster, such as auto or 10.0.0.1:6379."""

    def __post_init__(self) -> None:
        if self.shard is not None:
            parse_shard(self.shard)

    @property
    def selected_shard(self) -> Shard:
        """Part to do, by default all."""
        return Shard(number=1, count=1) if self.shard is None else parse_shard(self.shard)


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ClusterOptions):
    """Which part of the work to do, on which machines, and in how many processes.

    Raises:
        OptionError: If an option is out of range.
    """

    workers: Annotated[int | None, option(in_short_help=True, metavar="N")] = None
    """Number of processes; each loads the model, and they share the cores. By default 1, or with
    --ray one per core of the cluster."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None and self.workers < 1:
            raise OptionError(option="workers", expected="1 or more", value=self.workers)

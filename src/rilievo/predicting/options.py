"""Options of ``rilievo predict``, and of dividing its work."""

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
from rilievo.options.photo_options import FLAT, AnchorOptions, PhotoOptions, Refine
from rilievo.options.run_options import Saving, Speed, VideoOptions
from rilievo.schema.fields import (
    Groups,
    Record,
    option,
    options_of,
    refuse_unknown_keywords,
    signature_with,
)

LOCAL = "local"
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
"""Records in the order of the help."""


@dataclass(frozen=True, kw_only=True, init=False)
class PredictOptions(PhotoOptions):
    """Options of ``rilievo predict``, given flat: ``PredictOptions(save="ply", fov=60)``.

    Examples:
        >>> rilievo.PredictOptions(save="ply", fov=60).view.fov
        60

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    saving: Annotated[Saving, FLAT]
    network: Annotated[Network, FLAT]
    speed: Annotated[Speed, FLAT]
    video: Annotated[VideoOptions, FLAT]

    RECORDS: ClassVar[Mapping[str, type[Record]]] = RECORDS
    GROUPS: ClassVar[Groups] = {"Options": tuple(RECORDS)}
    __signature__: ClassVar[Signature]

    def __init__(self, **keywords: Unpack[PredictKeywords]) -> None:
        super().__init__(**keywords)
        if isinstance(self.sizes.sparse, np.ndarray):
            raise OptionError(
                problem=Text(
                    OptionName("sparse"),
                    " is a file or folder here; rilievo.predict takes an array",
                )
            )


# A written signature would state each option a second time.
PredictOptions.__signature__ = signature_with(PredictOptions, RECORDS.values())


STREAM_RECORDS: Mapping[str, type[Record]] = {
    name: record for name, record in RECORDS.items() if record is not Saving
}
"""Records of ``rilievo.stream``."""
STREAM_NAMES = tuple(
    name for record in STREAM_RECORDS.values() for name in live_option_names(record, draws=False)
)
"""Options of ``rilievo.stream``, whose keywords they are."""


@dataclass(frozen=True, kw_only=True, init=False)
class StreamOptions(PhotoOptions):
    """Options of a live stream: those of ``PredictOptions`` that a stream has, given flat.

    Raises:
        OptionError: If a stream does not have an option, one is out of range, two do not go
            together, or a known size is not that of all frames.
    """

    network: Annotated[Network, FLAT]
    speed: Annotated[Speed, FLAT]
    video: Annotated[VideoOptions, FLAT]

    RECORDS: ClassVar[Mapping[str, type[Record]]] = STREAM_RECORDS

    def __init__(self, **options: Any) -> None:
        super().__init__(**{**LIVE_DEFAULTS, **options})
        _check_sizes_of_stream(self.sizes)


def refuse_options_not_live(names: Iterable[str]) -> None:
    """Refuse keywords of ``rilievo.stream`` that a stream does not have.

    Raises:
        OptionError: If ``rilievo predict`` has such an option.
        TypeError: If nothing has.
    """
    names = [*names]
    reasons = {
        option.name: reason_not_live(option, draws=False) for option in options_of(PredictOptions)
    }
    for name in names:
        reason = reasons.get(name)
        if reason is not None:
            raise OptionError(
                problem=Text("rilievo.stream takes no ", OptionName(name), f": {reason}")
            )
    refuse_unknown_keywords("stream", names, ["model", "quality", "newest", *STREAM_NAMES])


def _check_sizes_of_stream(sizes: KnownSizes) -> None:
    """Refuse a known size of one frame, as of one among many photographs."""
    if isinstance(sizes.sparse, Path) and sizes.sparse.is_dir():
        raise OptionError(
            option="sparse",
            problem=f"{sizes.sparse} is a folder; a stream takes one file, of all its frames",
        )
    if sizes.same_camera:
        return
    known = [OptionName(name) for name in _KNOWN_OF_ONE if _is_given(getattr(sizes, name))]
    if known:
        raise OptionError(
            problem=Text(
                known[0],
                " belongs to one photograph, and each frame of a stream has its own scale: give ",
                OptionName("same_camera"),
                " if neither the camera nor what is known moves",
            )
        )


_KNOWN_OF_ONE = ("known", "known_length", "known_rectangle", "sparse")


def _is_given(value: object) -> bool:
    return value is not None and not (isinstance(value, tuple) and not value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One part of the inputs, by their names alone, so parts run anywhere and are about equal."""

    number: int
    count: int

    def takes(self, name: str) -> bool:
        """Whether it has the input of a name."""
        return zlib.crc32(name.encode(errors="surrogatepass")) % self.count == self.number - 1


def parse_share(text: str) -> Share:
    """Parse "i/n" as the ith of n parts."""
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise OptionError(option="shard", expected="I/N, such as 1/4 to 4/4", value=text)
    return Share(number=int(number), count=int(count))


@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Part of the work, and machines.

    Raises:
        OptionError: If ``shard`` is not I/N with I from 1 to N.
    """

    GROUP: ClassVar[str] = "Many processes and machines"

    shard: Annotated[str | None, option(metavar="I/N")] = None
    """Do only the Ith of N parts: one call per machine or job, with the same inputs, options and
    output. Parts may run at once, in any order, and repeatedly."""
    ray: Annotated[str | None, option(metavar="local|ADDRESS")] = None
    """Distribute the work over a Ray cluster (extra 'cluster'): one started on this machine for
    this run (local), or the one at an address, such as auto or 10.0.0.1:6379."""

    def __post_init__(self) -> None:
        if self.shard is not None:
            parse_share(self.shard)

    @property
    def share(self) -> Share:
        """Part to do, by default all."""
        return Share(number=1, count=1) if self.shard is None else parse_share(self.shard)


@dataclass(frozen=True, kw_only=True)
class BatchOptions(ClusterOptions):
    """Part of the work, machines, and number of processes.

    Raises:
        OptionError: If an option is out of range.
    """

    workers: Annotated[int | None, option(first=True, metavar="N")] = None
    """Number of processes; each loads the model, and they share the cores. By default 1, or with
    --ray one per core of the cluster."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.workers is not None and self.workers < 1:
            raise OptionError(option="workers", expected="1 or more", value=self.workers)

"""Options of evaluations."""

import os
import shlex
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.alignment import AlignMethod
from rilievo.errors import OptionError, unknown_choice
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Invalid
from rilievo.evaluation.foreign_confidence import ForeignConfidence
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.evaluation.stored_predictions import KNOWN_CONFIDENCES
from rilievo.extensions.trust import CodePlace, is_import_path
from rilievo.io.depth.crops import StatedPlacement, parse_placement
from rilievo.io.depth.encoding import NumberEncoding, parse_encoding
from rilievo.models.model_options import ModelOptions
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import Groups, OptionField, option, options_of

_NOT_REPEATED = ("yes", "trust_code", "workers")
"""Options that the recorded command leaves out: consent to costs and code, and speed."""


def _absolute_path(path: str | Path) -> str:
    """Absolute path of an existing file or folder; any other text is returned unchanged."""
    return os.path.abspath(path) if os.path.exists(path) else str(path)


def ignore_pillow_warnings() -> None:
    """Hide Pillow's warnings, such as those about corrupt metadata."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Images of a dataset, and what the numbers of their predictions mean."""

    GROUP: ClassVar[str] = "Images"

    split: Annotated[str | None, option(in_short_help=True, metavar="NAME")] = None
    """Split of the dataset; by default the benchmark's, or the one that papers score."""
    variant: Annotated[str | None, option(in_short_help=True, metavar="NAME")] = None
    """Variant of the dataset's ground truth; by default the benchmark's, or its first."""
    kind: Annotated[str | None, option(in_short_help=True, metavar="KIND")] = None
    """Meaning of the numbers of other programs' predictions, or of the depth of an unknown
    checkpoint: metric; up_to_scale; affine (Marigold); affine_inverse, which is inverse depth with
    an unknown shift (MiDaS, DPT, Depth Anything); disparity, of predictions alone, which is inverse
    depth without a shift (Monodepth2). Files of rilievo say it themselves.
    """
    limit: Annotated[int | None, option(in_short_help=True, metavar="N")] = None
    """Number of images, from the first; by default all."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise OptionError(option="limit", expected="1 or more", value=self.limit)
        _ = self.value_encoding  # raises for an unknown kind

    @property
    def value_encoding(self) -> ValueEncoding:
        """Meaning of the values in files of predictions."""
        if self.kind is None:
            return ValueEncoding(number_kind=None)
        if self.kind not in list(NumberKind):
            raise unknown_choice("kind", self.kind, NumberKind)
        return ValueEncoding(number_kind=NumberKind(self.kind))


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ImageOptions, ModelOptions):
    """Options of an evaluation, besides model, benchmark and root.

    Examples:
        >>> rilievo.EvaluateOptions(dataset="folder", limit=10).limit
        10

    Raises:
        OptionError: If one is out of range or two do not go together.
    """

    GROUPS: ClassVar[Groups] = {
        "Images": ("dataset", "split", "variant", "list_file", "limit"),
        "Predictions of other programs": (
            "predictions",
            "pattern",
            "kind",
            "scale",
            "crop",
            "encoding",
            "sure",
            "invalid",
        ),
        "Model and speed": (
            "settings",
            "yes",
            "flip",
            "confidence",
            "device",
            "engine",
            "precision",
            "workers",
            "trust_code",
        ),
    }
    GROUP: ClassVar[str] = "Benchmark and output"

    output: Annotated[
        Path | None, option(in_short_help=True, aliases=("-o",), metavar="FOLDER")
    ] = None
    """Folder for results and predictions; by default runs/MODEL-BENCHMARK. An evaluation that was
    stopped goes on there.
    """
    dataset: Annotated[str | None, option(in_short_help=True, metavar="NAME")] = None
    """Dataset for benchmarks that fit any: a name that 'rilievo datasets' lists, or
    package.module:Class.
    """
    predictions: Annotated[Path | None, option(in_short_help=True, metavar="FOLDER|FILE.npy")] = (
        None
    )
    """Score this folder of predictions, of any program: npy, npz, 16-bit PNG, TIFF, EXR or PFM
    files named by the images' ids, or results of rilievo. Or one npy file with a map for each
    image, in the split's order, such as Monodepth2's disps_eigen_split.npy.
    """
    list_file: Annotated[Path | None, option(in_short_help=True, name="list", metavar="FILE")] = (
        None
    )
    """Your own list of images in place of the split's."""
    scale: Annotated[
        float | None, option(in_short_help=True, metavar="METRES", names_unit=True)
    ] = None
    """Metres of one stored unit of those predictions, such as 0.001, 1/256 or mm. With --kind
    disparity, depth is these metres over the stored number: 5.4 for Monodepth2's stereo models."""
    crop: Annotated[str | None, option(metavar="TOP,LEFT,HEIGHT,WIDTH|WORD")] = None
    """Part that those predictions are of [px], in the picture that the benchmark shows: numbers, or
    nyu_eigen, nyu_square, kitti_garg, kitti_eigen, kitti_benchmark or centre. Or resized: all of
    the picture, in the size that the network gave. Equal sizes and whole multiples need none.
    """
    encoding: Annotated[str | None, option(metavar="KEY=VALUE...")] = None
    """What the numbers of those predictions hold besides depth: pairs of scale, offset, invalid,
    bits, channels, min_depth, max_depth and array, such as "bits=3,13 invalid=0,65535".
    """
    pattern: Annotated[str | None, option(in_short_help=True, metavar="PATTERN")] = None
    """Name of an image's file below the folder of predictions, with {id}, such as 'pred_{id}.npy'
    or '{id}/depth.exr'. Marigold's and MoGe's names are known.
    """
    sure: Annotated[str | None, option(metavar="NAME")] = None
    """Confidences of those predictions: moge, depth-anything-3, unidepth or metric3d, whose files
    are known; or the meaning of an array 'confidence' beside 'depth' in npz files: probability
    (that depth is right within a factor of 1.25), higher (surer), lower (an uncertainty).
    """
    invalid: Annotated[str | None, option(metavar="RULE")] = None
    """Treatment of pixels that count but have no prediction (NaN, infinite, 0 of whole numbers), in
    place of the benchmark's, which is skip: skip leaves them out and counts them, refuse leaves the
    image without a score, far scores them at the far end: of the benchmark's clip, else its cap,
    else the image's largest true depth.
    """
    align: Annotated[str | None, option(in_short_help=True, metavar="METHOD")] = None
    """Another alignment than the benchmark's: none, median, scale, scale_shift,
    inverse_scale_shift, log, robust_scale, robust_scale_shift; or package.module:function.
    """
    metrics: Annotated[
        str | None,
        option(
            comma_separated=True,
            in_short_help=True,
            metavar="NAME,...",
            expected="text such as 'abs_rel,delta*'",
        ),
    ] = None
    """Metrics to compute, in place of the benchmark's, the leading one first: names, patterns such
    as 'delta*', 'own' for those of the benchmark, or package.module:NAME. 'rilievo benchmarks NAME'
    lists its own.
    """
    workers: Annotated[int | None, option(in_short_help=True, metavar="N")] = None
    """Processes that predict, and that score; by default one predicts and one a core scores."""
    threads: Annotated[int | None, option(hidden=True)] = None
    """Threads of the network; by default one per core."""

    def __post_init__(self) -> None:
        ImageOptions.__post_init__(self)
        ModelOptions.__post_init__(self)
        for name in ("output", "predictions", "list_file"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise OptionError(option="scale", expected="a positive number", value=self.scale)
        if self.workers is not None and self.workers < 1:
            raise OptionError(option="workers", expected="1 or more", value=self.workers)

        # Each of these raises if its option cannot be parsed.
        _ = self.depth_kind, self.method, self.model_settings, self.invalid_pixels
        _ = self.foreign_confidence, self.stated_place
        if self.scale is not None and self.number_encoding.scale is not None:
            raise OptionError(
                option="scale",
                problem=Text("and the scale of ", OptionName("encoding"), " say the same"),
                hint="give one of them",
            )
        if self.predictions is None:
            self._refuse_options_of_predictions()
        elif self.settings:
            raise OptionError(
                option="set",
                problem=Text(
                    "is for a model, but ", OptionName("predictions"), " are made already"
                ),
                hint="give one",
            )

    def _refuse_options_of_predictions(self) -> None:
        """Refuse options that describe files of predictions, where a model predicts."""
        for name in ("scale", "crop", "encoding", "pattern", "sure"):
            if getattr(self, name) is not None:
                raise OptionError(
                    option=name,
                    problem=Text("says what ", OptionName("predictions"), " are"),
                    hint="give that folder too",
                )
        if self.kind == NumberKind.DISPARITY:
            raise OptionError(
                option="kind",
                problem=Text("disparity says what ", OptionName("predictions"), " are"),
                hint="a model that answers with inverse depth is affine_inverse",
            )

    @property
    def value_encoding(self) -> ValueEncoding:
        """Meaning of the values in files of predictions, with the scale of ``--scale``."""
        encoding = super().value_encoding
        return encoding if self.scale is None else replace(encoding, scale=float(self.scale))

    @property
    def stated_place(self) -> StatedPlacement | None:
        """Part of the picture that the predictions are of; None if the user does not say."""
        return None if self.crop is None else parse_placement(self.crop)

    @property
    def number_encoding(self) -> NumberEncoding:
        """How files of predictions store depth, as far as the user says."""
        if self.encoding is None:
            return NumberEncoding()
        return parse_encoding(self.encoding, "encoding")

    @property
    def depth_kind(self) -> DepthKind | None:
        """Kind of depth of the predictions or the model; None if the user does not say."""
        return self.value_encoding.kind

    @property
    def foreign_confidence(self) -> ForeignConfidence | None:
        """Where the predictions have their confidences and what these mean; None without."""
        if self.sure is None:
            return None
        if self.sure not in KNOWN_CONFIDENCES:
            raise unknown_choice("sure", self.sure, KNOWN_CONFIDENCES)
        return KNOWN_CONFIDENCES[self.sure]

    @property
    def invalid_pixels(self) -> Invalid | None:
        """Rule for pixels without a prediction, or None for the benchmark's."""
        if self.invalid is None:
            return None
        if self.invalid not in list(Invalid):
            raise unknown_choice("invalid", self.invalid, Invalid)
        return Invalid(self.invalid)

    @property
    def method(self) -> AlignMethod | CodePlace | None:
        """Alignment, or None for the benchmark's."""
        if self.align is None:
            return None
        if is_import_path(self.align):
            return CodePlace(self.align)
        if self.align not in list(AlignMethod):
            raise unknown_choice("align", self.align, AlignMethod)
        return AlignMethod(self.align)

    @property
    def metric_words(self) -> tuple[str, ...] | None:
        """Names and patterns of the metrics to compute, or None for the benchmark's."""
        if self.metrics is None:
            return None
        return tuple(word.strip() for word in self.metrics.split(",") if word.strip())

    def words_by_option(
        self, model: str | None, benchmark: str, root: str | Path | None
    ) -> Mapping[str, tuple[str, ...]]:
        """Options that differ from their defaults, as words of a command line, by option name.

        Existing files and folders become absolute paths.
        """
        words: dict[str, tuple[str, ...]] = {"benchmark": (benchmark,)}
        if model is not None:
            words["model"] = (_absolute_path(model),)
        if root is not None:
            words["root"] = (_absolute_path(root),)
        for setting in self._settings_to_repeat():
            words[setting.name] = tuple(
                _absolute_path(value) if isinstance(value, Path) else str(value)
                for value in self._values_of(setting.name)
            )
        return words

    def command_line(self, model: str | None, benchmark: str, root: str | Path | None) -> str:
        """Command that repeats an evaluation with these options."""
        words = ["rilievo", "evaluate"]
        for flag, value in (("--model", model), ("--benchmark", benchmark), ("--root", root)):
            if value is not None:
                words += [flag, str(value)]
        for setting in self._settings_to_repeat():
            if setting.is_switch:
                words.append(setting.flag)
                continue
            for value in self._values_of(setting.name):
                words += [setting.flag, str(value)]
        return shlex.join(words)

    def _settings_to_repeat(self) -> Iterator[OptionField]:
        for setting in options_of(EvaluateOptions):
            is_default = getattr(self, setting.name) == setting.default
            if not is_default and setting.name not in _NOT_REPEATED:
                yield setting

    def _values_of(self, name: str) -> tuple[object, ...]:
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)

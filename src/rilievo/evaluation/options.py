"""Options of evaluations."""

import os
import shlex
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.alignment.ground_truth import AlignMethod
from rilievo.errors import OptionError, unknown_choice
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Invalid
from rilievo.evaluation.foreign_confidence import KNOWN_CONFIDENCES, ForeignConfidence
from rilievo.evaluation.stored_numbers import NumberKind, ValueEncoding
from rilievo.extensions.trust import CodePlace, is_import_path
from rilievo.io.depth.crops import RequestedPlacement, parse_placement
from rilievo.io.depth.encoding import NumberEncoding, parse_encoding
from rilievo.models.model_options import ModelOptions
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import FieldsByTitle, OptionField, list_options, option

_UNRECORDED_OPTIONS = ("yes", "trust_code", "workers")
"""Options that the recorded command leaves out: consent to costs and code, and speed."""
FILE_OPTIONS = ("scale", "crop", "encoding", "pattern", "sure")
"""Options that describe files of predictions, besides the kind of depth."""
_PARSED_TEXTS = (
    *("depth_kind", "method", "model_settings", "invalid_pixels"),
    *("foreign_confidence", "requested_crop"),
)
"""Properties that parse an option given as text, and raise an OptionError if it is wrong. They are
parsed when the options are made, and cached."""


def _absolute_path(path: str | Path) -> str:
    """Make the path of an existing file or folder absolute; other text is returned unchanged."""
    return os.path.abspath(path) if os.path.exists(path) else str(path)


def ignore_pillow_warnings() -> None:
    """Hide Pillow's warnings, such as those about corrupt metadata."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Images of a dataset, and what the numbers of their predictions mean."""

    HELP_TITLE: ClassVar[str] = "Images"

    split: Annotated[str | None, option(in_short_help=True, metavar="NAME")] = None
    """Split of the dataset; by default that of the benchmark, or the one that papers use."""
    variant: Annotated[str | None, option(in_short_help=True, metavar="NAME")] = None
    """Variant of the dataset's ground truth; by default that of the benchmark, or the first."""
    kind: Annotated[str | None, option(in_short_help=True, metavar="KIND")] = None
    """Kind of depth in predictions from other programs, or from an unknown checkpoint: metric;
    up_to_scale; affine (Marigold); affine_inverse, which is inverse depth with an unknown shift
    (MiDaS, DPT, Depth Anything); or, for prediction files only, disparity, which is inverse depth
    without a shift (Monodepth2). Files from rilievo state their kind.
    """
    limit: Annotated[int | None, option(in_short_help=True, metavar="N")] = None
    """Use only the first N images that have files; by default all."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise OptionError(option="limit", expected="1 or more", value=self.limit)
        if self.kind is not None and self.kind not in list(NumberKind):
            raise unknown_choice("kind", self.kind, NumberKind)

    @property
    def value_encoding(self) -> ValueEncoding:
        """Meaning of the values in files of predictions."""
        return ValueEncoding(number_kind=None if self.kind is None else NumberKind(self.kind))


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ImageOptions, ModelOptions):
    """Options of an evaluation, besides model, benchmark and root.

    Examples:
        >>> rilievo.EvaluateOptions(dataset="folder", limit=10).limit
        10

    Raises:
        OptionError: If one is out of range or two do not go together.
    """

    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
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
    HELP_TITLE: ClassVar[str] = "Benchmark and output"

    output: Annotated[
        Path | None, option(in_short_help=True, aliases=("-o",), metavar="FOLDER")
    ] = None
    """Folder for results and predictions; by default runs/MODEL-BENCHMARK. An interrupted
    evaluation resumes there.
    """
    dataset: Annotated[str | None, option(in_short_help=True, metavar="NAME")] = None
    """Dataset for benchmarks that work with any dataset: a name that 'rilievo datasets' lists, or
    package.module:Class.
    """
    predictions: Annotated[Path | None, option(in_short_help=True, metavar="FOLDER|FILE.npy")] = (
        None
    )
    """Score predictions from any program instead of a model: a folder with npy, npz, 16-bit PNG,
    TIFF, EXR or PFM files named after the image ids, a folder of rilievo results, or one npy file
    with a map for each image in the split's order, such as Monodepth2's disps_eigen_split.npy.
    """
    list_file: Annotated[Path | None, option(in_short_help=True, name="list", metavar="FILE")] = (
        None
    )
    """File with your own list of images, instead of the split's list."""
    scale: Annotated[
        float | None, option(in_short_help=True, metavar="METRES", names_unit=True)
    ] = None
    """Metres per stored number in the predictions, such as 0.001, 1/256 or mm. With --kind
    disparity, depth is this option's number divided by the stored one: 5.4 for Monodepth2's stereo
    models."""
    crop: Annotated[str | None, option(metavar="TOP,LEFT,HEIGHT,WIDTH|WORD")] = None
    """Part of the benchmark's image that the predictions cover: numbers [px], or nyu_eigen,
    nyu_square, kitti_garg, kitti_eigen, kitti_benchmark or centre. Or 'resized' if they cover the
    whole image at the network's output size. You do not need this option for equal sizes or integer
    multiples.
    """
    encoding: Annotated[str | None, option(metavar="KEY=VALUE...")] = None
    """How the prediction files encode depth: any of scale, offset, invalid, bits, channels,
    min_depth, max_depth and array, such as "bits=3,13 invalid=0,65535".
    """
    pattern: Annotated[str | None, option(in_short_help=True, metavar="PATTERN")] = None
    """File name pattern of the predictions, with {id} for the image id, such as 'pred_{id}.npy' or
    '{id}/depth.exr'. rilievo knows the file names of Marigold and MoGe.
    """
    sure: Annotated[str | None, option(metavar="NAME")] = None
    """Confidence of the predictions: the program whose files contain it (moge, depth-anything-3,
    unidepth or metric3d), or the meaning of an array 'confidence' beside 'depth' in npz files:
    probability (that depth is right within a factor of 1.25), higher (higher is more certain), or
    lower (lower is more certain).
    """
    invalid: Annotated[str | None, option(metavar="RULE")] = None
    """How to treat pixels that should be scored but have no prediction (NaN, infinite, or 0 in
    integer files), if not as the benchmark does (skip). skip leaves them out and reports their
    number; refuse gives the image no score; far scores them at the largest depth: the end of the
    benchmark's clip, or its cap, or the largest true depth of the image.
    """
    align: Annotated[str | None, option(in_short_help=True, metavar="METHOD")] = None
    """Use a different alignment than the benchmark: none, median, scale, scale_shift,
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
    """Metrics to compute instead of the benchmark's, with the leading metric first: names, patterns
    such as 'delta*', 'own' for the benchmark's metrics, or package.module:NAME. 'rilievo benchmarks
    NAME' lists the metrics of a benchmark.
    """
    workers: Annotated[int | None, option(in_short_help=True, metavar="N")] = None
    """Number of processes that predict, and number that score; by default one process predicts and
    one per core scores."""
    threads: Annotated[int | None, option(hidden=True)] = None
    """Threads of the network; by default one per core."""

    def __post_init__(self) -> None:
        """Check each option alone, then the options that describe the same thing."""
        ImageOptions.__post_init__(self)
        ModelOptions.__post_init__(self)
        for name in ("output", "predictions", "list_file"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise OptionError(option="scale", expected="a positive number", value=self.scale)
        if self.workers is not None and self.workers < 1:
            raise OptionError(option="workers", expected="1 or more", value=self.workers)

        for name in _PARSED_TEXTS:
            getattr(self, name)

        if self.scale is not None and self.number_encoding.scale is not None:
            raise OptionError(
                option="scale",
                problem=Text("and the scale in ", OptionName("encoding"), " state the same thing"),
                hint="give only one of them",
            )
        if self.predictions is None:
            self._require_no_file_options()
        elif self.settings:
            raise OptionError(
                option="set",
                problem=Text(
                    "only applies to a model, but you gave ",
                    OptionName("predictions"),
                ),
                hint="give only one of them",
            )

    def _require_no_file_options(self) -> None:
        """Raise an OptionError if an option describes files, because a model predicts."""
        for name in FILE_OPTIONS:
            if getattr(self, name) is not None:
                raise OptionError(
                    option=name,
                    problem=Text(
                        "only applies to ", OptionName("predictions"), ", which you did not give"
                    ),
                    hint=Text("give both, or leave ", OptionName(name), " out"),
                )
        if self.kind == NumberKind.DISPARITY:
            raise OptionError(
                option="kind",
                problem=Text("disparity only applies to ", OptionName("predictions")),
                hint="for a model that predicts inverse depth, choose affine_inverse",
            )

    @cached_property
    def value_encoding(self) -> ValueEncoding:
        """Meaning of the values in files of predictions, with the scale of ``--scale``."""
        encoding = super().value_encoding
        return encoding if self.scale is None else replace(encoding, scale=float(self.scale))

    @cached_property
    def requested_crop(self) -> RequestedPlacement | None:
        """Part of the picture that the predictions show; None if the user does not say."""
        return None if self.crop is None else parse_placement(self.crop)

    @cached_property
    def number_encoding(self) -> NumberEncoding:
        """How files of predictions store depth, as far as the user says."""
        if self.encoding is None:
            return NumberEncoding()
        return parse_encoding(self.encoding, "encoding")

    @property
    def depth_kind(self) -> DepthKind | None:
        """Kind of depth of the predictions or the model; None if the user does not say."""
        return self.value_encoding.kind

    @cached_property
    def foreign_confidence(self) -> ForeignConfidence | None:
        """Where the predictions have confidences and what these mean; None if they have none."""
        if self.sure is None:
            return None
        if self.sure not in KNOWN_CONFIDENCES:
            raise unknown_choice("sure", self.sure, KNOWN_CONFIDENCES)
        return KNOWN_CONFIDENCES[self.sure]

    @cached_property
    def invalid_pixels(self) -> Invalid | None:
        """Rule for pixels without a prediction, or None for the benchmark's."""
        if self.invalid is None:
            return None
        if self.invalid not in list(Invalid):
            raise unknown_choice("invalid", self.invalid, Invalid)
        return Invalid(self.invalid)

    @cached_property
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
        for field in self._recorded_fields():
            words[field.name] = tuple(
                _absolute_path(value) if isinstance(value, Path) else str(value)
                for value in self._option_values(field.name)
            )
        return words

    def command_line(self, model: str | None, benchmark: str, root: str | Path | None) -> str:
        """Command that repeats an evaluation with these options."""
        words = ["rilievo", "evaluate"]
        for flag, value in (("--model", model), ("--benchmark", benchmark), ("--root", root)):
            if value is not None:
                words += [flag, str(value)]
        for field in self._recorded_fields():
            if field.is_switch:
                words.append(field.flag)
                continue
            for value in self._option_values(field.name):
                words += [field.flag, str(value)]
        return shlex.join(words)

    def _recorded_fields(self) -> Iterator[OptionField]:
        """Yield the options that differ from their defaults and influence the results."""
        for field in list_options(EvaluateOptions):
            is_default = getattr(self, field.name) == field.default
            if not is_default and field.name not in _UNRECORDED_OPTIONS:
                yield field

    def _option_values(self, name: str) -> tuple[object, ...]:
        """Values of an option that may be given several times, or the only value."""
        value = getattr(self, name)
        return value if isinstance(value, tuple) else (value,)

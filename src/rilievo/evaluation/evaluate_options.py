"""Options of ``rilievo evaluate``: their names, defaults, help, checks."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.alignment import AlignMethod
from rilievo.errors import OptionError, suggest
from rilievo.evaluation.benchmarks.benchmark import Invalid
from rilievo.evaluation.peer_confidences import PeerConfidence, find_peer
from rilievo.evaluation.stored import DISPARITY, Stored, stored_as
from rilievo.models.model_options import ModelOptions
from rilievo.plugins import is_place
from rilievo.types import DepthKind

_REPEATED = (
    "confidence",
    "output",
    "dataset",
    "split",
    "variant",
    "predictions",
    "pattern",
    "kind",
    "scale",
    "sure",
    "sure_pattern",
    "invalid",
    "align",
    "limit",
    "device",
    "engine",
    "precision",
    "threads",
)
"""Options with a value that the command of an evaluation repeats."""


@dataclass(frozen=True, kw_only=True)
class ImageOptions:
    """Images of a dataset, and what the numbers of predictions for them mean.

    Raises:
        OptionError: If an option is out of range.
    """

    GROUP: ClassVar[str] = "Images"

    split: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Split of the dataset; by default the benchmark's, or the one that papers score."""
    variant: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Variant of the dataset's ground truth; by default the benchmark's, or its first."""
    list_file: Annotated[Path | None, tyro.conf.arg(name="list", metavar="FILE")] = None
    """Your own list of images in place of the split's."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Meaning of the numbers of other programs' predictions, or of the depth of a checkpoint that
    rilievo does not know: metric; up_to_scale; affine (Marigold); affine_inverse, which is inverse
    depth with an unknown shift (MiDaS, DPT, Depth Anything). For predictions also disparity, which
    is inverse depth without a shift (Monodepth2). Files of rilievo say it themselves."""
    scale: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Metres of one stored unit of those predictions, such as 0.001. With --kind disparity, depth
    is these metres over the stored number: 5.4 for Monodepth2's stereo models."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of images to take, from the first; by default all."""

    def __post_init__(self) -> None:
        if self.list_file is not None:
            object.__setattr__(self, "list_file", Path(self.list_file).expanduser())
        if self.limit is not None and self.limit < 1:
            raise OptionError(f"--limit is 1 or more, got {self.limit}")
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise OptionError(f"--scale is a positive number, got {self.scale}")
        _ = self.stored

    @property
    def stored(self) -> Stored:
        """Meaning of the values in files of predictions.

        Raises:
            OptionError: If there is no such kind.
        """
        return stored_as(self.kind, self.scale)


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions(ImageOptions, ModelOptions):
    """Everything that can be asked of an evaluation besides model, benchmark and root.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Images": ("dataset", "split", "variant", "list_file", "limit"),
        "Predictions of other programs": (
            "predictions",
            "pattern",
            "kind",
            "scale",
            "sure",
            "sure_pattern",
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
            "threads",
            "workers",
            "trust_code",
        ),
    }
    GROUP: ClassVar[str] = "Benchmark and output"

    output: Annotated[Path | None, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")] = None
    """Folder for the results and the predictions; by default runs/MODEL-BENCHMARK. A folder begun
    before is gone on with: predictions that are there are not made anew."""
    dataset: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Dataset for benchmarks that fit any: a name that 'rilievo datasets' lists, or
    package.module:Class.
    """
    predictions: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER|FILE.npy")] = None
    """Score this folder of predictions, of any program: npy, npz, 16-bit PNG, TIFF, EXR or PFM
    files named by the images' ids, results of 'rilievo predict', or what an earlier evaluation
    kept. Or one npy file with a map for each image of the split, in the split's order, such as
    Monodepth2's disps_eigen_split.npy."""
    pattern: Annotated[str | None, tyro.conf.arg(metavar="PATTERN")] = None
    """Name of an image's file below the folder of predictions, with {id}, such as 'pred_{id}.npy'
    or '{id}/depth.exr'. Names of Marigold's and MoGe's programs are known."""
    sure: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Confidences of those predictions: moge, depth-anything-3, unidepth or metric3d, whose files
    and direction are known; or what they are: probability (that depth is right within a factor of
    1.25), higher (surer), lower (an uncertainty). They are the array 'confidence' beside 'depth' in
    an npz file, if --sure-pattern names no files."""
    sure_pattern: Annotated[str | None, tyro.conf.arg(metavar="PATTERN")] = None
    """Name of an image's file of confidences below the folder of predictions, with {id}, such as
    '{id}_sure.npy'."""
    invalid: Annotated[str | None, tyro.conf.arg(metavar="RULE")] = None
    """Treatment of pixels that count but have no prediction (NaN, infinite, 0 of whole numbers):
    skip leaves them out and counts them, refuse leaves the image without a score, far scores them
    at the far end: of the benchmark's clip, else its cap, else the image's largest true depth. By
    default the benchmark's own, which is skip."""
    align: Annotated[str | None, tyro.conf.arg(metavar="METHOD")] = None
    """Another alignment than the benchmark's, which makes it another benchmark: none, median,
    scale, scale_shift, inverse_scale_shift, log, robust_scale, robust_scale_shift; or
    package.module:function of your own."""
    certainty: bool = False
    """Judge the model's confidence too: sparsification (AUSE, AURG) and calibration (ECE), as more
    columns, which makes it another benchmark."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes that predict, and that score; by default one predicts and one a core scores."""

    def __post_init__(self) -> None:
        ImageOptions.__post_init__(self)
        ModelOptions.__post_init__(self)
        for name in ("output", "predictions"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())
        if self.workers is not None and self.workers < 1:
            raise OptionError(f"--workers is 1 or more, got {self.workers}")
        _ = self.depth_kind, self.method, self.model_settings, self.invalid_pixels
        _ = self.peer_confidence
        if self.sure is None and self.sure_pattern is not None:
            raise OptionError(
                "--sure-pattern names files of confidences; say with --sure what they are"
            )
        for name in ("scale", "pattern", "sure"):
            if self.predictions is None and getattr(self, name) is not None:
                raise OptionError(f"--{name} says what --predictions are; give that folder too")
        if self.predictions is None and self.kind == DISPARITY:
            raise OptionError(
                "--kind disparity says what --predictions are; a model that answers with inverse "
                "depth is affine_inverse"
            )
        if self.predictions is not None and self.settings:
            raise OptionError("--set is for a model, but --predictions are made already; give one")

    @property
    def depth_kind(self) -> DepthKind | None:
        """Kind of depth of the given predictions, once they are depth, or of the model.

        Raises:
            OptionError: If there is no such kind.
        """
        return self.stored.kind

    @property
    def peer_confidence(self) -> PeerConfidence | None:
        """The confidences beside the given predictions; None where none are.

        Raises:
            OptionError: If no such program or meaning is known.
        """
        return None if self.sure is None else find_peer(self.sure, self.sure_pattern)

    @property
    def invalid_pixels(self) -> Invalid | None:
        """The rule in place of the benchmark's.

        Raises:
            OptionError: If there is no such rule.
        """
        if self.invalid is None:
            return None
        if self.invalid not in list(Invalid):
            raise OptionError(
                f"--invalid has no '{self.invalid}'; {suggest(self.invalid, Invalid)}"
            )
        return Invalid(self.invalid)

    @property
    def method(self) -> AlignMethod | str | None:
        """The alignment in place of the benchmark's.

        Raises:
            OptionError: If there is no such method.
        """
        if self.align is None:
            return None
        if is_place(self.align):
            return self.align
        if self.align not in list(AlignMethod):
            raise OptionError(f"--align has no '{self.align}'; {suggest(self.align, AlignMethod)}")
        return AlignMethod(self.align)

    def command_line(self, model: str | None, benchmark: str, root: str | Path | None) -> str:
        """The command that repeats an evaluation with these options."""
        words = ["rilievo", "evaluate"]
        usual = {each.name: each.default for each in fields(self)}
        given: Sequence[tuple[str, object]] = (
            ("--model", model),
            ("--benchmark", benchmark),
            ("--root", root),
            ("--list", self.list_file),
            *(
                (f"--{name.replace('_', '-')}", value)
                for name in _REPEATED
                if (value := getattr(self, name)) != usual[name]
            ),
        )
        for flag, value in given:
            if value is not None:
                words += [flag, str(value)]
        for text in self.settings:
            words += ["--set", text]
        # Not --yes: whoever repeats what costs money is asked again.
        words += [f"--{name}" for name in ("certainty", "flip") if getattr(self, name)]
        return shlex.join(words)

"""The options of ``rilievo evaluate``: their names, defaults, help and checks, in one place."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.alignment import AlignMethod
from rilievo.errors import OptionError, suggest
from rilievo.evaluate.benchmark import Invalid
from rilievo.evaluate.stored import DISPARITY, Stored, stored_as
from rilievo.models.settings import parse_pairs
from rilievo.outside import is_place
from rilievo.types import DepthKind


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """Everything that can be asked of an evaluation besides model, benchmark and root.

    Raises:
        OptionError: If an option is out of range or two do not go together.
    """

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Images": ("dataset", "split", "variant", "list_file", "limit"),
        "Predictions of other programs": ("predictions", "pattern", "kind", "scale", "invalid"),
        "Model and speed": (
            "settings",
            "yes",
            "flip",
            "device",
            "engine",
            "precision",
            "threads",
            "workers",
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
    split: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Another split than the benchmark's."""
    variant: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Another variant of the dataset than the benchmark's."""
    list_file: Annotated[Path | None, tyro.conf.arg(name="list", metavar="FILE")] = None
    """Your own list of images in place of the split's."""
    predictions: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER|FILE.npy")] = None
    """Score this folder of predictions, of any program: npy, npz, 16-bit PNG, TIFF, EXR or PFM
    files named by the images' ids, results of 'rilievo predict', or what an earlier evaluation
    kept. Or one npy file with a map for each image of the split, in the split's order, such as
    Monodepth2's disps_eigen_split.npy."""
    pattern: Annotated[str | None, tyro.conf.arg(metavar="PATTERN")] = None
    """Name of an image's file below the folder of predictions, with {id}, such as 'pred_{id}.npy'
    or '{id}/depth.exr'. Names of Marigold's and MoGe's programs are known."""
    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Meaning of the numbers of those predictions, or of the depth of a checkpoint that rilievo
    does not know: metric; up_to_scale; affine (Marigold); affine_inverse, which is inverse depth
    with an unknown shift (MiDaS, DPT, Depth Anything). For predictions also disparity, which is
    inverse depth without a shift (Monodepth2). Files of rilievo say it themselves."""
    scale: Annotated[float | None, tyro.conf.arg(metavar="METRES")] = None
    """Metres of one stored unit of those predictions, such as 0.001. With --kind disparity, depth
    is these metres over the stored number: 5.4 for Monodepth2's stereo models."""
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
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Score the first N images alone."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Processes that predict, and that score; by default one predicts and one a core scores."""
    settings: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(name="set", metavar="NAME=VALUE"),
    ] = ()
    """A setting of the model, such as steps=4. 'rilievo models NAME' lists its settings. Repeat the
    option for several."""
    yes: bool = False
    """Agree beforehand to the paid calls of a model that runs elsewhere."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:N, coreml or directml."""
    engine: str = "auto"
    """Engine that runs the network: onnxruntime, openvino (extra 'fast') or torch (models of the
    extra 'models'); auto is the usual one of the model.
    """
    precision: str = "fp32"
    """fp32; bf16 with openvino or torch, fp16 with torch on cuda, int8 with onnxruntime."""
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads of the network; by default one a core."""
    flip: bool = False
    """Average with the answer for the mirror image."""

    def __post_init__(self) -> None:
        for name in ("output", "list_file", "predictions"):
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)).expanduser())
        for name in ("limit", "workers", "threads"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise OptionError(f"--{name} is 1 or more, got {value}")
        if self.scale is not None and not 0 < self.scale < float("inf"):
            raise OptionError(f"--scale is a positive number, got {self.scale}")
        _ = self.depth_kind, self.method, self.model_settings, self.invalid_pixels
        for name in ("scale", "pattern"):
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
    def model_settings(self) -> Mapping[str, str]:
        """The settings of ``--set``, by name.

        Raises:
            OptionError: If one is no NAME=VALUE, or given twice.
        """
        return parse_pairs(self.settings)

    @property
    def depth_kind(self) -> DepthKind | None:
        """Kind of depth of the given predictions, once they are depth, or of the model.

        Raises:
            OptionError: If there is no such kind.
        """
        return self.stored.kind

    @property
    def stored(self) -> Stored:
        """Meaning of the values in files of predictions.

        Raises:
            OptionError: If there is no such kind.
        """
        return stored_as(self.kind, self.scale)

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

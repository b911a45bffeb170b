"""Plans for rendering to disk, and the processes that carry them out."""

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeVar

from lab.scenes.model_files import with_models
from lab.scenes.pictures import read_photographs, scikit_image_photographs
from lab.scenes.swatches import read_swatches
from lab.scenes.textures import TextureBank, make_textures
from lab.scenes.venue import Kind
from rilievo.errors import OptionError
from rilievo.io.files.atomic import make_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Plan of frames or clips to render.

    Attributes:
        count: Number of frames or clips.
        seed: Seed of the plan: number i has the seed ``seed * 2**32 + i``.
        size: (height, width) of the frames [px].
        photos: Folders of photographs for textures, in addition to scikit-image's.
        materials: Folder of photographed materials for more textures, as read by ``swatches``.
        models: Folders of models for furniture, as read by ``model_files``.
        folder: Folder to write to.
        kind: Kind of scene.
        texture_share: Share of the full number of textures; less than 1 for a quick trial.
        counted_by: Name of the option for ``count``, for error messages.
    """

    counted_by: ClassVar[str] = "--count"

    count: int
    seed: int
    size: tuple[int, int]
    photos: tuple[Path, ...]
    folder: Path
    kind: Kind = Kind.ALL
    materials: Path | None = None
    models: tuple[Path, ...] = ()
    texture_share: float = 1.0

    def __post_init__(self) -> None:
        if self.count < 1:
            raise OptionError(f"{self.counted_by} is at least 1, got {self.count}")
        if self.seed < 0:
            raise OptionError(f"--seed is not negative, got {self.seed}")
        if min(self.size) < 16:
            raise OptionError(f"--size is at least 16 16, got {self.size[0]} {self.size[1]}")
        if self.kind is Kind.FURNISHED and not self.models:
            raise OptionError("--kind furnished is made of models: name their folders by --models")

    def seed_of(self, number: int) -> int:
        """Seed of one frame or clip."""
        return self.seed * 2**32 + number


AnyPlan = TypeVar("AnyPlan", bound=Plan)
Write = Callable[[AnyPlan, int, TextureBank], Path]


def textures_of(plan: Plan) -> TextureBank:
    """Make the texture bank of a plan, the same in every process."""
    photographs = scikit_image_photographs() + read_photographs(plan.photos)
    swatches = {} if plan.materials is None else read_swatches(plan.materials)
    bank = make_textures(photographs, swatches=swatches, share=plan.texture_share)
    return with_models(bank, plan.models) if plan.models else bank


def write_all(
    plan: AnyPlan, missing: Sequence[int], write: Write[AnyPlan], workers: int
) -> Iterator[Path]:
    """Write missing files or folders, and yield each path as it is finished.

    Args:
        plan: The plan.
        missing: Numbers of the files or folders to write.
        write: Function that writes one of them; at module level, so that it can be pickled.
        workers: Number of processes.

    Raises:
        OptionError: If ``workers`` is less than 1.
        OutputError: If the folder cannot be written.
    """
    if workers < 1:
        raise OptionError(f"--workers is at least 1, got {workers}")
    make_folder(plan.folder)
    if not missing:
        return
    if workers == 1:
        textures = textures_of(plan)
        for index in missing:
            yield write(plan, index, textures)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_prepare_worker, initargs=(plan,)
    ) as pool:
        tasks = [pool.submit(_write_in_worker, write, plan, index) for index in missing]
        for done in as_completed(tasks):
            yield done.result()


_worker_textures: dict[Plan, TextureBank] = {}


def _prepare_worker(plan: Plan) -> None:
    # More threads per worker would compete for cores that the workers already fill.
    import cv2

    cv2.setNumThreads(1)
    _worker_textures[plan] = textures_of(plan)


def _write_in_worker(write: Write[AnyPlan], plan: AnyPlan, index: int) -> Path:
    return write(plan, index, _worker_textures[plan])

"""The feature cache of probes, filled by several processes before training.

Every process loads the backbone once and computes image by image, so cached features do not
depend on the images that shared a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from rilievo.batch.options import BatchOptions
from rilievo.batch.processes import spread_out, threads_each
from rilievo.batch.work import Do, Failure, Report, joined
from rilievo.errors import InputError, OptionError
from rilievo.models.torch_model import find_device
from rilievo.networks.probed import make_chosen_backbone
from rilievo.train.probe.batches import Source, changed_frame
from rilievo.train.probe.cache import LIMIT_MEGABYTES, FeatureCache
from rilievo.train.probe.config import ProbeConfig
from rilievo.train.probe.frames import KeptFrames, open_frames
from rilievo.train.probe.stored_features import Storage


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureWork:
    """Feature computation for every image, or augmented version of one, of a training run.

    ``limit_megabytes`` is the largest size of ``root``, the folder of all caches [MB]; every
    process counts for itself.
    """

    config: ProbeConfig
    root: Path
    storage: Storage = Storage.FP16
    limit_megabytes: float = LIMIT_MEGABYTES
    device: str = "auto"
    threads: int = 1

    def open(self) -> Do:
        """Load the backbone and open the images."""
        torch.set_num_threads(self.threads)
        backbone = make_chosen_backbone(self.config.blueprint).to(find_device(self.device))
        cache = FeatureCache(
            self.root,
            backbone,
            storage=self.storage,
            limit_megabytes=self.limit_megabytes,
            precision=self.config.precision,
        )
        # An image is needed once, so none is kept in memory.
        return partial(self._do, open_frames(self.config, megabytes=0.0).training, cache)

    def name(self, item: Source) -> str:
        """The image, by its number in the training set."""
        return f"image {item.index + 1} of the training set"

    def _do(
        self, frames: KeptFrames, cache: FeatureCache, items: Sequence[Source], *, again: bool
    ) -> Report:
        """Cache the features of some images; those already cached are left unchanged."""
        del again  # the cache finds complete entries by their content
        failures, idle = list[Failure](), 0
        made, found = cache.made, cache.found
        for source in items:
            try:
                frame = changed_frame(frames, source, self.config)
                if not frame.teaches(self.config.blueprint.task):
                    idle += 1
                    continue
                image = np.ascontiguousarray(frame.image)  # a mirrored one runs backwards
                cache.features(torch.from_numpy(image)[None])
            except InputError as error:
                failures.append(Failure(name=frames.ids[source.index], reason=str(error)))
        return Report(
            done=cache.made - made,
            finished_before=cache.found - found + idle,
            failures=tuple(failures),
        )


def fill_features(
    work: FeatureWork, batch: BatchOptions, *, threads: int | None = None, images: int | None = None
) -> Report:
    """Compute all features that a run needs and that are not cached yet.

    Scripts must call this under ``if __name__ == "__main__"``, since it starts processes.

    Args:
        work: The features to compute, and their cache.
        batch: The part of the images to process, the number of processes, and the machines.
        threads: Threads of each process; by default its share of the cores.
        images: Number of images in the training set; None opens the set to count them.

    Returns:
        A report: ``done`` counts features computed now, ``finished_before`` those already cached
        or of images without ground truth to learn from.

    Raises:
        OptionError: If the run augments images anew in every epoch, or trains the backbone.
        RilievoError: If no features can be computed at all.
    """
    config, augmentation = work.config, work.config.augmentation
    if config.backbone_rate or (augmentation.changes and not augmentation.variants):
        raise OptionError(
            "features can be kept of a frozen backbone and of images that come again: set "
            "backbone_rate to 0, and variants of the augmentation"
        )
    count = len(open_frames(config).training) if images is None else images
    versions = augmentation.variants if augmentation.changes else 1
    sources = [
        Source(index=index, number=number)
        for index in range(count)
        for number in range(versions)
        if batch.share.takes(f"{index}/{number}")
    ]
    each = threads_each(batch, threads)
    given = replace(work, threads=each)
    return joined(
        spread_out(
            given, sources, count=len(sources), batch=batch, threads=each, device=work.device
        )
    )

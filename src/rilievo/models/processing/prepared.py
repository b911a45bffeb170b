"""Models whose photographs are resized to a network's size, run in batches, and resized back.

A network is a function of one batch of images of equal size. Its outputs by name: ``depth`` float32
(batch, height, width); optionally ``normals`` (batch, 3, height, width) in our axes,
``confidence`` and ``sky`` (batch, height, width), and ``fov`` (batch,), the horizontal
field of view of the photograph [degrees].
"""

from abc import abstractmethod
from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Shaped

from rilievo.errors import ModelError, UnknownCameraError
from rilievo.geometry.intrinsics import K_from_fov
from rilievo.models.base import Inference, Model
from rilievo.models.resampling.answer_rule import Filter
from rilievo.models.resampling.preparation import Preparation
from rilievo.models.resampling.resizing import depth_resized, filtered
from rilievo.types import Camera, CameraSource, Photo

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


class PreparedModel(Model):
    """A network with its ``Preparation``, on any engine."""

    preparation: Preparation
    needs_focal: bool = False
    """Whether depth is that of a camera whose focal length is the photograph's width, as in Depth
    Pro: true depth is fx / width times it.
    """

    @abstractmethod
    def run(self, batch: Shaped[np.ndarray, "b h w 3"]) -> Arrays:
        """Run the network on photographs at its size, uint8 or float32 in 0..255."""

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the network on batches of photographs that are resized to the same size."""
        groups: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for index, photo in enumerate(photos):
            groups[self.preparation.size(photo.shape)].append(index)
        answers: dict[int, Inference] = {}
        for indices in groups.values():
            chosen = [photos[index] for index in indices]
            batch = np.stack([self.preparation.pixels(each.pixels, each.shape) for each in chosen])
            outputs = self.run(batch)
            _check_shapes(outputs, len(indices), self.card.name)
            answers |= {
                index: self._answer(outputs, row, photos[index])
                for row, index in enumerate(indices)
            }
        return [answers[index] for index in range(len(photos))]

    def _answer(self, outputs: Arrays, row: int, photo: Photo) -> Inference:
        windows = self.preparation.windows(photo.shape)

        def field(
            name: str, filter: Filter = Filter.ANTIALIASED
        ) -> Float32[np.ndarray, "*c h w"] | None:
            array = outputs.get(name)
            if array is None or windows is None:
                return None if array is None else array[row]
            return filtered(array[row], photo.shape, filter, windows)

        camera = _camera(outputs, row, photo, self.card.name)
        depth, rule = outputs.get("depth"), self.card.resizing
        if depth is not None:
            depth = depth[row]
        if depth is not None and self.needs_focal:
            known = photo.camera or camera
            if known is None:
                raise UnknownCameraError(
                    f"model '{self.card.name}' needs the focal length and predicts none: "
                    "give --fov (fov=...) or --camera (camera=...), or try "
                    "--vanishing-points (vanishing_points=True)"
                )
            depth = depth * np.float32(known.focal / photo.shape[1])
        if depth is not None and windows is not None:
            positive = self.card.kind is not None and self.card.kind.is_depth
            depth = depth_resized(depth, photo.shape, rule, positive=positive, windows=windows)
        return Inference(
            depth=depth,
            normals=field("normals", rule.filter),
            confidence=field("confidence"),
            sky=field("sky"),
            camera=camera,
        )


def _camera(outputs: Arrays, row: int, photo: Photo, name: str) -> Camera | None:
    """Camera estimated by the network; None if it estimates none."""
    fov = outputs.get("fov")
    if fov is None or photo.camera is not None:
        return None
    degrees = float(fov[row])
    if not 0 < degrees < 180:
        raise ModelError(
            f"model '{name}' returned a field of view of {degrees:g} degrees; "
            "give --fov (fov=...) or --camera (camera=...)"
        )
    return Camera(K=K_from_fov(degrees, photo.shape), source=CameraSource.PREDICTED)


def _check_shapes(outputs: Arrays, count: int, name: str) -> None:
    for key in ("depth", "normals", "confidence", "sky"):
        channels = (3,) if key == "normals" else ()
        array = outputs.get(key)
        if array is None:
            continue
        if array.dtype != np.float32 or array.shape[:-2] != (count, *channels):
            raise ModelError(
                f"model '{name}': output {key!r} is {array.dtype} {array.shape}, expected float32 "
                f"({', '.join(map(str, (count, *channels)))}, height, width)"
            )
    fov = outputs.get("fov")
    if fov is not None and (fov.dtype != np.float32 or fov.shape != (count,)):
        raise ModelError(
            f"model '{name}': output 'fov' is {fov.dtype} {fov.shape}, expected float32 ({count},)"
        )

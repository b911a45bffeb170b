"""Readers of predictions: from an evaluation, or from a folder."""

from dataclasses import dataclass

from rilievo.evaluate.benchmark import Task
from rilievo.evaluate.foreign import Foreign
from rilievo.evaluate.shown import Shown
from rilievo.io.readback import read_prediction
from rilievo.views.view_items import Seen


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredReader:
    """Predictions of an evaluation, as they were scored."""

    shown: Shown
    ids: frozenset[str]

    def read(self, id: str) -> Seen | None:
        """Depth in metres, as aligned and clipped; normals of unit length.

        Depth that was scored as a picture is returned in the model's own values.
        """
        if id not in self.ids:
            return None
        if self.shown.benchmark.task is Task.PICTURE:
            return Seen(depth=self.shown.answers.read(id).depth)
        return Seen(depth=self.shown.depth(id), normals=self.shown.normals(id))


@dataclass(frozen=True, slots=True, kw_only=True)
class FolderReader:
    """Results of ``rilievo predict``, or of other programs."""

    found: Foreign

    def read(self, id: str) -> Seen | None:
        """Depth in the model's own values; results of rilievo also have their camera."""
        if id not in self.found.files:
            return None
        if not self.found.ours:
            answer = self.found.read(id)
            return Seen(depth=answer.depth, normals=answer.normals)
        prediction = read_prediction(self.found.files[id])
        return Seen(
            depth=prediction.depth_or_none,
            normals=prediction.normals,
            camera=prediction.camera,
        )

"""Models of one run: photographs and videos may have one each."""

from collections.abc import Callable

from rilievo.models.base import Model
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.stages import LOAD, Stages


class RunModels:
    """Models of a run's photographs and videos, loaded when they are first asked for.

    A model that the user named predicts both; by default videos have a faster one.
    """

    def __init__(
        self, options: PredictOptions, load: Callable[[PredictOptions, str], Model], stages: Stages
    ) -> None:
        """Take the options, and the function that loads a model by its name, ready to run."""
        self._options, self._load, self._stages = options, load, stages
        self._loaded: dict[str, Model] = {}

    def of(self, *, video: bool) -> Model:
        """Model of photographs, or of videos."""
        name = self._options.model_for(video=video)
        if name not in self._loaded:
            model = self._stages.timed(LOAD, self._load)(self._options, name)
            self._stages.watch(model)
            self._loaded[name] = model
        return self._loaded[name]

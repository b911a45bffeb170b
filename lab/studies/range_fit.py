"""Quantile regression of the size of errors, in which every camera counts the same.

A range has to hold on the next camera, and photographs of one camera resemble each other. So a
camera counts once, however many photographs it has; one with fewer than ``FULL_COUNT`` counts by
their number, as a single photograph says little. A camera is judged by a fit to all others.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from rilievo.measure.ranges import FEATURES, Circumstances, log_mean_log_error

LEVEL = 0.83
"""Share of the errors that the fit covers. It is above ``COVERAGE``, because a fit covers fewer of
the errors of a camera that it has not seen: about eight in ten."""
FULL_COUNT = 5
"""Number of photographs from which on a camera counts in full."""
_SMALLEST_ERROR = 1e-3
_ROUNDS = 80
_SMALLEST_RESIDUAL = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One measured quantity in metres beside the truth.

    Attributes:
        set: Name of the set of photographs.
        camera: Name of the camera; several sets may have the same.
        frame: Number of the photograph.
        what: "length" or "depth".
        given: Circumstances of the measurement.
        error: Logarithm of the measured over the true value.
    """

    set: str
    camera: str
    frame: int
    what: str
    given: Circumstances
    error: float


class TrialTable:
    """Trials of one quantity as arrays, and the fit to them."""

    def __init__(
        self,
        trials: Sequence[Trial],
        methods: Collection[str],
        features: Sequence[str] = FEATURES,
    ) -> None:
        self.methods, self.columns = tuple(methods), tuple(features)
        self.sets = np.array([trial.set for trial in trials])
        self.cameras = np.array([trial.camera for trial in trials])
        self.frames = np.array([trial.frame for trial in trials])
        self.errors = np.abs([trial.error for trial in trials])
        # Anchored depth has its own features; the doubt of the network is none of them.
        self.spreads = np.array(
            [
                0.0 if trial.given.anchoring else log_mean_log_error(trial.given.doubt)
                for trial in trials
            ]
        )
        self.features = np.array(
            [
                [float(trial.given.method == method) for method in self.methods]
                + [trial.given.features[name] for name in self.columns]
                for trial in trials
            ]
        )

    @property
    def everything(self) -> Bool[np.ndarray, "n"]:
        """Mask of all trials."""
        return np.ones(len(self.errors), bool)

    def camera_weights(self, chosen: Bool[np.ndarray, "n"]) -> Float64[np.ndarray, "n"]:
        """Weight of every trial: cameras count alike, and photographs of a camera count alike."""
        weights = np.zeros(len(self.errors))
        for camera in np.unique(self.cameras[chosen]):
            is_own = chosen & (self.cameras == camera)
            frames, place, counts = np.unique(
                self.frames[is_own], return_inverse=True, return_counts=True
            )
            of_camera = min(1.0, len(frames) / FULL_COUNT)
            weights[is_own] = of_camera / len(frames) / counts[place]
        return weights / weights.sum()

    def fitted(
        self, chosen: Bool[np.ndarray, "n"], level: float = LEVEL
    ) -> Float64[np.ndarray, "k"]:
        """Weights of the quantile of log errors; a circumstance widens a range or does nothing.

        A feature that would narrow ranges gets the weight 0: features are correlated, and few
        cameras cannot tell them apart.
        """
        is_used = np.ones(self.features.shape[1], bool)
        while True:
            weights = np.zeros(len(is_used))
            weights[is_used] = self._quantile_weights(chosen, is_used, level)
            is_narrowing = weights < 0
            is_narrowing[: len(self.methods)] = False
            if not is_narrowing.any():
                return weights
            is_used[np.argmin(np.where(is_narrowing, weights, 0))] = False

    def _quantile_weights(
        self, chosen: Bool[np.ndarray, "n"], is_used: Bool[np.ndarray, "k"], level: float
    ) -> Float64[np.ndarray, "j"]:
        """Weights of the used features, by iterated least squares (Koenker 2005)."""
        X = self.features[chosen][:, is_used]
        y = np.log(self.errors[chosen] + _SMALLEST_ERROR) - self.spreads[chosen]
        counted = self.camera_weights(chosen)[chosen]
        weights = np.zeros(X.shape[1])
        weights[: len(self.methods)] = np.quantile(y, level)
        for _ in range(_ROUNDS):
            residual = y - X @ weights
            slope = np.where(residual > 0, level, 1 - level)
            pull = counted * slope / np.maximum(np.abs(residual), _SMALLEST_RESIDUAL)
            squares = (X * pull[:, None]).T @ X + 1e-7 * np.eye(X.shape[1])
            weights = np.linalg.solve(squares, (X * pull[:, None]).T @ y)
        return weights

    def expected(
        self, chosen: Bool[np.ndarray, "n"], weights: Float64[np.ndarray, "k"]
    ) -> Float64[np.ndarray, "m"]:
        """Errors that weights expect."""
        return np.exp(self.features[chosen] @ weights + self.spreads[chosen])

    def expected_without_own_camera(self, level: float = LEVEL) -> Float64[np.ndarray, "n"]:
        """Error that is expected of every trial by a fit to the other cameras."""
        expected = np.zeros(len(self.errors))
        for camera in np.unique(self.cameras):
            is_own = self.cameras == camera
            expected[is_own] = self.expected(is_own, self.fitted(~is_own, level))
        return expected

    def coverage(self, expected: Float64[np.ndarray, "n"], chosen: Bool[np.ndarray, "n"]) -> float:
        """Share of the chosen errors that stay below what is expected; photographs count alike."""
        weights = self.camera_weights(chosen)[chosen]
        return float(weights @ (self.errors <= expected)[chosen])

    def numbers(self, weights: Float64[np.ndarray, "k"]) -> dict[str, object]:
        """Numbers of ``ranges.json`` for one quantity."""
        rounded = [round(float(weight), 3) for weight in weights]
        base = dict(zip(self.methods, rounded, strict=False))
        return {"base": base, **dict(zip(self.columns, rounded[len(base) :], strict=True))}


def judged_cameras(table: TrialTable, sets: Iterable[str]) -> dict[str, float]:
    """Share inside of every camera, on its judged sets, by the fit to all others."""
    expected = table.expected_without_own_camera()
    is_judged = np.isin(table.sets, list(sets))
    return {
        str(camera): round(table.coverage(expected, is_judged & (table.cameras == camera)), 3)
        for camera in dict.fromkeys(table.cameras[is_judged])
    }

"""The few metrics that people are shown first; files and pages have all of them."""

from collections.abc import Sequence

SHOWN = 5
"""Metrics of a terminal's table."""

# What papers of depth, normals and pictures print, one of each sort.
_USUAL = (
    *("abs_rel", "rmse", "silog", "delta1", "mean", "median", "within_11_25", "within_30"),
    *("log10", "delta2", "psnr", "ssim"),
)


def shortlist(metrics: Sequence[str]) -> tuple[str, ...]:
    """Choose at most ``SHOWN`` metrics, in order: the leading one and the usual ones."""
    ranked = sorted(metrics[1:], key=lambda name: (name not in _USUAL, _place(name)))
    chosen = {*metrics[:1], *ranked[: SHOWN - 1]}
    return tuple(name for name in metrics if name in chosen)


def _place(name: str) -> int:
    return _USUAL.index(name) if name in _USUAL else len(_USUAL)

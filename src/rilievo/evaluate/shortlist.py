"""The few metrics that people are shown first; files and pages have all of them."""

from collections.abc import Sequence

SHOWN = 5
"""Metrics of a terminal's table."""

# What papers of depth, normals and pictures print, one of each sort.
_USUAL = (
    *("abs_rel", "rmse", "silog", "delta1", "mean", "median", "within_11_25", "within_30"),
    *("log10", "delta2", "psnr", "ssim"),
)

_HEADLINE = ("abs_rel", "delta1", "rmse", "mean", "within_11_25", "median", "psnr", "ssim")


def headline(metrics: Sequence[str]) -> tuple[str, ...]:
    """Choose the three metrics of a first screen: the leading one and the most usual."""
    usual = sorted(
        (name for name in shortlist(metrics)[1:]),
        key=lambda name: _HEADLINE.index(name) if name in _HEADLINE else len(_HEADLINE),
    )
    return (*metrics[:1], *usual[:2])


def shortlist(metrics: Sequence[str]) -> tuple[str, ...]:
    """Choose at most ``SHOWN`` metrics, in order: the leading one and the usual ones."""
    ranked = sorted(metrics[1:], key=lambda name: (name not in _USUAL, _place(name)))
    chosen = {*metrics[:1], *ranked[: SHOWN - 1]}
    return tuple(name for name in metrics if name in chosen)


def _place(name: str) -> int:
    return _USUAL.index(name) if name in _USUAL else len(_USUAL)

"""Edges by radius against plain loops over pixels and their windows."""

import numpy as np
import pytest

from rilievo.evaluation.metrics import DepthPair, pooled, value
from rilievo.evaluation.metrics.boundary import WINDOW_METRICS


def pair(seed: int = 0, size: tuple[int, int] = (13, 17), holes: float = 0.2) -> DepthPair:
    chance = np.random.default_rng(seed)
    true = np.where(chance.random(size) < 0.4, 2.0, 2.4) * chance.uniform(0.97, 1.03, size)
    return DepthPair(
        predicted=true * np.exp(chance.normal(0, 0.06, size)),
        true=true,
        valid=chance.random(size) >= holes,
    )


def published(one: DepthPair, radius: int) -> float:
    """Pixel by pixel, neighbour by neighbour, threshold by threshold."""
    height, width = one.valid.shape
    total = weight = 0.0
    for t in np.linspace(0.05, 0.25, 10):
        both = only_true = only_predicted = 0
        for y in range(radius, height - radius):
            for x in range(radius, width - radius):
                for dy in range(-radius, radius + 1):
                    for dx in range(-radius, radius + 1):
                        near = dy * dy + dx * dx <= radius * radius
                        if not (near and one.valid[y, x] and one.valid[y + dy, x + dx]):
                            continue
                        p = one.predicted[y + dy, x + dx] / one.predicted[y, x] > 1 + t
                        g = one.true[y + dy, x + dx] / one.true[y, x] > 1 + t
                        both += p and g
                        only_true += g
                        only_predicted += p
        precision, recall = both / max(only_true, 1e-12), both / max(only_predicted, 1e-12)
        total += t * 2 * precision * recall / max(precision + recall, 1e-12)
        weight += t
    return total / weight


@pytest.mark.parametrize("radius", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_f1_is_the_published_one(radius: int, seed: int) -> None:
    one = pair(seed)
    found = value(WINDOW_METRICS[f"edge_f1_r{radius}"], one)
    assert 0 < found < 1
    assert found == pytest.approx(published(one, radius), abs=1e-12)


@pytest.mark.parametrize("radius", [1, 2, 3])
def test_a_map_as_large_as_one_window_has_edges_and_a_smaller_one_has_none(radius: int) -> None:
    side = 2 * radius + 1
    true = np.full((side, side), 3.0)
    true[radius, radius] = 2.0
    known = np.ones_like(true, bool)
    metric = WINDOW_METRICS[f"edge_f1_r{radius}"]
    assert value(metric, DepthPair(predicted=true, true=true, valid=known)) == pytest.approx(1)
    smaller = true[1:], known[1:]
    assert value(metric, DepthPair(predicted=smaller[0], true=smaller[0], valid=smaller[1])) == 0


def test_a_scale_changes_no_edge_and_perfect_depth_has_them_all() -> None:
    one = pair(holes=0.0)
    for metric in WINDOW_METRICS.values():
        scaled = DepthPair(predicted=3 * one.predicted, true=one.true, valid=one.valid)
        assert value(metric, scaled) == pytest.approx(value(metric, one), abs=1e-12)
        same = DepthPair(predicted=one.true, true=one.true, valid=one.valid)
        assert value(metric, same) == pytest.approx(1)
        flat = DepthPair(predicted=np.ones_like(one.true), true=one.true, valid=one.valid)
        assert value(metric, flat) == 0


def test_edges_of_several_images_pool_and_small_ones_have_none() -> None:
    metric = WINDOW_METRICS["edge_f1_r3"]
    one = pair()
    sums = metric.sums(one)
    assert pooled(metric, 2 * sums, 2 * one.count) == pytest.approx(value(metric, one))
    assert value(metric, pair(size=(6, 17))) == 0

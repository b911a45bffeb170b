"""The tab of stereo on a page: what two eyes see, in red and cyan."""

import base64
import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rilievo.geometry.cameras.camera import Camera
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Photo
from support.browser import Opened
from support.predictions import prediction

HEIGHT, WIDTH = 240, 320
K = np.array([[300.0, 0.0, 159.5], [0.0, 300.0, 119.5], [0.0, 0.0, 1.0]])
FAR, NEAR = 4.0, 2.0


def shift(red: np.ndarray, cyan: np.ndarray) -> int:
    """Pixels by which the red picture lies right of the cyan one."""
    most = 16
    middle = cyan[:, most:-most]
    costs = [
        np.abs(red[:, most + by : red.shape[1] - most + by] - middle).mean()
        for by in range(-most, most + 1)
    ]
    return int(np.argmin(costs)) - most


@pytest.mark.slow
def test_the_eyes_are_apart_by_a_share_of_the_usual_depth(browser: Any, tmp_path: Path) -> None:
    """The left eye sees red, and what is nearer than the usual depth lies farther right for it."""
    grey = np.random.default_rng(3).integers(0, 255, (HEIGHT // 4, WIDTH // 4), np.uint8)
    grey = np.asarray(Image.fromarray(grey).resize((WIDTH, HEIGHT), Image.Resampling.BICUBIC))
    depth = np.full((HEIGHT, WIDTH), FAR, np.float32)
    depth[:, WIDTH // 2 :] = NEAR
    given = replace(
        prediction(name="walls.jpg"),
        depth_or_none=DepthMap(values=depth, kind=DepthKind.METRIC),
        confidence=None,
        normals=None,
        sky=None,
        camera=Camera(K=K),
        photo=Photo(pixels=np.stack([grey] * 3, axis=-1), name="walls.jpg"),
    )
    save(given, tmp_path / "walls", ["html"])
    context = browser.new_context(offline=True, reduced_motion="reduce")
    shown = Opened(context, tmp_path / "walls.html")
    page = shown.page
    page.wait_for_selector("#surface-state", state="hidden")
    before = page.locator("#surface").screenshot()
    page.locator("#tabs button", has_text="Stereo").click()
    canvas = page.locator("canvas[aria-label^='Stereo']")
    assert canvas.is_visible()
    png = base64.b64decode(canvas.evaluate("(each) => each.toDataURL()").partition(",")[2])
    red, green, blue = np.moveaxis(np.asarray(Image.open(io.BytesIO(png)).convert("RGB")), 2, 0)
    assert red.shape == (HEIGHT, WIDTH)
    np.testing.assert_array_equal(green, blue)
    # Where their mean depth is, both eyes see the same place, upright everywhere.
    usual, eyes, focal = np.sqrt(FAR * NEAR), 0.06, 300.0
    for part, z in ((np.s_[10:140], FAR), (np.s_[190:310], NEAR)):
        expected = focal * eyes * (usual / z - 1)
        for rows in (np.s_[20:80], np.s_[90:150], np.s_[160:220]):
            found = shift(red[rows, part].astype(float), green[rows, part].astype(float))
            assert abs(found - expected) <= 1, (z, rows)
    assert page.locator("#surface").screenshot() == before, "the surface itself stays as it was"
    assert shown.complaints == []
    context.close()

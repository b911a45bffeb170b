"""Affine networks on the page: they answer after the embedded one, to which they are anchored."""

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.alignment.anchor import anchor, anchor_values, anchored_depth
from rilievo.cli import main
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.photographs.photo import read_photo
from rilievo.measure.page_terms import Terms, page_terms
from rilievo.models import load_model
from rilievo.models.catalogue.download import fetch_files
from rilievo.models.catalogue.table import find_entry
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import Anchoring, MadeBy, PredictionRecord
from rilievo.serving.browser.folder import write_page
from support.browser import COARSE, chromium, unfold
from support.catalogue_mirror import CatalogueMirror, catalogue
from support.grids import mostly_slow
from support.ply_files import read_ply
from support.published_graphs import write_ramp
from support.static_host import Visitor, hosted

__all__ = ["catalogue"]

ROOT = Path(__file__).resolve().parents[3]
NAME = "zipdepth"


@pytest.fixture(scope="module")
def tab() -> Iterator[Any]:
    """A browser for this file."""
    with chromium() as browser:
        yield browser


@pytest.fixture
def photograph(tmp_path: Path) -> Path:
    path = tmp_path / "street.png"
    Image.open(files("rilievo.models") / "near_and_far/street.jpg").save(path)
    return path


def written(catalogue: CatalogueMirror, folder: Path, step: float = 1.0) -> Path:
    catalogue.offer(NAME, lambda path: write_ramp(path, step=step))
    fetch_files(find_entry(NAME))
    write_page(folder, [NAME])
    return folder


def sharpened(visitor: Visitor, photograph: Path) -> None:
    """Give a photograph and wait for the second answer."""
    visitor.page.set_input_files("#photo-file", photograph)
    visitor.page.locator("#state", has_text="Sharper result: done").wait_for()


@pytest.mark.slow
def test_a_sharper_answer_follows_and_its_surface_is_that_of_python(
    catalogue: CatalogueMirror, tab: Any, tmp_path: Path, photograph: Path
) -> None:
    with hosted(written(catalogue, tmp_path / "page")) as address:
        context = tab.new_context(**COARSE)
        visitor = Visitor(context, address)
        page = visitor.page
        page.evaluate(
            "() => { window.heard = []; new MutationObserver(() => heard.push("
            "document.getElementById('state').textContent)).observe("
            "document.getElementById('state'), { childList: true }); }"
        )
        sharpened(visitor, photograph)
        heard = page.evaluate("() => heard")
        facts = page.locator("#facts").text_content()
        own, _ = visitor.depth(tmp_path)
        points = read_ply(visitor.save("ply", tmp_path))["vertex"]
        context.close()
    assert visitor.complaints == []
    assert any("first result in" in each for each in heard)
    assert {url for url in visitor.asked if not url.startswith((address, "blob:"))} == set()

    expected = rilievo.predict(photograph, model=NAME)
    assert expected.depth.kind is DepthKind.AFFINE_INVERSE
    np.testing.assert_allclose(
        own, expected.depth.values, rtol=0, atol=1e-3 * np.ptp(expected.depth.values)
    )
    [reference] = load_model("rilievo/small").predict_raw([read_photo(photograph)])
    fitted = anchor(expected.depth, reference.depth)
    assert fitted.agrees
    told = re.search(
        r"by rilievo/small; rank correlation ([\d.]+), median difference ([\d.]+)%", facts
    )
    assert told, facts
    assert float(told[1]) == pytest.approx(fitted.rank_correlation, abs=1e-3)
    assert float(told[2]) / 100 == pytest.approx(fitted.fit.residual, abs=2e-3)
    surface = anchored_depth(expected.depth, fitted.fit).values
    K = expected.known_camera.K
    rows = np.rint(K[1, 1] * points["y"] / points["z"] + K[1, 2]).astype(int)
    columns = np.rint(K[0, 0] * points["x"] / points["z"] + K[0, 2]).astype(int)
    assert len(points) > 1000
    # One in a thousand may lie on the other side of a rim.
    apart = np.abs(points["z"] / surface[rows, columns] - 1)
    assert np.quantile(apart, 0.999) < 1e-3


@pytest.mark.slow
def test_where_the_two_disagree_there_is_no_surface_and_that_is_told(
    catalogue: CatalogueMirror, tab: Any, tmp_path: Path, photograph: Path
) -> None:
    with hosted(written(catalogue, tmp_path / "page", step=-1.0)) as address:
        context = tab.new_context(**COARSE)
        visitor = Visitor(context, address)
        sharpened(visitor, photograph)
        assert "disagree about this picture" in visitor.notes
        unfold(visitor.page, "#files")
        assert not visitor.page.locator("button[data-output=glb]").is_visible()
        unfold(visitor.page, "#settings")
        visitor.page.select_option("#model", "rilievo/small")
        visitor.page.locator("#state", has_text="Done").wait_for()
        unfold(visitor.page, "#files")
        assert visitor.page.locator("button[data-output=glb]").is_visible()
        context.close()
    assert visitor.complaints == []


@pytest.mark.slow
def test_the_second_network_is_kept_for_visits_without_a_network(
    catalogue: CatalogueMirror, tab: Any, tmp_path: Path, photograph: Path
) -> None:
    context = tab.new_context(**COARSE)
    with hosted(written(catalogue, tmp_path / "page")) as address:
        visitor = Visitor(context, address)
        visitor.page.locator("html[data-offline]").wait_for()
        visitor.page.reload()
        visitor.wait_until_ready()
        sharpened(visitor, photograph)
    # The host is gone.
    visitor.page.reload()
    visitor.wait_until_ready()
    sharpened(visitor, photograph)
    context.close()


@pytest.mark.slow
def test_without_the_second_network_the_first_answer_stays(
    catalogue: CatalogueMirror, tab: Any, tmp_path: Path, photograph: Path
) -> None:
    folder = written(catalogue, tmp_path / "page")
    [file] = (folder / "models").glob(f"{NAME}*")
    file.unlink()
    with hosted(folder) as address:
        context = tab.new_context(**COARSE, service_workers="block")
        visitor = Visitor(context, address)
        visitor.page.set_input_files("#photo-file", photograph)
        visitor.page.locator("#state.fault", has_text="cannot be loaded from this host").wait_for()
        assert "rilievo/small" in visitor.page.locator("#facts").text_content()
        unfold(visitor.page, "#files")
        assert visitor.page.locator("button[data-output=glb]").is_visible()
        context.close()


def test_a_network_that_is_not_here_is_not_downloaded_but_its_command_named(
    catalogue: CatalogueMirror, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    catalogue.offer(NAME, write_ramp)
    assert main(["page", "-o", str(tmp_path / "page"), "--with", NAME]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "rilievo models fetch zipdepth" in said
    assert not (tmp_path / "page").exists()


def listed(values: np.ndarray) -> list[float | None]:
    """Numbers for JSON, by which thousands get to a page sooner; None for NaN."""
    return [None if np.isnan(each) else each for each in values.ravel().tolist()]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts that fit and widen ranges, beside the one that they take quantiles from."""
    folder = tmp_path_factory.mktemp("scripts")
    for name in ("anchor.js", "ranges.js"):
        text = (ROOT / "web/source" / name).read_text("utf-8")
        (folder / name).write_text(text.replace('"relief"', '"./relief.js"'), "utf-8")
    planes = (ROOT / "src/rilievo/pages/surface_view/planes.js").read_text("utf-8")
    (folder / "relief.js").write_text(f"{planes}\nexport {{ clamp, listOf, quantile }};\n", "utf-8")
    return folder


@pytest.mark.parametrize("is_inverse", [True, False])
def test_the_fit_in_the_tab_is_that_of_python(tab: Any, scripts: Path, *, is_inverse: bool) -> None:
    rng = np.random.default_rng(0)
    context = tab.new_context()
    with hosted(scripts) as address:
        page = context.new_page()
        page.goto(f"{address}anchor.js")
        for noise in (0.0, 0.05, 0.5):
            depth = np.exp(rng.normal(0, 0.6, 3072))
            known = depth * np.exp(rng.normal(0, 0.1 + noise, depth.size))
            x = 3.0 * (1 / depth if is_inverse else depth) - 7.0
            known[::17] = np.nan
            found = page.evaluate(
                """async (text) => {
                    const [values, reference, inverse] = JSON.parse(text);
                    const { anchorValues } = await import("./anchor.js");
                    const numbers = (each) => Float64Array.from(each, (one) => one ?? NaN);
                    return anchorValues(numbers(values), numbers(reference), inverse);
                }""",
                json.dumps([listed(x), listed(known), is_inverse]),
            )
            here = np.isfinite(known)
            expected = anchor_values(x[here], known[here], is_inverse=is_inverse)
            assert found["scale"] == pytest.approx(expected.fit.scale, rel=1e-6)
            assert found["shift"] == pytest.approx(expected.fit.shift, rel=1e-6)
            assert found["residual"] == pytest.approx(expected.fit.residual, rel=1e-6)
            assert found["rank_correlation"] == pytest.approx(expected.rank_correlation, abs=1e-9)
    context.close()


def settings_of(site: Path) -> Any:
    html = (site / "index.html").read_text("utf-8")
    told = re.search(r'id="page-settings"[^>]*>(.*?)</script>', html, re.DOTALL)
    assert told
    return json.loads(told[1])


@pytest.fixture(scope="module")
def site_settings(tmp_path_factory: pytest.TempPathFactory) -> Any:
    site = tmp_path_factory.mktemp("site") / "page"
    write_page(site)
    return settings_of(site)


def test_ranges_of_the_tab_widen_with_the_fit_as_in_python(
    catalogue: CatalogueMirror, tab: Any, scripts: Path, tmp_path: Path
) -> None:
    settings = settings_of(written(catalogue, tmp_path / "page"))
    context = tab.new_context()
    with hosted(scripts) as address:
        page = context.new_page()
        page.goto(f"{address}anchor.js")
        for residual, order in ((0.001, 1.0), (0.05, 0.9), (0.3, 0.71)):
            fit = Anchoring(model="", residual=residual, rank_correlation=order)
            expected = page_terms(
                PredictionRecord(
                    depth_or_none=DepthMap(
                        values=np.ones((2, 2), np.float32), kind=DepthKind.UP_TO_SCALE
                    ),
                    camera=Camera(K=np.eye(3), source=CameraSource.ASSUMED),
                    made_by=MadeBy(
                        model="", weights_sha256="", licence="", settings={}, version=""
                    ),
                    anchoring=fit,
                )
            )
            found = page.evaluate(
                """async ([terms, misfit, residual, order]) => {
                    const { anchoredTerms } = await import("./ranges.js");
                    return anchoredTerms(terms, misfit, { residual, rank_correlation: order });
                }""",
                [settings["terms"]["anchored"]["assumed"], settings["misfit"], residual, order],
            )
            check_terms(found, expected)
    context.close()


def check_terms(found: Any, expected: Terms) -> None:
    for name in ("own", "known_length", "far", "along", "deeper", "angle_error"):
        assert found[name] == pytest.approx(getattr(expected, name), abs=1e-6), name
    for name in ("own", "known_point", "known_length", "far", "deeper"):
        value = getattr(expected.distance, name)
        assert found["distance"][name] == pytest.approx(value, abs=1e-6), name


@pytest.mark.parametrize(
    ("shape", "certain", "valid_share"),
    mostly_slow([(40, 61), (300, 203), (7, 9)], [0.2, 0.6, 0.85, 0.999], [1.0, 0.5, 0.0]),
)
def test_ranges_of_the_tab_follow_the_confidence_as_in_python(
    tab: Any,
    scripts: Path,
    site_settings: Any,
    shape: tuple[int, int],
    certain: float,
    valid_share: float,
) -> None:
    rng = np.random.default_rng(shape)
    confidence = np.clip(rng.normal(certain, 0.1, shape), 0, 1).astype(np.float32)
    valid = rng.random(shape) < valid_share
    expected = page_terms(
        PredictionRecord(
            depth_or_none=DepthMap(
                values=np.ones(shape, np.float32), kind=DepthKind.UP_TO_SCALE, valid=valid
            ),
            confidence=confidence,
            camera=Camera(K=np.eye(3), source=CameraSource.EXIF_35MM),
            made_by=MadeBy(model="", weights_sha256="", licence="", settings={}, version=""),
        ),
        floor=False,
    )
    context = tab.new_context()
    with hosted(scripts) as address:
        page = context.new_page()
        page.goto(f"{address}ranges.js")
        found = page.evaluate(
            """async ([terms, scale, values, valid, height, width]) => {
                const { doubtedTerms, pictureDoubt } = await import("./ranges.js");
                const doubt = pictureDoubt(values, valid, { height, width });
                return doubtedTerms(terms, scale, doubt);
            }""",
            [
                site_settings["terms"]["up_to_scale"]["known"],
                site_settings["doubt"],
                confidence.ravel().tolist(),
                valid.ravel().astype(int).tolist(),
                *shape,
            ],
        )
    context.close()
    check_terms(found, expected)


def test_maps_of_the_tab_are_read_at_the_places_of_python(tab: Any, scripts: Path) -> None:
    values = np.arange(90 * 131, dtype=np.float32).reshape(90, 131)
    depth = DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=values % 7 != 0)
    context = tab.new_context()
    with hosted(scripts) as address:
        page = context.new_page()
        page.goto(f"{address}anchor.js")
        found = page.evaluate(
            """async (text) => {
                const [known, valid] = JSON.parse(text);
                const values = known.map((each) => each ?? NaN);
                const { sampleOnGrid } = await import("./anchor.js");
                return Array.from(
                    sampleOnGrid({ depth: values, valid, height: 90, width: 131 }),
                    (each) => (each === each ? each : null));
            }""",
            json.dumps([listed(depth.values), depth.valid.ravel().astype(int).tolist()]),
        )
    context.close()
    rows, columns = ((2 * np.arange(n) + 1) * size // (2 * n) for n, size in ((48, 90), (64, 131)))
    expected = np.where(depth.valid, depth.values, np.nan)[np.ix_(rows, columns)].ravel()
    np.testing.assert_array_equal([np.nan if each is None else each for each in found], expected)

"""Rows of a viewer's table, and the colours of its fields, without FiftyOne."""

from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from rilievo.evaluation.views.fiftyone import configure_display
from rilievo.evaluation.views.rows import write_row
from rilievo.evaluation.views.targets import open_targets
from rilievo.evaluation.views.view_options import SourceOptions


def test_a_row_has_intrinsics_disagreement_and_metrics(runs: list[Path], tmp_path: Path) -> None:
    """Both models have the true order of depth, and err by 0.1 and 0.2 in the first image."""
    row = write_row(open_targets(runs, SourceOptions()), "a", tmp_path)
    intrinsics = {name: row.numbers[name] for name in ("fx", "fy", "cx", "cy")}
    assert intrinsics == {"fx": 40, "fy": 40, "cx": 31.5, "cy": 23.5}
    assert row.numbers["disagreement"] == pytest.approx(0, abs=1e-6)
    assert row.numbers["far.abs_rel"] == pytest.approx(0.1, abs=1e-5)
    assert row.numbers["near.abs_rel"] == pytest.approx(0.2, abs=1e-5)
    assert row.maps.keys() == {"true_depth", "far", "near"}


@pytest.mark.parametrize("users", [None, [], [{"path": "far", "name": "hot"}]])
def test_each_heat_map_gets_a_colour_scale_unless_the_user_gave_one(
    runs: list[Path], users: list[dict[str, str]] | None
) -> None:
    """A stand-in has the fields of FiftyOne's datasets that the colours are written to."""
    scheme = SimpleNamespace(colorscales=users)
    config = SimpleNamespace(media_fields=["filepath"], color_scheme=scheme, active_fields=[])
    dataset = SimpleNamespace(
        app_config=config,
        get_field_schema=lambda: dict.fromkeys(["true_depth", "far", "near"]),
        save=lambda: None,
    )
    configure_display(ModuleType("fiftyone"), dataset, open_targets(runs, SourceOptions()))
    scales = {scale["path"]: scale for scale in scheme.colorscales}
    assert scales.keys() == {"true_depth", "far", "near"}
    assert len(scheme.colorscales) == 3
    assert scales["far"].get("name") == ("hot" if users else None)

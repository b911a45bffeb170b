"""``rilievo export``: every kind of model as an ONNX file that needs nothing else."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from lab.making.distil.small_export import Provenance, export_small
from rilievo.cli import main
from rilievo.errors import InputError, ModelError, OptionError, RilievoError
from rilievo.models import load_model
from rilievo.models.base import PreparedModel
from rilievo.models.default.embedded import embedded_file
from rilievo.models.onnx_files.agreement import Agreement, check_agreement_limits, draw_scene
from rilievo.models.onnx_files.onnx_model import OnnxModel
from rilievo.training.conversion import onnx_file
from rilievo.training.conversion.onnx_export import ExportOptions, export_model
from rilievo.training.networks.small import SmallNet
from support.light_networks import LIGHT
from support.network_numbers import assert_networks_agree
from support.openvino_kernels import skip_without_avx
from support.tiny_checkpoints import FAMILIES, METRIC, Checkpoints, checkpoint

__all__ = ["checkpoint"]

PHOTOS = [draw_scene((120, 90)), draw_scene((90, 160)), draw_scene((120, 90))[::-1].copy()]
# TIPSv2 fits its positions by an antialiased resizing, which ONNX does not have.
EXPORTED = [name for name in FAMILIES if name not in ("zoedepth_experts", "tipsv2_dpt")]


def kind_of(family: str) -> str:
    return "metric" if family in METRIC else "affine_inverse"


def same_answers(one: PreparedModel, other: PreparedModel, tolerance: float = 1e-4) -> None:
    """Fail where two models differ by more than a share of the range of depth."""
    for ours, theirs in zip(one.predict_raw(PHOTOS), other.predict_raw(PHOTOS), strict=True):
        assert ours.depth is not None
        assert theirs.depth is not None
        scale = np.ptp(theirs.depth.values)
        assert_networks_agree(
            ours.depth.values / scale,
            theirs.depth.values / scale,
            median=tolerance / 5,
            tolerance=tolerance,
            limit=min(100 * tolerance, 1),
        )
        assert ours.camera is not None
        assert theirs.camera is not None
        np.testing.assert_allclose(ours.camera.K, theirs.camera.K, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("family", EXPORTED)
def test_every_family_answers_as_torch_from_the_file_alone(
    family: str, checkpoint: Checkpoints, tmp_path: Path
) -> None:
    """Photographs of two sizes at once: sizes are free or fixed, batches as the network allows."""
    folder = checkpoint(family)
    path = tmp_path / "x.onnx"
    written = export_model(folder, path, ExportOptions(kind=kind_of(family)))
    assert written.agreement.most < 1e-4
    model = load_model(path)
    original = load_model(folder, kind=kind_of(family), engine="torch")
    assert isinstance(model, OnnxModel)
    assert isinstance(original, PreparedModel)
    assert model.card.kind == original.card.kind
    assert model.description.preparation.sizing == original.preparation.sizing
    assert model.metadata["rilievo.weights_sha256"] == original.weights_sha256
    same_answers(model, original)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.slow
def test_halved_weights_are_nearly_as_good_and_said(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    options = ExportOptions(kind="affine_inverse")
    whole = export_model(checkpoint("dpt"), tmp_path / "whole.onnx", options)
    copy = export_model(whole.path, tmp_path / "copy.onnx")
    assert copy.agreement.most == 0
    halved = export_model(whole.path, tmp_path / "half.onnx", ExportOptions(precision="fp16"))
    assert 0 < halved.agreement.most < 1e-2
    assert halved.precision == "fp16"
    assert halved.path.stat().st_size < 0.9 * whole.path.stat().st_size
    model, original = load_model(halved.path), load_model(whole.path)
    assert model.settings["weights"] == "fp16"
    assert isinstance(model, OnnxModel)
    assert isinstance(original, OnnxModel)
    same_answers(model, original, tolerance=0.1)
    with pytest.raises(OptionError, match="rounded to fp16 already"):
        export_model(halved.path, tmp_path / "again.onnx", ExportOptions(precision="int8"))


@pytest.mark.parametrize(
    "name", ["rilievo/small", pytest.param("rilievo/base", marks=pytest.mark.slow)]
)
def test_weights_of_8_bits_are_copied_and_not_made_smaller(name: str, tmp_path: Path) -> None:
    copy = export_model(name, tmp_path / "copy.onnx")
    assert (copy.precision, copy.agreement.most) == ("int8 weights", 0)
    [ours], [theirs] = (load_model(each).predict_raw(PHOTOS[:1]) for each in (copy.path, name))
    np.testing.assert_array_equal(ours.depth.values, theirs.depth.values)
    for source in (name, copy.path):
        for precision in ("fp32", "fp16"):
            with pytest.raises(
                OptionError, match=r"no other precision makes more exact; leave out precision: "
            ):
                export_model(source, tmp_path / "x.onnx", ExportOptions(precision=precision))


def test_the_graph_of_a_file_that_is_quantised_to_8_bits_is_copied_unchanged(
    tmp_path: Path,
) -> None:
    """Only a network that computes in floats on 8-bit weights is rewritten without Dequantize."""
    network = onnx.load(embedded_file("rilievo/small"))
    for entry in network.metadata_props:
        if entry.key == "rilievo.precision":
            entry.value = "int8"
    quantised = tmp_path / "int8.onnx"
    onnx.save(network, quantised)
    copy = export_model(quantised, tmp_path / "copy.onnx")
    assert any(node.op_type == "DequantizeLinear" for node in network.graph.node)
    assert onnx.load(copy.path).graph == network.graph


@pytest.mark.slow
def test_int8_without_photographs_quantises_products_alone(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    options = ExportOptions(kind="affine_inverse", precision="int8")
    written = export_model(checkpoint("depth_anything"), tmp_path / "x.onnx", options)
    assert 0 < written.agreement.median < 5e-2
    plain = tmp_path / "plain.onnx"
    export_small(SmallNet(LIGHT).eval(), plain, Provenance(name="plain", trained_on="nothing"))
    with pytest.raises(ModelError, match="only quantises matrix products"):
        export_model(plain, tmp_path / "y.onnx", ExportOptions(precision="int8"))
    with pytest.raises(OptionError, match="no other precision makes more exact"):
        export_model("rilievo/small", tmp_path / "z.onnx", ExportOptions(precision="int8"))


@pytest.mark.slow
def test_int8_is_calibrated_on_photographs(checkpoint: Checkpoints, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for index, photo in enumerate(PHOTOS):
        Image.fromarray(photo).save(photos / f"{index}.png")
    options = ExportOptions(kind="affine_inverse", precision="int8", calibration=photos)
    written = export_model(checkpoint("depth_anything"), tmp_path / "x.onnx", options)
    assert written.calibrated_on == 3
    assert "calibrated on 3 photographs" in str(written)
    operators = {node.op_type for node in onnx.load(written.path).graph.node}
    assert "QuantizeLinear" in operators
    original = load_model(checkpoint("depth_anything"), kind="affine_inverse", engine="torch")
    assert isinstance(original, PreparedModel)
    for engine in ("onnxruntime", "openvino"):
        if engine == "openvino":
            skip_without_avx()
        model = load_model(written.path, engine=engine)
        assert isinstance(model, PreparedModel)
        same_answers(model, original, 0.5)


@pytest.mark.slow
def test_a_photograph_to_calibrate_on_that_is_broken_is_named(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "broken.png").write_bytes(b"no picture")
    options = ExportOptions(kind="affine_inverse", precision="int8", calibration=photos)
    with pytest.raises(InputError, match=r"broken\.png"):
        export_model(checkpoint("depth_anything"), tmp_path / "x.onnx", options)
    assert list(tmp_path.iterdir()) == [photos]


@pytest.mark.slow
def test_a_size_that_is_given_holds_for_every_photograph(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    options = ExportOptions(kind="affine_inverse", size=(42, 70))
    written = export_model(checkpoint("depth_anything"), tmp_path / "x.onnx", options)
    assert written.sizing == "fixed 42x70 /14"
    session = onnxruntime.InferenceSession(written.path)
    assert session.get_inputs()[0].shape[1:] == [42, 70, 3]
    model = load_model(written.path)
    assert [each.shape for each in model.predict_raw(PHOTOS)] == [(120, 90), (90, 160), (120, 90)]


@pytest.mark.parametrize(
    ("name", "size"),
    [("small", (224, 320)), pytest.param("base", (96, 160), marks=pytest.mark.slow)],
)
def test_an_embedded_network_has_the_size_that_is_given(
    name: str, size: tuple[int, int], tmp_path: Path
) -> None:
    """The graph is the network's own, so its answers at that size are, but for rounded picks."""
    options = ExportOptions(size=size)
    written = export_model(f"rilievo/{name}", tmp_path / "x.onnx", options)
    assert written.sizing == f"fixed {size[0]}x{size[1]} /32"
    assert written.agreement.median < 1e-6
    graph = onnx.load(written.path).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes["image"] == [0, *size, 3]
    assert shapes["depth"] == [0, *size]
    for engine in ("onnxruntime", "openvino"):
        if engine == "openvino":
            skip_without_avx()
        ours, theirs = (
            load_model(source, engine=engine) for source in (written.path, f"rilievo/{name}")
        )
        assert isinstance(ours, PreparedModel)
        assert isinstance(theirs, PreparedModel)
        photo = ours.preparation.pixels(draw_scene((480, 640)))[None]
        assert photo.shape == (1, *size, 3)
        for one, other in ((ours, theirs), (ours.depth_alone(), theirs.depth_alone())):
            assert isinstance(one, PreparedModel)
            assert isinstance(other, PreparedModel)
            answer, own = one.run(photo), other.run(photo)
            assert set(answer) == set(own) > {"depth"}
            for field, values in own.items():
                scale = np.ptp(values)
                assert_networks_agree(
                    answer[field] / scale, values / scale, median=1e-5, tolerance=1e-3, limit=0.5
                )
    assert [prediction.shape for prediction in load_model(written.path).predict_raw(PHOTOS)] == [
        photo.shape[:2] for photo in PHOTOS
    ]
    again = export_model(written.path, tmp_path / "again.onnx", options)
    assert again.sizing == written.sizing
    with pytest.raises(OptionError, match=r"x\.onnx: its network has the fixed size"):
        export_model(written.path, tmp_path / "z.onnx", ExportOptions(size=(64, 64)))
    with pytest.raises(OptionError, match="multiples of 32, got 100,160"):
        export_model(f"rilievo/{name}", tmp_path / "z.onnx", ExportOptions(size=(100, 160)))


def test_the_command_writes_a_file_that_predict_takes(
    checkpoint: Checkpoints, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo, path = tmp_path / "photo.png", tmp_path / "x.onnx"
    Image.fromarray(PHOTOS[0]).save(photo)
    asked = ["export", str(checkpoint("dpt")), "--kind", "affine_inverse", "-o", str(path)]
    assert main(asked) == 0
    assert "differs from the original model by at most" in capsys.readouterr().out
    assert main(["predict", str(photo), "-m", str(path), "-o", str(tmp_path / "out")]) == 0
    assert main(asked) == 2
    assert "already exists" in capsys.readouterr().err


def test_what_a_killed_export_left_behind_is_swept_by_the_next(tmp_path: Path) -> None:
    (tmp_path / ".small.onnx.999999999-0.rilievo-part").write_bytes(b"half")
    export_model("rilievo/small", tmp_path / "small.onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["small.onnx"]


@pytest.mark.slow
def test_a_file_that_answers_differently_is_not_kept(
    checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A constant of the trace shows at another size: here, everything is one."""
    monkeypatch.setattr(onnx_file, "_MODULES_WITH_INT", ())
    options = ExportOptions(kind="affine_inverse")
    with pytest.raises(ModelError, match="cannot be exported"):
        export_model(checkpoint("depth_anything"), tmp_path / "x.onnx", options)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_weights_that_changed_on_the_way_are_noticed(
    checkpoint: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = onnx_file.write_traced

    def spoiled(network: torch.nn.Module, *given: object, **options: object) -> None:
        kept = {name: value.clone() for name, value in network.state_dict().items()}
        with torch.no_grad():
            network.load_state_dict({name: value * 1.01 for name, value in kept.items()})
            write(network, *given, **options)  # pyright: ignore[reportArgumentType]
            network.load_state_dict(kept)

    monkeypatch.setattr("rilievo.training.conversion.onnx_file.write_traced", spoiled)
    path = tmp_path / "x.onnx"
    path.write_bytes(b"what was there")
    options = ExportOptions(kind="affine_inverse", overwrite=True)
    with pytest.raises(ModelError, match="output differs"):
        export_model(checkpoint("dpt"), path, options)
    assert path.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"precision": "int4"}, "cannot have precision 'int4'"),
        ({"calibration": Path()}, "calibration is only for int8"),
        ({"size": (12, 0)}, "size must be two positive"),
        ({"scale": 0.0}, "scale must be a positive number"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        ExportOptions(**options)  # pyright: ignore[reportArgumentType]


@pytest.mark.slow
def test_what_does_not_go_with_the_model_is_refused(
    checkpoint: Checkpoints, tmp_path: Path
) -> None:
    folder, path = checkpoint("depth_anything"), tmp_path / "x.onnx"
    for name, options, words in (
        (folder, ExportOptions(kind="affine", size=(50, 70)), "multiples of 14"),
        (
            folder,
            ExportOptions(kind="affine", mean=(0.0, 0.0, 0.0)),
            "defines its own normalisation",
        ),
        ("rilievo/smal", ExportOptions(), "did you mean"),
        (folder, ExportOptions(), "kind"),
        (
            folder,
            ExportOptions(kind="affine", precision="int8", calibration=tmp_path),
            "contains none",
        ),
        (checkpoint("zoedepth_experts"), ExportOptions(kind="metric"), "affect each other"),
    ):
        with pytest.raises(RilievoError, match=words):
            export_model(name, path, options)
    with pytest.raises(OptionError, match=r"ends in \.onnx"):
        export_model(folder, tmp_path / "x.pt", ExportOptions(kind="affine"))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    ["marigold/depth-v1-1", "prs-eth/marigold-depth-v1-1", "diffusers:org/x", "replicate:a/b"],
)
def test_what_is_no_one_network_is_refused_before_it_is_fetched(name: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be exported to ONNX"):
        export_model(name, tmp_path / "x.onnx")


def test_numbers_that_overflow_are_named() -> None:
    with pytest.raises(ModelError, match="in int8, the network's numbers overflow"):
        check_agreement_limits(Agreement(most=np.nan, median=np.nan), "int8")

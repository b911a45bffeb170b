"""Tiny checkpoints of every depth family, saved by transformers itself in its own layout."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

STAGES = ["stage1", "stage2", "stage3", "stage4"]
IMAGENET = {"image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
SMALL_HEAD = {
    "neck_hidden_sizes": [8, 8, 8, 8],
    "fusion_hidden_size": 8,
}


def dinov2(**options: Any) -> Any:
    return transformers.Dinov2Config(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        mlp_ratio=2,
        image_size=56,
        patch_size=14,
        out_features=STAGES,
        apply_layernorm=True,
        **options,
    )


def depth_anything(*, metric: bool = False) -> Any:
    return transformers.DepthAnythingForDepthEstimation(
        transformers.DepthAnythingConfig(
            backbone_config=dinov2(reshape_hidden_states=False),
            reassemble_hidden_size=16,
            patch_size=14,
            head_hidden_size=8,
            depth_estimation_type="metric" if metric else "relative",
            max_depth=20 if metric else 1,
            **SMALL_HEAD,
        )
    )


def dpt() -> Any:
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=64,
            patch_size=16,
            backbone_out_indices=[0, 1, 2, 3],
            **SMALL_HEAD,
        )
    )


def dpt_hybrid() -> Any:
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            is_hybrid=True,
            hidden_size=16,
            num_hidden_layers=4,
            num_attention_heads=2,
            intermediate_size=32,
            image_size=64,
            patch_size=16,
            backbone_out_indices=[0, 1, 2, 3],
            backbone_featmap_shape=[1, 32, 4, 4],
            neck_ignore_stages=[0, 1],
            readout_type="project",
            backbone_config={
                "model_type": "bit",
                "global_padding": "same",
                "layer_type": "bottleneck",
                "depths": [1, 1, 1],
                "hidden_sizes": [8, 16, 32],
                "embedding_size": 8,
                "num_groups": 4,
                "out_features": ["stage1", "stage2", "stage3"],
                "embedding_dynamic_padding": True,
            },
            neck_hidden_sizes=[8, 16, 8, 8],
            fusion_hidden_size=8,
        )
    )


def dpt_dinov2() -> Any:
    return transformers.DPTForDepthEstimation(
        transformers.DPTConfig(
            backbone_config=dinov2(reshape_hidden_states=False),
            hidden_size=16,
            readout_type="project",
            **SMALL_HEAD,
        )
    )


def zoedepth(*, experts: int = 1) -> Any:
    ranges = [("nyu", 0.001, 10.0), ("kitti", 0.001, 80.0)][:experts]
    return transformers.ZoeDepthForDepthEstimation(
        transformers.ZoeDepthConfig(
            backbone_config=transformers.BeitConfig(
                image_size=64,
                patch_size=16,
                hidden_size=16,
                num_hidden_layers=4,
                num_attention_heads=2,
                intermediate_size=32,
                out_features=STAGES,
                reshape_hidden_states=False,
                use_relative_position_bias=True,
            ),
            backbone_hidden_size=16,
            bottleneck_features=8,
            num_relative_features=8,
            bin_embedding_dim=8,
            num_attractors=[4, 2, 2, 1],
            num_patch_transformer_layers=4,
            patch_transformer_hidden_size=128,  # the classifier is built for it
            patch_transformer_intermediate_size=16,
            patch_transformer_num_attention_heads=2,
            bin_configurations=[
                {"n_bins": 8, "min_depth": low, "max_depth": high, "name": name}
                for name, low, high in ranges
            ],
            **SMALL_HEAD,
        )
    )


def glpn() -> Any:
    return transformers.GLPNForDepthEstimation(
        transformers.GLPNConfig(
            depths=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 16, 16],
            num_attention_heads=[1, 1, 2, 2],
            mlp_ratios=[2, 2, 2, 2],
            decoder_hidden_size=8,
        )
    )


def depth_pro() -> Any:
    encoder = {
        "model_type": "dinov2",
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "mlp_ratio": 2,
        "patch_size": 8,
        "image_size": 32,
    }
    return transformers.DepthProForDepthEstimation(
        transformers.DepthProConfig(
            fusion_hidden_size=8,
            patch_size=32,
            intermediate_hook_ids=[3, 1],
            intermediate_feature_dims=[8, 8],
            scaled_images_feature_dims=[8, 8, 8],
            merge_padding_value=1,
            use_fov_model=True,
            image_model_config=encoder,
            patch_model_config=encoder,
            fov_model_config=encoder,
        )
    )


def tipsv2() -> Any:
    return transformers.Tipsv2DptForDepthEstimation(
        transformers.Tipsv2DptConfig(
            backbone_config=transformers.Tipsv2VisionConfig(
                hidden_size=16,
                num_hidden_layers=4,
                num_attention_heads=2,
                mlp_ratio=2,
                image_size=56,
                out_indices=[1, 2, 3, 4],
                apply_layernorm=True,
                reshape_hidden_states=False,
            ),
            num_depth_bins=8,
            **SMALL_HEAD,
        )
    )


def aim(model: Any) -> None:
    """Let Depth Pro's random weights see metres, and a field of view near 60 degrees."""
    with torch.no_grad():
        model.head.layers[-2].bias.fill_(40.0)
        model.fov_model.head.layers[-1].bias.fill_(60.0)


def anything_processor() -> Any:
    return transformers.DPTImageProcessor(
        size={"height": 70, "width": 70},
        keep_aspect_ratio=True,
        ensure_multiple_of=14,
        **IMAGENET,
    )


FAMILIES: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "depth_anything": (depth_anything, anything_processor),
    "depth_anything_metric": (lambda: depth_anything(metric=True), anything_processor),
    "dpt": (dpt, lambda: transformers.DPTImageProcessor(size={"height": 64, "width": 64})),
    "dpt_hybrid": (
        dpt_hybrid,
        lambda: transformers.DPTImageProcessor(size={"height": 64, "width": 64}),
    ),
    "dpt_dinov2": (
        dpt_dinov2,
        lambda: transformers.DPTImageProcessor(
            do_resize=False,
            do_rescale=False,
            do_pad=True,
            size_divisor=14,
            image_mean=[123.675, 116.28, 103.53],
            image_std=[58.395, 57.12, 57.375],
        ),
    ),
    "zoedepth": (
        zoedepth,
        lambda: transformers.ZoeDepthImageProcessor(
            size={"height": 64, "width": 96}, ensure_multiple_of=32
        ),
    ),
    "zoedepth_experts": (
        lambda: zoedepth(experts=2),
        lambda: transformers.ZoeDepthImageProcessor(
            size={"height": 64, "width": 96}, ensure_multiple_of=32
        ),
    ),
    "glpn": (glpn, lambda: transformers.GLPNImageProcessor()),
    "depth_pro": (
        depth_pro,
        lambda: transformers.DepthProImageProcessor(size={"height": 128, "width": 128}),
    ),
    "tipsv2_dpt": (
        tipsv2,
        lambda: transformers.Tipsv2DptImageProcessor(size={"height": 56, "width": 56}),
    ),
}
METRIC = (
    "depth_anything_metric",
    "zoedepth",
    "zoedepth_experts",
    "glpn",
    "depth_pro",
    "tipsv2_dpt",
)
Checkpoints = Callable[[str], Path]


def save_checkpoint(family: str, folder: Path) -> Path:
    """Write a random network of a family, spread out enough that its depth is not flat."""
    torch.manual_seed(sum(map(ord, family)))
    make_model, make_processor = FAMILIES[family]
    model = make_model().eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "position" not in name and "token" not in name:
                torch.nn.init.xavier_uniform_(parameter, gain=1.2)
            elif name.endswith("bias"):
                parameter.add_(0.05 * torch.randn_like(parameter))
    if family == "depth_pro":
        aim(model)
    transformers.logging.disable_progress_bar()
    model.save_pretrained(folder)
    make_processor().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkpoints]:
    """The folder of a tiny checkpoint of each family, saved once a session."""
    threads = torch.get_num_threads()
    # Networks this small spend their time waiting for each other's threads.
    torch.set_num_threads(1)
    folders: dict[str, Path] = {}

    def find(family: str) -> Path:
        if family not in folders:
            folders[family] = save_checkpoint(family, tmp_path_factory.mktemp(family))
        return folders[family]

    yield find
    torch.set_num_threads(threads)


def copied(folder: Path, target: Path) -> Path:
    """A checkpoint that may be spoilt."""
    shutil.copytree(folder, target)
    return target

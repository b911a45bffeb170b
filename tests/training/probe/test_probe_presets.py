"""Presets: what differs is listed in one place, and nothing else does."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rilievo.errors import OptionError
from rilievo.records.depth_map import DepthKind
from rilievo.training.commands.train_probe import parse_and_complete
from rilievo.training.losses.supervised_options import Losses
from rilievo.training.networks.blueprint import Readout
from rilievo.training.probe.probe_config import PLAIN, PRESETS, ProbeConfig, Schedule
from rilievo.training.probe.probe_presets import (
    PLAIN_REASONS,
    REASONS,
    preset_config,
    preset_differences,
    with_overrides,
)
from rilievo.training.probe.probe_task import RateSchedule
from support.probed_scenes import small_config


def of_preset(name: str) -> ProbeConfig:
    plain = small_config(Path())
    return preset_config(name, plain.blueprint, plain.data)


def test_every_difference_of_a_preset_has_its_reason_and_every_reason_a_difference() -> None:
    listed = {name: preset_differences(of_preset(name)) for name in PRESETS}
    plain = {each.field for each in listed[PLAIN]}
    assert plain | {"losses.normals"} == set(PLAIN_REASONS)
    probes = [each for name in PRESETS if name != PLAIN for each in listed[name]]
    assert {each.field for each in probes} == set(REASONS)
    assert all(each.reason for each in [*probes, *listed[PLAIN]])


def test_what_the_user_chose_has_no_reason_of_the_presets() -> None:
    config = replace(of_preset("probe3d"), epochs=3, final_factor=0.5)
    listed = {each.field: each for each in preset_differences(config)}
    assert listed["epochs"].reason is None
    assert (listed["final_factor"].value, listed["final_factor"].reason) == ("0.5", None)
    assert listed["shuffle"].reason == REASONS["shuffle"]


def test_the_default_differs_in_nothing() -> None:
    assert preset_differences(of_preset("default")) == ()


def test_probe3d_has_its_numbers() -> None:
    config = of_preset("probe3d-old")
    assert (config.learning_rate, config.weight_decay, config.batch_size) == (5e-4, 0.01, 8)
    assert (config.epochs, config.warm_up, config.start_factor) == (10, 1.5, 0.01)
    assert (config.augmentation.jitter, config.augmentation.crop) == (0.8, 0.5)
    assert config.losses.gradient_form == "old"
    assert config.losses.zero_normals
    assert not of_preset("default").losses.zero_normals


@pytest.mark.parametrize("name", ["probe", "supervised"])
def test_plain_is_adam_at_a_constant_rate_from_the_command_line(name: str) -> None:
    words = ["--root", "data", "-o", "run", "--preset", "plain", "--task", "both"]
    words += ["--backbone", "depth-cnn", "--weights", "random"]
    config = parse_and_complete(name, words)[1]
    assert (config.preset, config.losses) == (PLAIN, Losses(depth="mse", normals="mse"))
    assert (config.learning_rate, config.weight_decay, config.batch_size) == (1e-3, 0.0, 2)
    assert {RateSchedule.from_config(config, epoch_steps=7).factor(step) for step in range(70)} == {
        1.0
    }
    assert config.schedule is Schedule.CONSTANT
    falling = replace(config, final_factor=0.0)
    assert RateSchedule.from_config(falling, epoch_steps=7).factor(69) == 1.0
    other = parse_and_complete(name, [*words, "--normals-loss", "uncertain", "--batch-size", "4"])[
        1
    ]
    assert (other.losses.normals, other.blueprint.uncertainty) == ("uncertain", True)
    assert (other.batch_size, other.weight_decay) == (4, 0.0)


def test_the_probes_kernel_and_readout_are_options_of_the_command() -> None:
    words = ["-b", "timm/vit", "--root", "data", "-o", "run", "--kernel", "3"]
    blueprint = parse_and_complete("probe", [*words, "--depth.readout", "most_probable"])[
        1
    ].blueprint
    assert (blueprint.probe.kernel, blueprint.depth.readout) == (3, Readout.MOST_PROBABLE)


def test_a_whole_network_has_no_preset_of_probes() -> None:
    with pytest.raises(OptionError, match="preset must be default or plain, got 'probe3d'"):
        parse_and_complete("supervised", ["--root", "data", "-o", "run", "--preset", "probe3d"])


def test_relative_depth_of_navi_is_no_metres() -> None:
    plain = small_config(Path())
    data = replace(plain.data, dataset="navi", variant="relative-crop")
    depth = preset_config("probe3d", plain.blueprint, data).blueprint.depth
    assert (depth.kind, depth.largest) == (DepthKind.AFFINE, 1.0)
    metric = replace(data, variant="metric-crop")
    assert preset_config("default", plain.blueprint, metric).blueprint == plain.blueprint


def test_fields_are_changed_by_their_paths() -> None:
    config = with_overrides(of_preset("default"), {"epochs": 2, "losses.depth": "l1", "warm_up": 1})
    assert (config.epochs, config.losses, config.warm_up) == (2, Losses(depth="l1"), 1.0)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("epoch", 2, "did you mean 'epochs'"),
        ("blueprint.size", 2, "no training field 'blueprint.size'"),
        ("epochs", "two", '^training: epochs is "two", expected an integer'),
        ("losses.depth", "l2", "did you mean 'l1'"),
        ("learning_rate", -1.0, "learning_rate must be 0 or more"),
    ],
)
def test_a_change_that_cannot_be_is_refused(path: str, value: str | float, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        with_overrides(of_preset("default"), {path: value})


def test_probe3ds_learning_rate_worked_out_by_hand() -> None:
    """100 steps an epoch: 150 of warm-up from 1%, then a quarter of a cosine over 850 to 1%."""
    config = of_preset("probe3d")
    factor = {
        step: RateSchedule.from_config(config, epoch_steps=100).factor(step)
        for step in (0, 75, 150, 575)
    }
    assert factor[0] == pytest.approx(0.01)
    assert factor[75] == pytest.approx(0.505)
    assert factor[150] == pytest.approx(1.0)
    assert factor[575] == pytest.approx(0.01 + 0.99 * math.cos(math.pi / 4))


@given(
    schedule=st.sampled_from(list(Schedule)),
    warm_up=st.floats(0, 2),
    epochs=st.integers(3, 9),
    steps=st.integers(1, 30),
)
def test_the_rate_climbs_then_falls_and_stays_in_its_range(
    schedule: Schedule, warm_up: float, epochs: int, steps: int
) -> None:
    config = replace(of_preset("default"), schedule=schedule, warm_up=warm_up, epochs=epochs)
    factors = [
        RateSchedule.from_config(config, epoch_steps=steps).factor(step)
        for step in range(epochs * steps)
    ]
    top = factors.index(max(factors))
    assert factors[: top + 1] == sorted(factors[: top + 1])
    assert factors[top:] == sorted(factors[top:], reverse=True)
    assert all(0 <= factor <= 1 for factor in factors)

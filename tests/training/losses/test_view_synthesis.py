"""The loss of a batch of video: against its description computed by other means, and its laws."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rilievo.errors import InputError, OptionError
from rilievo.geometry.transforms import rigid, rotation_from_axis_angle
from rilievo.training.losses.video_options import Scales, VideoLosses
from rilievo.training.losses.view_synthesis import TERMS, VideoLoss, video_loss
from rilievo.training.losses.warped_frames import Views, compare_warped_sources, frames_at_scale
from support.video_loss_by_hand import Recipe, loss_of, pyramid_of_bytes

HEIGHT, WIDTH = 16, 24
PLAIN = VideoLosses(in_front=False)
K = np.array([[20.0, 0, 11.2], [0, 22.0, 7.9], [0, 0, 1]])


def motions(seed: int, count: int) -> list[np.ndarray]:
    dice = np.random.default_rng(seed)
    turns, steps = dice.normal(0, 0.03, (count, 3)), dice.normal(0, 0.05, (count, 3))
    return [rigid(rotation_from_axis_angle(w), t) for w, t in zip(turns, steps, strict=True)]


def tensor(images: list[np.ndarray]) -> Tensor:
    """``b c h w`` of images ``h w c``."""
    return torch.tensor(np.stack(images)).permute(0, 3, 1, 2)


class Batch:
    """Two targets with two sources each, and a network's answer, all by chance."""

    def __init__(self, seed: int = 0) -> None:
        dice = np.random.default_rng(seed)
        shape = (2, 3, HEIGHT, WIDTH, 3)
        frames = dice.integers(0, 256, shape, dtype=np.uint8)  # target, before, after
        self.pyramids = [[pyramid_of_bytes(frame) for frame in x] for x in frames]
        self.motion = [motions(seed + k, 2) for k in range(2)]
        self.sigmoids = [
            [dice.uniform(0, 0.2, (HEIGHT >> scale, WIDTH >> scale)) for scale in range(4)]
            for _ in range(2)
        ]
        self.masks = [
            [dice.uniform(0.2, 1, (HEIGHT >> s, WIDTH >> s, 2)) for s in range(4)] for _ in range(2)
        ]

    def views(self) -> Views:
        target, *sources = (
            tuple(tensor([x[k][s] for x in self.pyramids]) for s in range(4)) for k in range(3)
        )
        return Views(
            target=target[0],
            sources=tuple(each[0] for each in sources),
            target_seen=target[0],
            sources_seen=tuple(each[0] for each in sources),
            pyramid=target,
            source_pyramids=tuple(sources),
            K=torch.tensor(K).repeat(2, 1, 1),
            source_T_target=(None, None),
        )

    def answers(self) -> tuple[Tensor, ...]:
        return tuple(tensor([x[s][..., None] for x in self.sigmoids]) for s in range(4))

    def source_T_target(self) -> tuple[Tensor, ...]:
        return tuple(torch.tensor(np.stack([x[k] for x in self.motion])) for k in range(2))

    def mask(self) -> tuple[Tensor, ...]:
        return tuple(tensor([x[s] for x in self.masks]) for s in range(4))

    def by_hand(self, recipe: Recipe, *, masks: bool = False) -> float:
        return np.mean(
            [
                loss_of(
                    self.pyramids[k],
                    K,
                    self.motion[k],
                    self.sigmoids[k],
                    recipe,
                    self.masks[k] if masks else None,
                )
                for k in range(2)
            ]
        ).item()


def loss_in(
    views: Views,
    sigmoids: tuple[Tensor, ...],
    motion: tuple[Tensor, ...],
    options: VideoLosses = PLAIN,
    *,
    generator: torch.Generator | None = None,
    masks: tuple[Tensor, ...] | None = None,
    source_sigmoids: tuple[Tensor, ...] | None = None,
    multiplied: bool = False,
) -> VideoLoss:
    return video_loss(
        views,
        sigmoids,
        motion,
        min_depth=0.1,
        max_depth=100.0,
        scales=tuple(range(len(sigmoids))),
        options=options,
        generator=generator,
        masks=masks,
        source_sigmoids=source_sigmoids,
        scale_translations=multiplied,
    )


def loss_of_batch(batch: Batch, options: VideoLosses = PLAIN) -> VideoLoss:
    return loss_in(batch.views(), batch.answers(), batch.source_T_target(), options)


@pytest.mark.parametrize(
    ("options", "recipe"),
    [
        (PLAIN, Recipe()),
        (replace(PLAIN, minimum=False), Recipe(minimum=False)),
        (replace(PLAIN, automask=False), Recipe(automask=False)),
        (replace(PLAIN, automask=False, minimum=False), Recipe(automask=False, minimum=False)),
        (replace(PLAIN, ssim=0.0), Recipe(ssim=0.0)),
        (replace(PLAIN, scales=Scales.NATIVE), Recipe(native=True)),
        (
            replace(PLAIN, scales=Scales.NATIVE, pixel_centres=False),
            Recipe(native=True, pixel_centres=False),
        ),
        (replace(PLAIN, align_corners=False), Recipe(align_corners=False)),
        (replace(PLAIN, smoothness=0.1), Recipe(smoothness=0.1)),
    ],
)
def test_other_means_give_the_same_loss(options: VideoLosses, recipe: Recipe) -> None:
    batch = Batch()
    found = loss_of_batch(batch, options)
    assert found.total.item() == pytest.approx(batch.by_hand(recipe), abs=1e-9)


def test_other_means_give_the_same_loss_with_a_predicted_mask() -> None:
    batch, options = Batch(3), replace(PLAIN, automask=False, predictive_mask=True)
    found = loss_in(
        batch.views(), batch.answers(), batch.source_T_target(), options, masks=batch.mask()
    )
    expected = batch.by_hand(Recipe(automask=False), masks=True)
    assert found.total.item() == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("minimum", [True, False])
def test_a_predicted_mask_does_not_flatter_the_error_that_is_reported(minimum: bool) -> None:
    batch, options = Batch(3), VideoLosses(automask=False, minimum=minimum)
    views, depth = batch.views(), 1 + batch.answers()[0][:, 0]
    frames, motion = frames_at_scale(views, options, None), batch.source_T_target()
    plain = compare_warped_sources(frames, depth, motion, options)
    masks = batch.mask()[0]
    masked = compare_warped_sources(frames, depth, motion, options, masks=masks)
    torch.testing.assert_close(masked.warped_error, plain.warped_error, rtol=0, atol=0)
    assert (masked.error < plain.error).all()
    assert masked.automask.equal(plain.automask)


@pytest.mark.parametrize("scales", list(Scales))
def test_the_published_unit_of_motion_is_each_scales_own(scales: Scales) -> None:
    """The gradient of that unit reaches the disparities."""
    batch, native = Batch(4), scales is Scales.NATIVE
    options = replace(PLAIN, scales=scales, pixel_centres=False)
    views, motion = batch.views(), batch.source_T_target()
    expected = batch.by_hand(Recipe(native=native, pixel_centres=False, multiplied=True))
    found = loss_in(views, batch.answers(), motion, options, multiplied=True).total
    assert found.item() == pytest.approx(expected, abs=1e-9)
    inputs = [x.requires_grad_() for x in (*batch.answers(), *motion)]

    def total(given: list[Tensor]) -> Tensor:
        depth, moved = tuple(given[:4]), tuple(given[4:])
        return loss_in(views, depth, moved, options, multiplied=True).total

    gradients = torch.autograd.grad(total(inputs), inputs)
    random, step = torch.Generator().manual_seed(5), 1e-6
    for index, gradient in enumerate(gradients):
        # One direction each: the loss has kinks, and a step over one changes little of many pixels.
        way = torch.randn(gradient.shape, generator=random, dtype=gradient.dtype)
        ahead, back = ([*inputs], [*inputs])
        ahead[index], back[index] = inputs[index] + step * way, inputs[index] - step * way
        with torch.no_grad():
            slope = (total(ahead) - total(back)).item() / (2 * step)
        assert (gradient * way).sum().item() == pytest.approx(slope, rel=0.01, abs=1e-4)


def test_known_motion_keeps_its_unit() -> None:
    batch = Batch(4)
    motion = batch.source_T_target()
    views = replace(batch.views(), source_T_target=motion)
    plain = loss_in(views, batch.answers(), motion).total
    assert torch.equal(loss_in(views, batch.answers(), motion, multiplied=True).total, plain)


def with_everything(batch: Batch) -> tuple[Views, dict[str, tuple[Tensor, ...]]]:
    """Views and predictions that every term can be computed from."""
    views, random = batch.views(), torch.Generator().manual_seed(0)
    shape, sigmoids = (2, HEIGHT, WIDTH), batch.answers()
    views = replace(
        views,
        source_T_target=(None, batch.source_T_target()[1]),
        maps={
            "prior": torch.rand(shape, generator=random, dtype=torch.float64) + 0.5,
            "corners": torch.rand(shape, generator=random, dtype=torch.float64) + 0.5,
            "labels": torch.rand(shape, generator=random, dtype=torch.float64) + 0.5,
            "labels_weights": torch.rand(shape, generator=random, dtype=torch.float64),
        },
    )
    return views, {"masks": batch.mask(), "source_sigmoids": (sigmoids[0] / 2, sigmoids[0] / 3)}


@pytest.mark.parametrize("name", TERMS)
def test_each_term_is_learned_with_its_weight_and_they_add_up_to_the_total(name: str) -> None:
    batch = Batch(1)
    views, predicted = with_everything(batch)
    options = VideoLosses(smoothness=0.0, automask=False)
    weight = TERMS[name].weight
    given = getattr(options, weight) if weight else None
    kind = (float if given is None else type(given)) if weight else None

    def found(value: float) -> tuple[VideoLoss, list[Tensor]]:
        inputs = [each.requires_grad_() for each in (*batch.answers(), *batch.source_T_target())]
        chosen = (
            options if weight is None or kind is None else replace(options, **{weight: kind(value)})
        )
        loss = loss_in(views, tuple(inputs[:4]), tuple(inputs[4:]), chosen, **predicted)
        total = sum(loss.terms.values(), torch.zeros((), dtype=torch.float64))
        assert loss.total.item() == pytest.approx(total.item(), abs=1e-12)
        return loss, inputs

    loss, inputs = found(0.5)
    assert loss.terms[name] > 0
    if kind is float:
        assert found(1.0)[0].terms[name].item() == pytest.approx(2 * loss.terms[name].item())
    without = found(0.0)[0]
    assert (name in without.terms) == (weight is None)
    loss.total.backward()
    assert any(each.grad is not None and each.grad.abs().max() > 0 for each in inputs)


def test_the_term_of_the_guide_is_learned(lab: Path) -> None:
    batch = Batch(1)
    plain = loss_of_batch(batch)
    sigmoids = tuple(each.requires_grad_() for each in batch.answers())
    place = f"{lab / 'lab_losses.py'}:curvature"
    options = VideoLosses(in_front=False, own=(f"{place}=0.5",))
    found = loss_in(batch.views(), sigmoids, batch.source_T_target(), options)
    assert found.terms[place] > 0
    assert (found.total - plain.total).item() == pytest.approx(found.terms[place].item())
    twice = loss_in(
        batch.views(), sigmoids, batch.source_T_target(), replace(options, own=(f"{place}=1",))
    )
    assert twice.terms[place].item() == pytest.approx(2 * found.terms[place].item())


def test_a_term_of_a_batch_may_come_from_outside(lab: Path) -> None:
    code = """
from rilievo.training.losses.view_synthesis import Term

TERM = Term(of_batch=lambda scene: scene.sigmoid.mean(), lacks=lambda scene: None)
MISSING = Term(of_batch=TERM.of_batch, lacks=lambda scene: "no lidar in these frames")
NUMBER = 3.0
"""
    (lab / "lab_terms.py").write_text(code)
    batch = Batch(1)

    def found(own: str) -> VideoLoss:
        options = VideoLosses(in_front=False, own=(own,))
        return loss_in(batch.views(), batch.answers(), batch.source_T_target(), options)

    mean = batch.answers()[0].mean().item()
    assert found("lab_terms:TERM=2").terms["lab_terms:TERM"].item() == pytest.approx(2 * mean)
    with pytest.raises(InputError, match="no lidar"):
        found("lab_terms:MISSING=2")
    with pytest.raises(OptionError, match=r"lab_terms:NUMBER.*float"):
        found("lab_terms:NUMBER=2")


@pytest.mark.parametrize("own", ["lab:curvature", "curvature=1", "lab:curvature=-1", "a:b=x"])
def test_a_term_without_a_place_or_weight_is_refused(own: str) -> None:
    with pytest.raises(OptionError, match="module:NAME=WEIGHT"):
        VideoLosses(own=(own,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [VideoLosses(), PLAIN, VideoLosses(minimum=False), VideoLosses(scales=Scales.NATIVE)],
)
def test_gradients_are_those_of_small_differences(options: VideoLosses) -> None:
    batch = Batch(2)
    views, motion = batch.views(), batch.source_T_target()
    inputs = [x.requires_grad_() for x in (*batch.answers(), *motion, views.K.clone())]

    def total(*given: Tensor) -> Tensor:
        return loss_in(replace(views, K=_camera(given[6])), given[:4], given[4:6], options).total

    assert torch.autograd.gradcheck(total, inputs, fast_mode=True, atol=1e-6)


def _camera(K: Tensor) -> Tensor:
    """Focal lengths and centre of a camera; the other entries are not parameters."""
    kept = torch.tensor([[1.0, 0, 1], [0, 1, 1], [0, 0, 0]], dtype=K.dtype)
    return K * kept + torch.diag(torch.tensor([0.0, 0, 1], dtype=K.dtype))


def test_noise_is_small_repeatable_and_drawn_from_the_generator() -> None:
    batch = Batch()
    arguments = (batch.views(), batch.answers(), batch.source_T_target())

    def noisy(seed: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return loss_in(*arguments, generator=generator).identity_error

    apart = noisy(1) - loss_in(*arguments).identity_error
    assert torch.equal(noisy(1), noisy(1))
    assert not torch.equal(noisy(1), noisy(2))
    assert 5e-6 < apart.std() < 1.5e-5


def test_a_camera_that_does_not_move_is_left_out_half_the_time() -> None:
    """A warp without motion equals no warp, so the noise on the better source decides."""
    batch = Batch()
    still = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    generator = torch.Generator().manual_seed(0)
    found = loss_in(batch.views(), batch.answers(), (still, still), generator=generator)
    share = found.automask.double().mean().item()
    assert share == pytest.approx(0.5, abs=0.06)


def test_a_camera_that_does_not_move_sees_the_very_image() -> None:
    batch = Batch()
    still = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    views = batch.views()
    exact = loss_in(views, batch.answers(), (still, still), VideoLosses())
    mistaken = loss_in(views, batch.answers(), (still, still), VideoLosses(align_corners=False))
    for source, right, wrong in zip(views.sources, exact.warped, mistaken.warped, strict=True):
        assert (right - source).abs().max() < 1e-13
        assert (wrong - source).abs().max() > 0.1


def test_points_behind_the_camera_have_the_largest_error_and_no_gradient() -> None:
    batch = Batch()
    views, options = batch.views(), VideoLosses(automask=False, minimum=False)
    depth = torch.full((2, HEIGHT, WIDTH), 1.0, dtype=torch.float64, requires_grad=True)
    back = torch.eye(4, dtype=torch.float64).repeat(2, 1, 1)
    back[:, 2, 3] = -2
    frames = frames_at_scale(views, options, None)
    found = compare_warped_sources(frames, depth, (back, back), options)
    assert (found.error == 1).all()
    found.error.sum().backward()
    assert depth.grad is not None
    assert (depth.grad == 0).all()
    published = compare_warped_sources(
        frames, depth, (back, back), replace(options, in_front=False)
    )
    assert (published.error < 1).any()


def test_pixels_that_do_not_count_are_not_counted() -> None:
    batch = Batch()
    views, options = batch.views(), replace(PLAIN, smoothness=0.0)
    valid = torch.rand(2, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)) < 0.6
    arguments = (batch.answers()[:1], batch.source_T_target(), options)
    error = torch.minimum((full := loss_in(views, *arguments)).warped_error, full.identity_error)
    found = loss_in(replace(views, valid=valid), *arguments)
    assert found.total.item() == pytest.approx(error[valid].mean().item(), abs=1e-12)


def test_a_mask_of_pixels_shrinks_to_squares_that_count_whole() -> None:
    views = replace(Batch().views(), valid=torch.ones(2, HEIGHT, WIDTH, dtype=torch.bool))
    assert views.valid is not None
    views.valid[0, 3, 5] = False
    valid = frames_at_scale(views, PLAIN, None, scale=2).valid
    assert valid is not None
    assert valid.shape == (2, 4, 6)
    assert (~valid).nonzero().tolist() == [[0, 0, 1]]


def test_autocast_around_it_changes_nothing() -> None:
    batch = Batch()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = loss_of_batch(batch).total
    assert torch.equal(inside, loss_of_batch(batch).total)


def test_without_gradients_the_loss_is_the_same() -> None:
    batch = Batch()
    with torch.no_grad():
        found = loss_of_batch(batch).total
    assert not found.requires_grad
    assert torch.equal(found, loss_of_batch(batch).total)


def test_intrinsics_that_are_learned_get_a_gradient() -> None:
    batch = Batch()
    views = batch.views()
    views.K.requires_grad_()
    loss_in(views, batch.answers(), batch.source_T_target()).total.backward()
    assert views.K.grad is not None
    assert (views.K.grad[:, [0, 1], [0, 1]] != 0).all()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (VideoLosses(automask=False, predictive_mask=True), "mask head"),
        (VideoLosses(consistency=1.0), "disparities of the sources"),
        (VideoLosses(motion_mask=True), "disparities of the sources"),
    ],
)
def test_what_an_option_needs_and_lacks_is_said(options: VideoLosses, said: str) -> None:
    with pytest.raises(InputError, match=said):
        loss_of_batch(Batch(), options)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"ssim": 1.5}, "share of SSIM"),
        ({"smoothness": -1.0}, "weight of smoothness"),
        ({"consistency": float("nan")}, "weight of consistency"),
        ({"predictive_mask": True}, "turn one off"),
        ({"motion_mask": True, "scales": Scales.NATIVE}, "computed at the full size"),
    ],
)
def test_options_that_make_no_sense_are_refused(given: dict[str, float], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        VideoLosses(**given)  # pyright: ignore[reportArgumentType]

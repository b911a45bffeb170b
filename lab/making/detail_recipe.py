"""Recipe of the detail network."""

from dataclasses import dataclass

from lab.making.lasting_recipe import LastingConfig
from lab.making.recipe_stage import RecipeStage


@dataclass(frozen=True, slots=True, kw_only=True)
class DetailConfig(LastingConfig):
    """Configuration of training a detail network."""

    normals_weight: float = 0.5
    """Weight of the loss of normals; that of depth is 1."""
    agreement_weight: float = 0.25
    """Weight of the loss between the slopes of depth and the true normals."""
    sky_weight: float = 0.2
    """Weight of the loss of sky, in rendered frames."""


def detail(*, steps: int | None = None) -> DetailConfig:
    r"""Detail network: ``small`` on larger images, which learns nothing but what layout lacks.

    Its depth and normals are corrected before the loss by the true means over a grid of 12×16 and
    of 24×32, as a layout network corrects them later. Fine gradients count on rendered frames
    alone, since measured edges lie beside those of the photograph.

    Command::

        python -m lab.scenes --count 352 --seed 5701 --kind near-views --size 384 512 \
            --materials FOLDER --models FOLDERS -o shards/near-views  # and the other kinds
        python -m lab.making detail --shards shards --real NYU --start SMALL.onnx -o run
    """
    length = steps or 2_210
    return DetailConfig(
        steps=length,
        falls=min(1_000, length),
        stage=RecipeStage(until=1.0, areas=(110592, 196608), shares=(0.5, 0.5), real=0.2),
        batch_size=6,
        learning_rate=2e-4,
        encoder_factor=0.3,
        average_decay=0.99,
        scan_steps=250,
        seed=91,
    )

"""Recipe of the layout network."""

from dataclasses import dataclass

from lab.making.lasting_recipe import LastingConfig
from lab.making.recipe_stage import RecipeStage


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutConfig(LastingConfig):
    """Configuration of training a layout network."""

    guests_after: int = 6000
    """Steps of depth alone, after which normals and sky begin to count."""
    guests_rise: int = 1000
    """Steps over which they rise to their weights."""
    guests_gradient: float = 0.2
    """Share of their gradient that reaches the features which depth is made of."""
    normals_weight: float = 1.0
    """Weight of the loss of normals; that of depth is 1."""
    sky_weight: float = 0.2
    """Weight of the loss of sky, in rendered frames."""
    spread_weight: float = 0.02
    """Weight of the loss of the expected error, which reaches its own layers alone."""

    def risen(self, step: int) -> float:
        """Share in [0, 1] that the weights of normals and sky have risen to."""
        return min(1.0, max(0.0, (step - self.guests_after) / self.guests_rise))


def layout(*, steps: int | None = None) -> LayoutConfig:
    r"""Layout network: the trunk of ``base`` at an eighth of about 49,152 pixels.

    Encoder, context and first merge come from the file of ``base``; what is at 1/8 and finer in the
    encoder keeps its weights, and all norms of the trunk their statistics. Depth is learned alone
    at first, then normals and sky, with a share of their gradient. After 86,000 images it has an
    AbsRel of 0.138 on NYU's kept-out frames, ``base`` 0.141 (docs/reference/training-record.md).

    EfficientNet-Lite2 from ImageNet was tried in its place, at a seventh of the cost of ``base``:
    0.137 after 249,000 images, and on four other cameras as good as ``base`` in the mean.

    The averaged weights need statistics of their own: with averages of the statistics of the steps
    that network had 0.193 after 30,000 images, with measured ones 0.170.

    Of the teacher's photographs, those on which it is plainly wrong are left out by eye (49 of 175:
    faces and animals that fill the picture, text, drawings, pictures on their side).

    Command::

        python -m lab.scenes --count 1000 --seed 5601 --kind near-views --materials FOLDER \
            --models FOLDERS --photos FOLDER -o shards/near-views  # and the other kinds
        python -m lab.making teacher rilievo/base photos/ --flip -o lessons
        python -m lab.making layout --shards shards --real NYU --lessons lessons \
            --start src/rilievo/models/default/base.onnx -o run
    """
    return LayoutConfig(
        steps=steps or 7500,
        falls=4300,
        guests_after=600,
        guests_rise=400,
        stage=RecipeStage(until=1.0, areas=(49152,), real=0.27, lessons=0.05, turned=0.15),
        batch_size=12,
        learning_rate=1e-3,
        encoder_factor=0.15,
        encoder_after=300,
        seed=81,
    )

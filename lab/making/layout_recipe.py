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

    confidence_steps: int = 150
    """Steps after the run, in which the layers of the expected error learn from scratch."""

    def risen(self, step: int) -> float:
        """Share in [0, 1] that the weights of normals and sky have risen to."""
        return min(1.0, max(0.0, (step - self.guests_after) / self.guests_rise))


def layout(*, steps: int | None = None) -> LayoutConfig:
    r"""Layout network: EfficientNet-Lite2 from ImageNet, at an eighth of about 49,152 pixels.

    Depth is learned alone at first: with the losses of normals and agreement from the first step
    1,080 views led to an AbsRel of 0.277 on NYU's kept-out frames, without to 0.206. Attention
    between the places at 1/16 was tried: after 4,320 images it had 0.225 where this has 0.195, at
    the same rates, and in bfloat16 on a GPU it came to NaN.

    The averaged weights need statistics of their own: with averages of the statistics of the steps
    they had 0.193 after 30,000 images, with measured ones 0.170; rendered 0.400 and 0.224.

    Of the teacher's photographs, those on which it is plainly wrong are left out by eye (49 of 175:
    faces and animals that fill the picture, text, drawings, pictures on their side).

    Command::

        python -m lab.scenes --count 1000 --seed 5601 --kind near-views --materials FOLDER \
            --models FOLDERS --photos FOLDER -o shards/near-views  # and the other kinds
        python -m lab.making teacher rilievo/base photos/ --flip -o lessons
        python -m lab.making layout --shards shards --real NYU --lessons lessons --encoder FOLDER \
            -o run

    Hardware and time: ten minutes of an H100 beside two other networks, at 870 images a second in
    the mean, batches made by nine processes; the command makes them in one thread. Bfloat16 on one
    core of a CPU takes some 12 hours. The network for mirror images has the seed 21, 0.2 of the
    rate for the encoder and 277,000 images.

    Score: 0.128 / 0.822 on NYU's kept-out frames, in the mean of a picture and its mirror image
    (docs/reference/training-record.md).
    """
    return LayoutConfig(
        steps=steps or 5413,
        falls=min(steps or 5413, 3300),
        guests_after=625,
        guests_rise=416,
        guests_gradient=0.3,
        stage=RecipeStage(until=1.0, areas=(49152,), real=0.2, lessons=0.05, turned=0.15),
        batch_size=96,
        learning_rate=3e-3,
        encoder_factor=0.25,
        encoder_after=200,
        warm_up_steps=200,
        outdoors=0.27,
        seed=11,
    )

"""Draw README's chart of error over size, and write the words around it.

    python lab/studies/write_accuracy_chart.py

Numbers of the models inside the package are read from their cards, which
``lab/studies/write_default_card.py`` writes; those of others are the published figures that
``PUBLISHED`` names. Picture, alternative text and caption have the same ones; a test compares them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import embedded_cards, read_long_card

ROOT = Path(__file__).parents[2]
OUTPUT = ROOT / "docs" / "pictures" / "accuracy.svg"
BENCHMARK = "nyuv2-eigen-filled"
"""The photographs as they are, with their white frame: so the literature shows them to networks."""
PUBLISHED = (
    ("MiDaS small", 67, 0.115),
    ("ZipDepth", 12, 0.084),
    ("Depth Anything V2 small", 99, 0.061),
)
"""Name, megabytes and AbsRel on NYU Depth V2 after scale and shift of every image; ZipDepth (ECCV
2026), Tables 1 and 2."""
OURS, OTHERS, INK = "#b5562f", "#8a8f98", "#6b7280"
_RIGHT = 90
"""Megabytes above which words stand at the left of a dot."""
REGION = re.compile(r"(<!-- accuracy chart -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """A network in the chart.

    Attributes:
        megabytes: Size of its file.
        abs_rel: AbsRel on NYU Depth V2 after a fit of scale and shift to every image.
        inside: Whether it is inside the package.
    """

    name: str
    megabytes: float
    abs_rel: float
    inside: bool

    @property
    def label(self) -> str:
        """The name, the size, and whether the package has it."""
        return f"{self.name}, {self.megabytes:.0f} MB" + (", inside" if self.inside else "")


def of_card(card: ModelCard) -> Dot:
    """Return an embedded model with the number of its card.

    Raises:
        ValueError: If the card has no such row.
    """
    row = re.search(
        rf"`{BENCHMARK}` \| {card.name} \|.*?\|.*?\| (0\.\d+) /", read_long_card(card) or ""
    )
    if row is None or card.megabytes is None:
        raise ValueError(f"the card of {card.name} has no row of {BENCHMARK}")
    return Dot(name=card.name, megabytes=card.megabytes, abs_rel=float(row[1]), inside=True)


def dots() -> tuple[Dot, ...]:
    """The models inside the package and the published ones, the largest error first."""
    ours = [of_card(card) for card in embedded_cards() if card.source is None]
    others = [
        Dot(name=name, megabytes=size, abs_rel=error, inside=False)
        for name, size, error in PUBLISHED
    ]
    return tuple(sorted([*ours, *others], key=lambda dot: -dot.abs_rel))


def words() -> str:
    """Picture, alternative text and caption as README has them."""
    said = ", ".join(f"{dot.name} {dot.megabytes:.0f} MB {dot.abs_rel:.3f}" for dot in dots())
    alternative = f"Error (AbsRel) on NYU Depth V2 over megabytes, lower is better: {said}"
    return f"""![{alternative}](docs/pictures/accuracy.svg)

The chart shows each model's size and its error on indoor photographs (NYU Depth V2). The error is
the mean relative error (AbsRel) after fitting a scale and a shift to each image. ZipDepth, which is
about the size of `rilievo/base`, is more accurate.

The chart shows the models of others in a different colour. You can compare their errors with ours
only roughly, because the models were tested in different ways. We tested our models on 94 test
frames of an 8-bit copy of the dataset. For our models, scale and shift were fitted to the depth.
The errors of the other models are published results (ZipDepth, ECCV 2026, Tables 1 and 2). They
were measured on the whole test set, and scale and shift were fitted to the inverse depth.

To redraw the chart, run `python lab/studies/write_accuracy_chart.py`.
"""


def renewed(text: str) -> str:
    """A page with the words around the chart made anew."""
    return REGION.sub(lambda found: f"{found[1]}{words()}{found[2]}", text)


def draw(shown: tuple[Dot, ...], path: Path) -> None:
    """Write the chart as SVG, with a background that suits light and dark pages."""
    mpl.rcParams.update(
        {"svg.hashsalt": "rilievo", "svg.fonttype": "none", "font.family": "sans-serif"}
    )
    mpl.rcParams["font.size"] = 12
    figure, axes = plt.subplots(figsize=(9.5, 3.6))
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for dot in shown:
        colour = OURS if dot.inside else OTHERS
        axes.scatter(dot.megabytes, dot.abs_rel, color=colour, s=70, zorder=2)
        is_left = dot.megabytes > _RIGHT
        axes.annotate(
            f"{dot.label}: {dot.abs_rel:.3f}",
            (dot.megabytes, dot.abs_rel),
            (-10 if is_left else 10, 0),
            textcoords="offset points",
            color=INK,
            va="center",
            ha="right" if is_left else "left",
        )
    axes.set_xscale("log")
    axes.set_xlim(2, 300)
    axes.set_ylim(0, 0.175)
    axes.set_xticks([3, 10, 30, 100], ["3 MB", "10 MB", "30 MB", "100 MB"], color=INK)
    axes.set_xticks([], minor=True)
    axes.set_yticks([0, 0.05, 0.1, 0.15], ["0", ".05", ".10", ".15"], color=INK)
    axes.grid(axis="y", color=OTHERS, alpha=0.3, zorder=0)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, which="both")
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.05)
    plt.close(figure)


def main() -> None:
    """Draw the chart, and write the words."""
    draw(dots(), OUTPUT)
    page = ROOT / "README.md"
    page.write_text(renewed(page.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

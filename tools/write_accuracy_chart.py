"""Draw README's chart of accuracy, and write the words around it.

    python tools/write_accuracy_chart.py

Numbers of the models inside the package are read from their cards, which
``tools/write_default_card.py`` writes; those of others are the published figures that ``PUBLISHED``
names. Picture, alternative text and caption have the same ones; a test compares them.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

from rilievo.models.card import ModelCard
from rilievo.models.default.embedded_cards import embedded_cards, read_details

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "docs" / "pictures" / "accuracy.svg"
BENCHMARK = "nyuv2-eigen-filled"
"""The photographs as they are, with their white frame: so the literature shows them to networks."""
PUBLISHED = (
    ("MiDaS small", 67, 0.115),
    ("Depth Anything V2 small", 99, 0.061),
)
"""Name, megabytes and AbsRel on NYU Depth V2 after scale and shift of every image; ZipDepth (ECCV
2026), Table 2."""
OURS, OTHERS, INK = "#b5562f", "#8a8f98", "#6b7280"
REGION = re.compile(r"(<!-- accuracy chart -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One network.

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


def of_card(card: ModelCard) -> Bar:
    """Return an embedded model with the number of its card.

    Raises:
        ValueError: If the card has no such row.
    """
    row = re.search(
        rf"`{BENCHMARK}` \| {card.name} \|.*?\|.*?\| (0\.\d+) /", read_details(card) or ""
    )
    if row is None or card.megabytes is None:
        raise ValueError(f"the card of {card.name} has no row of {BENCHMARK}")
    return Bar(name=card.name, megabytes=card.megabytes, abs_rel=float(row[1]), inside=True)


def bars() -> tuple[Bar, ...]:
    """The models inside the package and the published ones, the largest error first."""
    ours = [of_card(card) for card in embedded_cards() if card.source is None]
    others = [
        Bar(name=name, megabytes=size, abs_rel=error, inside=False)
        for name, size, error in PUBLISHED
    ]
    return tuple(sorted([*ours, *others], key=lambda bar: -bar.abs_rel))


def words() -> str:
    """Picture, alternative text and caption as README has them."""
    said = ", ".join(f"{bar.name} {bar.abs_rel:.3f}" for bar in bars())
    return f"""![AbsRel on NYU Depth V2, smaller is better: {said}](docs/pictures/accuracy.svg)

Mean relative error on NYU Depth V2 (smaller is better), with a scale and a shift fitted to each
image by least squares. Ours: 94 test frames of an 8-bit copy, the fit in depth. The others:
published for the whole test set, the fit in inverse depth (ZipDepth, ECCV 2026, Table 2). So bars
of the two colours compare roughly (`python tools/write_accuracy_chart.py`).
"""


def renewed(text: str) -> str:
    """A page with the words around the chart made anew."""
    return REGION.sub(lambda found: f"{found[1]}{words()}{found[2]}", text)


def draw(shown: tuple[Bar, ...], path: Path) -> None:
    """Write the chart as SVG, with a background that suits light and dark pages."""
    mpl.rcParams.update(
        {"svg.hashsalt": "rilievo", "svg.fonttype": "none", "font.family": "sans-serif"}
    )
    mpl.rcParams["font.size"] = 12
    figure, axes = plt.subplots(figsize=(6.2, 0.52 * len(shown)))
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for row, bar in enumerate(reversed(shown)):
        axes.barh(row, bar.abs_rel, color=OURS if bar.inside else OTHERS, height=0.62)
        axes.text(bar.abs_rel + 0.002, row, f"{bar.abs_rel:.3f}", va="center", color=INK)
    axes.set_yticks(range(len(shown)), [bar.label for bar in reversed(shown)], color=INK)
    axes.set_xticks([])
    axes.set_xlim(0, max(bar.abs_rel for bar in shown) * 1.12)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.05)
    plt.close(figure)


def main() -> None:
    """Draw the chart, and write the words."""
    draw(bars(), OUTPUT)
    page = ROOT / "README.md"
    page.write_text(renewed(page.read_text("utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Draw README's chart of accuracy: the embedded models beside larger published ones.

    python tools/write_accuracy_chart.py

Ours are read from the cards, which ``tools/write_default_card.py`` writes; those of others are the
published figures that ``PUBLISHED`` names.
"""

import re
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
import matplotlib.pyplot as plt

ROOT = Path(__file__).parents[1]
CARDS = ROOT / "src" / "rilievo" / "models" / "default"
OUTPUT = ROOT / "docs" / "pictures" / "accuracy.svg"
BENCHMARK = "nyuv2-eigen-filled-unframed"
PUBLISHED = (
    ("MiDaS small, 67 MB", 0.115),
    ("Depth Anything V2 small, 99 MB", 0.061),
)
"""AbsRel on NYU Depth V2 after scale and shift of every image; ZipDepth (ECCV 2026), Table 1."""
OURS, OTHERS, INK = "#b5562f", "#8a8f98", "#6b7280"


def of_card(name: str) -> float:
    """Return AbsRel of an embedded model after two factors an image, from its card."""
    text = (CARDS / f"{name}.md").read_text("utf-8")
    row = re.search(rf"`{BENCHMARK}` \| rilievo/{name} \|.*?\|.*?\| (0\.\d+) /", text)
    assert row is not None, f"{name}.md has no row of {BENCHMARK}"
    return float(row[1])


def main() -> None:
    """Write the chart as SVG, with a background that suits light and dark pages."""
    ours = [("rilievo/tiny, 2.7 MB, inside", "tiny"), ("rilievo/small, 11 MB, inside", "small")]
    bars = [*((label, of_card(name)) for label, name in ours), *PUBLISHED]
    mpl.rcParams.update({"svg.hashsalt": "rilievo", "font.family": "sans-serif", "font.size": 12})
    figure, axes = plt.subplots(figsize=(6.2, 2.1))
    figure.patch.set_alpha(0)
    axes.patch.set_alpha(0)
    for row, (label, value) in enumerate(reversed(bars)):
        axes.barh(row, value, color=OURS if "rilievo" in label else OTHERS, height=0.62)
        axes.text(value + 0.002, row, f"{value:.3f}", va="center", color=INK)
    axes.set_yticks(range(len(bars)), [label for label, _ in reversed(bars)], color=INK)
    axes.set_xticks([])
    axes.set_xlim(0, max(value for _, value in bars) * 1.12)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    figure.savefig(OUTPUT, metadata={"Date": None}, bbox_inches="tight", pad_inches=0.05)


if __name__ == "__main__":
    main()

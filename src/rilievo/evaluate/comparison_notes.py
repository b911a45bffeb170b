"""Notes to read before the numbers of a comparison."""

from collections.abc import Callable, Iterator, Mapping, Sequence

from rilievo.evaluate.benchmark import Averaging
from rilievo.evaluate.comparison import Column
from rilievo.evaluate.comparison_columns import scenes_of
from rilievo.evaluate.intervals import FEWEST, LEVEL, scene_count
from rilievo.evaluate.records import Evaluation
from rilievo.evaluate.wording import count
from rilievo.io.limits import printable
from rilievo.metrics.metric import Better


def notes_of(
    runs: Mapping[str, Evaluation], columns: Sequence[Column], *, images: int, is_cut: bool
) -> tuple[str, ...]:
    """Notes on a comparison, one sentence or two each.

    Args:
        runs: Evaluations by name.
        columns: Columns of the table.
        images: Number of images that are compared.
        is_cut: Whether some run has more.
    """
    return (
        *_on_method(runs, images),
        *_on_images(runs, columns, images=images, is_cut=is_cut),
        *_on_runs(runs),
    )


def _on_method(runs: Mapping[str, Evaluation], images: int) -> Iterator[str]:
    if len(runs) > 1:
        yield (
            f"Differences are paired over {count(images)} images: 95 % intervals by Student's t, p "
            "by Wilcoxon's signed-rank test with Holm's correction for the runs of each metric. "
            f"An asterisk marks p < {LEVEL:g} with an interval that leaves out zero; bold (! in a "
            "terminal) marks the best where it is so much better than every other run."
        )
        yield from _on_scenes(runs)
    if any(run.settings.get("averaging") == Averaging.POOLED for run in runs.values()):
        yield (
            "The benchmark pools the pixels of all images; differences and p are of the values "
            "of single images, and can point the other way."
        )


def _on_scenes(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    """Frames of one scene are no independent evidence."""
    scores = next(iter(runs.values())).scores
    scenes = scene_count(scenes_of(runs, [each.id for each in scores]))
    if scenes < FEWEST <= len(scores):
        yield (
            f"All images are of {scenes} scene{'s' if scenes > 1 else ''}, whose frames are nearly "
            "alike: no interval is claimed, and nothing is called significant."
        )
    elif scenes < len(scores):
        yield (
            f"Frames of one scene are alike, so intervals and p rest on {count(scenes)} scenes, "
            "not on single images."
        )


def _on_images(
    runs: Mapping[str, Evaluation], columns: Sequence[Column], *, images: int, is_cut: bool
) -> Iterator[str]:
    if is_cut:
        had = ", ".join(f"{name} {count(len(run.scores))}" for name, run in runs.items())
        yield (
            f"Not the benchmark's own numbers: the runs were scored on different images ({had}), "
            f"so all values are means over the {count(images)} images that all of them have."
        )
    for column in columns:
        if len(column.ids) < images:
            yield (
                f"{column.label}: differences rest on {count(len(column.ids))} images, those where "
                "every run has it."
            )
        if column.better is Better.ZERO:
            yield f"{column.label}: what is compared is how far it is from zero, image by image."
    official = next(iter(runs.values())).data.official
    if official is not None and official != images:
        yield f"The whole split has {count(official)} images, not {count(images)}."


def _on_runs(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    for what, how in (
        (lambda run: run.alignment, "Aligned in different ways, which forgive different errors"),
        (lambda run: run.kind, "Predictions are of different kinds"),
        (lambda run: run.version, "Scored with different versions of rilievo"),
    ):
        yield from _difference(runs, what, how)
    said: dict[str, list[str]] = {}
    for name, run in runs.items():
        lost = f"{count(len(run.unscored))} images have no score"
        for note in (*([lost] if run.unscored else []), *run.warnings):
            said.setdefault(note, []).append(name)
    for note, names in said.items():
        who = "every run" if len(names) == len(runs) > 1 else ", ".join(names)
        yield printable(f"Of {who}: {note.removesuffix('.')}.")


def _difference(
    runs: Mapping[str, Evaluation], what: Callable[[Evaluation], str | None], how: str
) -> Iterator[str]:
    found = {name: what(run) for name, run in runs.items()}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name}: {value or 'none'}" for name, value in found.items())
        yield printable(f"{how} ({said}).")

"""What numbers of depth look like besides depth: backgrounds, packed bits, another unit.

One function serves ground truth, predictions, depth at hand and sparse depth. Each doubt is a
sentence that names the key that cures it. A number is doubted where depth of surfaces does not look
like it: a background stands apart from all other depth, and a packed number changes in steps of a
power of two.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Bool, Mask, Shaped, Values
from rilievo.io.depth_encoding import is_any_of, is_much_smoother, roughness
from rilievo.io.inverse_depth import doubts_about_normalised

FARTHEST = 500.0
"""Largest plausible mean or median [m]; the least is ``NEAREST``."""
NEAREST = 0.2
TOO_FAR = (
    f"true depth is above {FARTHEST:g} m in the middle: it looks like millimetres or raw counts "
    "read as metres; check the scale"
)
TOO_NEAR = (
    f"true depth is below {NEAREST * 100:g} cm in the middle: it looks like centimetres read as "
    "millimetres, or metres that were divided once too often; check the scale"
)
# No camera measures and no scene shows a surface beyond [m].
_HUGE = 1e4
# A number of a larger share of pixels is no measurement.
_COMMON = 1 / 20
# How far the extreme number stands from the others (a ratio), and the share of pixels that hold it.
_APART = ((1.1, 0.05), (1.25, 0.02), (2.0, 0.005), (3.0, 0.0002))
_NEAR_APART = ((3.0, 0.005), (2.0, 0.01), (1.25, 0.05))
# Least share of pixels that hold an extreme number and border on no depth that comes near it.
_ISOLATED = 0.002
# Least share of pixels that hold the largest number of a type where the others come close to it.
_AT_MAXIMUM = 0.001
_SAME_FLOAT = 1e-6
_FEWEST_PIXELS = 5
# Scenes of a few flat walls have few numbers, and none of them is suspicious by its share.
_FEW_NUMBERS = 8
# Neighbours on one surface differ less (a ratio).
_SURFACE_STEP = 0.03
# Share of a background's borders at which depth goes on smoothly by chance.
_SMOOTH_BORDERS = 0.1
# Share of borders at which a plane continues to a number, and its largest error in inverse depth
# over the step before.
_CONTINUED_BORDERS, _SAME_PLANE = 0.5, 0.1
# A number of most pixels that is farthest, and less than so many times as far as the others, is a
# wall square to the camera.
_MOST_PIXELS, _WALL = 0.5, 3.0
_MOST_MARKS = 3
# A declared unit in which most depth is nearer [m] is that of a sensor with coarse steps.
_ROOM = 10.0
_FEWEST_PAIRS = 200
# Numbers of 16 bits, the distance from its ends at which a surface is torn, and fewest such pairs.
_OVERFLOW, _TORN, _FEWEST_TORN = 2**16, 2000, 10
# Nearest far plane [m], and least share of pixels at it.
_NEAREST_CLIP, _AT_CLIP = 20.0, 0.02
# Least share of even steps, and labels, of one bit below the depth.
_EVEN_STEPS, _TWO_LABELS = 0.97, 2
# Factors between units, the largest error of a ratio of medians, the least gap between two groups
# of files (a ratio), the fewest files that show two groups, and how many are named.
_UNIT_FACTORS, _SAME_FACTOR, _FILES_APART = (5.0, 10.0, 100.0, 1000.0), 1.5, 3.0
_FEWEST_FILES, _LISTED_FILES = 6, 5
# Share of steps between neighbours that are multiples of a power of two.
_STEPS = 0.9
_LOW_BITS = range(8, 1, -1)
_MILLIMETRE, _HIGHEST_BIT = 0.001, 2**15
_HIGH_BITS = (15, 14, 13, 12, 11)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stored:
    """Stored numbers that hold depth.

    Attributes:
        plane: All numbers as float64.
        known: Pixels whose number is positive, finite and not declared to be invalid.
        whole: Type of whole numbers, or None.
        unit: Metres of one number, or None.
        has_zero: Whether zero is depth too.
        is_declared: Whether the user declares the unit.
    """

    plane: np.ndarray
    known: Mask
    whole: np.dtype | None
    unit: float | None
    has_zero: bool = False
    is_declared: bool = False

    @property
    def numbers(self) -> Values:
        return self.plane[self.known]

    def words(self, number: float) -> str:
        """A number as the user writes it in the data's file."""
        if self.whole is not None:
            return f"{int(number)}"
        text = f"{np.float32(number):.7g}"
        # YAML takes 1e+10 for a text, and 1.0e+10 for a number.
        return text if "." in text else text.replace("e", ".0e")


def reading_doubts(
    stored: Shaped[np.ndarray, "h w"],
    metres: Values | None,
    *,
    meaningless: Sequence[float] = (),
    unit: float | None = None,
    is_range: bool = False,
    farthest: float | None = None,
    is_declared: bool = False,
) -> Iterator[str]:
    """Yield doubts, a sentence each, about invalid numbers, packed bits and the unit.

    Args:
        stored: Numbers of the file, after channels and bits that are declared.
        metres: Valid depth [m], in any order; None if it is not in metres.
        meaningless: Numbers that are declared to hold no depth.
        unit: Metres of a number; None if that is not one factor.
        is_range: Whether numbers lie between a nearest and a farthest depth, which the least and
            the largest number of the type are.
        farthest: Largest valid depth that is declared [m]: what lies beyond holds no depth.
        is_declared: Whether the user declares the unit, which may be that of an aerial photograph
            or of an endoscope.
    """
    facts = replace(_stored_facts(stored, meaningless, unit, farthest), is_declared=is_declared)
    yield from filter(None, (_flag_doubt(facts),))
    swapped = [*_byte_doubts(facts)]
    if swapped:
        yield from swapped
        return
    background = [*_mark_doubts(facts, is_range=is_range)]
    yield from background
    yield from _coding_doubts(facts, stored, is_range=is_range)
    if metres is not None and metres.size:
        has_end = bool(background) or farthest is not None
        yield from _far_doubts(facts, metres, has_end=has_end)
        is_huge = metres > _HUGE
        middle = float(np.median(metres if is_huge.all() else metres[~is_huge]))
        yield from _middle_doubts(facts, middle, farthest)


def _mark_doubts(facts: _Stored, *, is_range: bool) -> Iterator[str]:
    """Yield doubts about numbers that may mean 'none' or a background."""
    if np.count_nonzero(facts.known) <= _FEWEST_PIXELS:
        return
    background = [*(_range_doubts(facts) if is_range else _background_doubts(facts))]
    yield from background or filter(None, (_isolated_doubt(facts),))


def _coding_doubts(
    facts: _Stored, stored: Shaped[np.ndarray, "h w"], *, is_range: bool
) -> Iterator[str]:
    """Yield doubts about packed bits, normalised numbers and an overflow."""
    if is_range:
        return
    has_bits = facts.whole is not None and facts.whole.itemsize > 1
    if has_bits and np.count_nonzero(facts.known) > _FEWEST_PIXELS:
        yield from _packing_doubts(facts, _without_background(facts))
    if not facts.is_declared:
        yield from doubts_about_normalised(stored)
    if facts.whole is not None and facts.whole.itemsize == 2:
        yield from _overflow_doubts(facts)


def _far_doubts(facts: _Stored, metres: Values, *, has_end: bool) -> Iterator[str]:
    """Yield doubts about pixels at a far plane or beyond everything, if nothing ends the depth."""
    if has_end:
        return
    yield from _clip_doubts(metres, facts.plane.size)
    is_huge = metres > _HUGE
    if is_huge.any():
        inside = float(metres[~is_huge].max(initial=0))
        above = f"above {inside:.3g} m" if inside else "of the scene"
        yield (
            f"{np.count_nonzero(is_huge)} pixels lie beyond {_HUGE / 1000:g} km (up to "
            f"{metres.max():.3g} m), which looks like a background or another unit: say "
            f"'max_depth' {above}, or 'scale'"
        )


def _middle_doubts(facts: _Stored, middle: float, farthest: float | None) -> Iterator[str]:
    """Yield a doubt about the median [m]."""
    if not facts.is_declared:
        doubt = unit_doubt(middle)
        is_within = doubt == TOO_FAR and farthest is not None and farthest > FARTHEST
        yield from () if doubt is None or is_within else (doubt,)
    elif middle > FARTHEST and facts.whole is not None and (facts.unit or 0) >= 1:
        yield (
            f"its whole numbers are declared in units of {facts.unit:g} m, and half of them lie "
            f"beyond {FARTHEST:g} m: if they are millimetres, say 'scale: 0.001'"
        )


def odd_unit_doubts(middles: Mapping[str, float]) -> list[str]:
    """Doubt about files of a folder whose medians are a unit apart from those of all others.

    Args:
        middles: Median depth [m] by the name of an image.
    """
    if len(middles) < _FEWEST_FILES or min(middles.values()) <= 0:
        return []
    names = sorted(middles, key=lambda name: middles[name])
    logs = np.log([middles[name] for name in names])
    cut = int(np.argmax(np.diff(logs))) + 1
    low, high = logs[:cut], logs[cut:]
    gap = float(high[0] - low[-1])
    factor = math.exp(float(np.median(high) - np.median(low)))
    spread = max(float(np.ptp(low)), float(np.ptp(high)))
    nearest = min(_UNIT_FACTORS, key=lambda each: abs(math.log(factor / each)))
    is_unit = abs(math.log(factor / nearest)) < math.log(_SAME_FACTOR)
    if not is_unit or gap < math.log(_FILES_APART) or gap < spread:
        return []
    odd = names[:cut] if len(low) <= len(high) else names[cut:]
    others = high if len(low) <= len(high) else low
    listed = ", ".join(odd[:_LISTED_FILES]) + ("" if len(odd) <= _LISTED_FILES else ", ...")
    return [
        f"{len(odd)} of {len(names)} images ({listed}) have medians near {middles[odd[0]]:.3g} m, "
        f"and all others near {math.exp(float(np.median(others))):.3g} m, about {nearest:g} times "
        "apart: are these files of another unit?"
    ]


def unit_doubt(middle: float) -> str | None:
    """Doubt about a mean or median [m], if it is implausible."""
    if middle > FARTHEST:
        return TOO_FAR
    return TOO_NEAR if middle < NEAREST else None


def _stored_facts(
    stored: Shaped[np.ndarray, "h w"],
    meaningless: Sequence[float],
    unit: float | None,
    farthest: float | None,
) -> _Stored:
    plane = stored.astype(np.float64)
    with np.errstate(invalid="ignore"):
        known = np.isfinite(plane) & (plane > 0) & ~is_any_of(stored, tuple(meaningless))
        if farthest is not None and unit is not None:
            known &= plane * unit <= farthest
    whole = stored.dtype if stored.dtype.kind in "ui" else None
    if whole is None and known.any():
        numbers = plane[known]
        # Counts in a file of floating-point numbers; metres have fractions.
        if numbers.max() < 2**32 and np.median(numbers) > 255 and (numbers % 1 == 0).all():
            whole = np.dtype(np.uint16 if numbers.max() < 2**16 else np.uint32)
    has_zero = 0 not in meaningless
    return _Stored(plane=plane, known=known, whole=whole, unit=unit, has_zero=has_zero)


def _range_doubts(facts: _Stored) -> Iterator[str]:
    """Yield a doubt about the ends of a range, which holes and backgrounds have too."""
    if facts.whole is None:
        return
    largest = float(np.iinfo(facts.whole).max)
    known = facts.known | ((facts.plane == 0) & facts.has_zero)
    for end, words in ((0.0, "nearest"), (largest, "farthest")):
        at_end = known & (facts.plane == end)
        share = np.count_nonzero(at_end) / facts.plane.size
        rest = facts.plane[known & ~at_end]
        if share < _APART[2][1] or rest.size <= _FEWEST_PIXELS or is_synthetic(rest):
            continue
        gap = np.quantile(rest, 0.001) if end == 0 else largest - np.quantile(rest, 0.999)
        if gap > largest / 20 or (share >= _COMMON and not _has_smooth_borders(facts, end, known)):
            yield (
                f"{np.count_nonzero(at_end)} pixels ({share:.1%}) hold {end:.0f}, which is the "
                f"{words} depth of the range that is stated, apart from all others: if it marks "
                f"'none', say 'invalid: {end:.0f}'"
            )


def _background_doubts(facts: _Stored) -> Iterator[str]:
    numbers = facts.numbers
    size = facts.plane.size
    for is_far in (True, False):
        extreme = float(numbers.max() if is_far else numbers.min())
        equal = np.abs(numbers - extreme) <= _SAME_FLOAT * extreme
        rest = numbers[~equal]
        count = int(np.count_nonzero(equal))
        if rest.size <= _FEWEST_PIXELS:
            continue
        share = count / size
        ratio = _distance_to_others(extreme, rest, is_far=is_far)
        is_maximum = is_far and _is_largest_of_type(facts, extreme)
        rules = _APART if is_far else _NEAR_APART
        if not is_far and facts.whole is None:
            rules = rules[:1]  # A mark of zero that was scaled; no background is near.
        stands_apart = any(ratio >= apart and share >= least for apart, least in rules)
        if is_far and not stands_apart and ratio >= _APART[0][0] and share >= _ISOLATED:
            stands_apart = not _has_smooth_borders(facts, extreme, facts.known)
        if is_synthetic(rest) and not (is_maximum or ratio >= 10):
            continue
        if stands_apart and is_far and not is_maximum:
            is_wall = share > _MOST_PIXELS and ratio < _WALL
            stands_apart = not is_wall and not _continues_planes(facts, extreme)
        if count < _FEWEST_PIXELS and not (is_maximum and ratio >= _APART[1][0]):
            continue
        if is_maximum and (stands_apart or ratio >= _APART[1][0] or share >= _AT_MAXIMUM):
            yield (
                f"{count} pixels hold {facts.words(extreme)}, the largest number of the type, "
                "which mostly means 'none', as a background does; say 'invalid: "
                f"[0, {facts.words(extreme)}]'"
            )
        elif stands_apart:
            yield (
                f"{share:.1%} of the pixels hold the number {facts.words(extreme)}, which may mean "
                f"'none' or a background, since all others are apart from it "
                f"({_range_words(facts, rest)}); say 'invalid: [0, {facts.words(extreme)}]' if so"
            )


def _range_words(facts: _Stored, rest: Values) -> str:
    low, high = np.quantile(rest, (0.001, 0.999))
    return f"{low:.5g} to {high:.5g}" if facts.whole is None else f"{int(low)} to {int(high)}"


def _distance_to_others(extreme: float, rest: Values, *, is_far: bool) -> float:
    """Ratio of an extreme number and of the others nearest to it, blended edges left out."""
    if is_far:
        close, most = np.quantile(rest, (0.999, 0.98))
        # Anti-aliased edges blend a huge background into up to a fiftieth of the other pixels.
        return max(extreme / close, extreme / most if extreme > 10 * most else 0.0)
    return float(np.quantile(rest, 0.001)) / extreme


def _is_largest_of_type(facts: _Stored, number: float) -> bool:
    if facts.whole is None:
        return number in (float(np.finfo(np.float16).max), float(np.finfo(np.float32).max))
    return number == np.iinfo(facts.whole).max and facts.whole.itemsize > 1


def is_synthetic(numbers: Values) -> bool:
    """Whether numbers are those of a few flat walls, as in a made-up scene."""
    return len(np.unique(numbers[:: max(1, numbers.size // 5000)])) <= _FEW_NUMBERS


def _isolated_doubt(facts: _Stored) -> str | None:
    """Doubt about a common number that has no neighbours of almost the same depth."""
    numbers, counts = np.unique(facts.numbers, return_counts=True)
    place = int(np.argmax(counts))
    share = counts[place] / facts.plane.size
    if share < _COMMON or numbers.size <= _FEW_NUMBERS:
        return None
    value = float(numbers[place])
    if place == numbers.size - 1 and share > _MOST_PIXELS and value < _WALL * numbers[-2]:
        return None
    rest = facts.known & (facts.plane != value)
    if is_synthetic(facts.plane[rest]):
        return None
    if _has_smooth_borders(facts, value, facts.known):
        return None
    return (
        f"{share:.0%} of the pixels hold the number {facts.words(value)}, which may mean 'none', "
        f"since depth beside them does not come near it; say 'invalid: [0, {facts.words(value)}]' "
        "if so"
    )


def _has_smooth_borders(facts: _Stored, value: float, known: Mask) -> bool:
    """Whether depth beside the pixels of a number comes near it, as beside a wall."""
    common = known & (facts.plane == value)
    rest = known & (facts.plane != value)
    scale = max(value, float(facts.plane[rest].max()) / 100)
    smooth, pairs = 0, 0
    for first, second in _neighbour_slices():
        for one, other in ((first, second), (second, first)):
            border = common[one] & rest[other]
            step = np.abs(facts.plane[other][border] - value)
            pairs += step.size
            smooth += int(np.count_nonzero(step <= _SURFACE_STEP * scale))
    return pairs < _FEWEST_PAIRS // 4 or smooth > _SMOOTH_BORDERS * pairs


def _continues_planes(facts: _Stored, value: float) -> bool:
    """Whether planes go on to the pixels of a number, as level ground goes on to its farthest row.

    The inverse depth of a plane changes by equal steps from pixel to pixel.
    """
    with np.errstate(divide="ignore"):
        inverse = np.where(facts.known, 1 / facts.plane, np.nan)
    has_value = facts.plane == value
    continued, borders = 0, 0
    for plane, mask in ((inverse, has_value), (inverse.T, has_value.T)):
        for step in (1, -1):
            ordered, is_value = plane[::step], mask[::step]
            border = is_value[:-2] & ~is_value[1:-1] & ~is_value[2:]
            first, second = ordered[1:-1][border], ordered[2:][border]
            known = np.isfinite(first) & np.isfinite(second)
            gap, change = (first - 1 / value)[known], (second - first)[known]
            borders += change.size
            is_same = (change > 0) & (np.abs(gap - change) <= _SAME_PLANE * change)
            continued += int(np.count_nonzero(is_same))
    return continued > _CONTINUED_BORDERS * borders


def _neighbour_slices() -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    every, head, tail = slice(None), slice(None, -1), slice(1, None)
    yield (every, head), (every, tail)
    yield (head, every), (tail, every)


def _without_background(facts: _Stored) -> Mask:
    """Pixels whose number is neither the largest of all nor of the type."""
    numbers = facts.numbers
    return facts.known & (facts.plane < numbers.max())


def _packing_doubts(facts: _Stored, known: Mask) -> Iterator[str]:
    """Yield doubts about bits beside the depth, and about bytes in the wrong order."""
    first, second = _neighbours(facts.plane, known)
    steps = np.abs(second - first)
    is_step = steps > 0
    if np.count_nonzero(is_step) < _FEWEST_PAIRS:
        return
    low = _low_bits(steps[is_step]) or _flag_below(facts, steps[is_step])
    is_coarse = facts.is_declared and _is_coarse_sensor(facts, low)
    if low and not is_coarse and not _is_usual_unit(facts.unit, 2.0**low):
        assert facts.whole is not None, "the caller has asked"
        count = 8 * facts.whole.itemsize - low
        labels = np.unique(facts.numbers % 2**low).size
        lowest = "lowest bit holds" if low == 1 else f"lowest {low} bits hold"
        beside = (
            f"lowest {low} bits are always zero" if labels == 1 else f"{lowest} {labels} labels"
        )
        yield (
            f"its {beside}, and depth changes in steps of {2**low}: the bits of "
            f"something else seem packed below it; say 'bits: [{low}, {count}]'"
            + (f" ([{low}, {count + low}] of SUN RGB-D's)" if low == 3 else "")
        )
        return
    high = _high_bits(first, second)
    if high is not None:
        yield (
            f"it jumps by multiples of {2**high} between neighbours of one surface: the bits of "
            f"something else seem packed above its lowest {high}; say 'bits: [0, {high}]'"
        )


def _neighbours(
    plane: np.ndarray, known: Bool[np.ndarray, "h w"]
) -> tuple[Shaped[np.ndarray, " n"], Shaped[np.ndarray, " n"]]:
    firsts, seconds = [], []
    for first, second in _neighbour_slices():
        both = known[first] & known[second]
        firsts.append(plane[first][both])
        seconds.append(plane[second][both])
    return np.concatenate(firsts), np.concatenate(seconds)


def _flag_below(facts: _Stored, steps: Values) -> int:
    """1 if the lowest bit is a flag, which neighbours share while depth changes by even steps."""
    is_even = np.mean(steps % 2 == 0) >= _EVEN_STEPS
    return int(is_even and np.unique(facts.numbers % 2).size == _TWO_LABELS)


def _low_bits(steps: Values) -> int:
    """Number of lowest bits in which neighbours do not differ; 0 if there are fewer than two."""
    for bits in _LOW_BITS:
        if np.mean(steps % 2**bits == 0) >= _STEPS:
            return bits
    return 0


def _overflow_doubts(facts: _Stored) -> Iterator[str]:
    """Yield a doubt about surfaces that go on at 0 behind the largest number of 16 bits."""
    first, second = _neighbours(facts.plane, facts.known & ~_is_mark(facts))
    low, high = np.minimum(first, second), np.maximum(first, second)
    # The largest number of the type mostly means 'none'.
    is_torn = (high - low > _OVERFLOW - _TORN) & (high < _OVERFLOW - 1)
    count = int(np.count_nonzero(is_torn))
    if count >= _FEWEST_TORN:
        yield (
            f"{count} neighbours jump between 0 and {_OVERFLOW - 1}, the ends of 16 bits: depth "
            "beyond seems to have started again at 0; write it in more bits or a larger unit, or "
            "say 'max_depth' and leave out what is nearer than it looks"
        )


def _clip_doubts(metres: Values, pixels: int) -> Iterator[str]:
    """Yield a doubt about many pixels at a round farthest depth, as a renderer's far plane has."""
    farthest = float(metres.max())
    count = int(np.count_nonzero(metres >= farthest * (1 - _SAME_FLOAT)))
    is_round = farthest >= _NEAREST_CLIP and abs(farthest / 10 - round(farthest / 10)) < 1e-4
    if count < _AT_CLIP * pixels or not is_round or is_synthetic(metres[metres < farthest]):
        return
    yield (
        f"{count / pixels:.1%} of the pixels lie at {farthest:g} m exactly, the farthest depth: if "
        f"depth was cut there, say 'max_depth: {0.999 * farthest:.6g}'"
    )


def _is_coarse_sensor(facts: _Stored, low: int) -> bool:
    """Whether depth in a declared unit is that of a room, in coarse steps and nothing below."""
    if facts.unit is None or (facts.numbers % 2**low).any():
        return False
    return float(np.median(facts.numbers)) * facts.unit < _ROOM


def _is_usual_unit(unit: float | None, step: float) -> bool:
    """Whether numbers that change in such steps are of a unit in which that is usual."""
    if unit is None:
        return False
    exponent = -math.log2(unit)
    # KITTI's and others' fractions of a power of two come from steps of a sixteenth of a pixel.
    is_binary = exponent >= 1 and abs(exponent - round(exponent)) < 1e-9
    is_millimetre = any(math.isclose(unit * step, usual) for usual in (0.001, 0.01, 0.1, 1.0))
    return is_binary or is_millimetre


def _high_bits(first: Values, second: Values) -> int | None:
    """Bits below those that jump on one surface; None if none does."""
    for bits in _HIGH_BITS:
        size = 2**bits
        changes = first // size != second // size
        if np.count_nonzero(changes) < _FEWEST_PAIRS // 4:
            continue
        low_first, low_second = first[changes] % size, second[changes] % size
        is_surface_below = np.abs(low_first - low_second) <= _SURFACE_STEP * np.maximum(
            np.minimum(low_first, low_second), size / 100
        )
        if is_surface_below.mean() > 0.6:
            return bits
    return None


def _byte_doubts(facts: _Stored) -> Iterator[str]:
    """Yield a doubt about bytes in the wrong order."""
    known = facts.known & ~_is_mark(facts)
    if facts.whole is None or facts.whole.itemsize != 2:
        return
    numbers = np.where(known, facts.plane, 0).astype(np.uint16)
    turned = {turn: (numbers >> turn) | (numbers << (16 - turn)) for turn in range(1, 16)}
    steps = {turn: roughness(plane) for turn, plane in turned.items()}
    # Turns that only multiply the depth are as smooth, and its numbers are the smallest.
    smoothest = [turn for turn in turned if steps[turn] <= 1.1 * min(steps.values())]
    if not smoothest:
        return
    best = min(smoothest, key=lambda turn: int(turned[turn].max()))
    if not is_much_smoother(numbers, turned[best]):
        return
    if best == 8:
        yield (
            "its numbers are noise, and surfaces with their two bytes swapped: say 'bits: [8, 16]'"
            ", or write it anew in the other byte order (numpy: array.byteswap())"
        )
    else:
        yield (
            f"its numbers are noise, and surfaces if they begin at bit {best} and go on at bit 0: "
            f"say 'bits: [{best}, 16]'"
        )


def _is_mark(facts: _Stored) -> Mask:
    """Pixels of the few largest numbers, if these are far from all others, as marks of 'none'."""
    marks = np.zeros_like(facts.known)
    for _ in range(_MOST_MARKS):
        numbers = facts.plane[facts.known & ~marks]
        if not numbers.size:
            break
        extreme = float(numbers.max())
        marks |= facts.plane == extreme
        rest = numbers[numbers < extreme]
        if np.count_nonzero(numbers == extreme) < _ISOLATED * facts.plane.size or not rest.size:
            break
        if extreme > _APART[1][0] * rest.max():
            return marks & facts.known
    return np.zeros_like(facts.known)


def _flag_doubt(facts: _Stored) -> str | None:
    """Doubt about a highest bit that all numbers have."""
    if facts.whole is None or facts.whole.itemsize != 2 or facts.whole.kind != "u":
        return None
    numbers = facts.numbers
    inside = numbers[numbers < np.iinfo(facts.whole).max]
    if facts.unit != _MILLIMETRE or not inside.size or inside.min() < _HIGHEST_BIT:
        return None
    return (
        f"all numbers lie above {_HIGHEST_BIT}, which is depth beyond 32 m in millimetres: if the "
        "highest bit is a flag, say 'bits: [0, 15]', and if it is an offset, say 'offset'"
    )

"""What numbers of depth look like besides depth: backgrounds, packed bits, z-buffers, another unit.

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
from rilievo.io.depth.encoding import equals_any, is_much_smoother, roughness
from rilievo.io.depth.inverse_depth import normalized_range_warnings, z_buffer_warning
from rilievo.io.depth.wrapping import DepthWrap, find_wrap

MAX_PLAUSIBLE_MEDIAN = 500.0
"""Largest plausible mean or median [m]; the least is ``MIN_PLAUSIBLE_MEDIAN``."""
MIN_PLAUSIBLE_MEDIAN = 0.2
TOO_FAR = (
    f"true depth is above {MAX_PLAUSIBLE_MEDIAN:g} m in the middle: it looks like millimetres or "
    "raw counts read as metres; check the scale"
)
TOO_NEAR = (
    f"true depth is below {MIN_PLAUSIBLE_MEDIAN * 100:g} cm in the middle: it looks like "
    "centimetres read as millimetres, or metres that were divided once too often; check the scale"
)
# No camera measures and no scene shows a surface beyond [m]; mountains in a declared unit, whose
# median is beyond the second number, are seen up to the third.
_HUGE, _LANDSCAPE, _HUGEST = 1e4, 1e3, 1e6
# Units of a number [m] whose type has no end that means something.
_USUAL_UNITS = (1.0, 0.001, 0.01, 0.0001, 1 / 256, 1 / 1000, 1 / 4000, 1 / 5000)
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
# Largest square of the outline of a compact shape, over its area.
_COMPACT = 40
# A declared unit in which most depth is nearer [m] is that of a sensor with coarse steps.
_ROOM = 10.0
_FEWEST_PAIRS = 200
# Nearest far plane [m], and least share of the depth at it.
_NEAREST_CLIP, _AT_CLIP = 10.0, 0.02
# Least share of the depth at the largest number of a sensor, and ratio of its pixels to those of
# any number that is less and above this part of it.
_AT_SENSOR_END, _TIMES_MORE_AT_END, _BELOW = 0.005, 5, 0.9
# Largest numbers of sensors: those of 10 to 16 bits, and round counts from 2000 on.
_ENDS_OF_BITS = tuple(2**bits - 1 for bits in range(10, 17))
_LEAST_ROUND, _ROUND = 2000, 500
# Least share of the borders of a wall that are at right angles to it, the range of their steps over
# 1 by the distance from the middle of the picture, and how near they come to the wall.
_RIGHT_ANGLES, _LEAST_STEP, _MOST_STEP, _NEAR_WALL = 0.8, 0.9, 1.1, 0.1
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
# Farthest nearest depth below a flag [mm].
_NEAR_BELOW_FLAG = 10_000
# Least bytes of a floating-point number whose order is judged, and ratio of depths that no map has.
_LEAST_FLOAT_BYTES, _MOST_FLOAT_RATIO = 4, 1e6
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
        is_guess: Whether the unit is a guess, as neither the user nor the file says it.
    """

    plane: np.ndarray
    known: Mask
    whole: np.dtype | None
    unit: float | None
    has_zero: bool = False
    is_declared: bool = False
    is_guess: bool = False

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


def plausibility_warnings(
    stored: Shaped[np.ndarray, "h w"],
    metres: Values | None,
    *,
    invalid: Sequence[float] = (),
    unit: float | None = None,
    is_range: bool = False,
    max_depth: float | None = None,
    is_unit_declared: bool = False,
    is_unit_guessed: bool = False,
) -> Iterator[str]:
    """Yield doubts, a sentence each, about invalid numbers, packed bits and the unit.

    Args:
        stored: Numbers of the file, after channels and bits that are declared.
        metres: Valid depth [m], in any order; None if it is not in metres.
        invalid: Numbers that are declared to hold no depth.
        unit: Metres of a number; None if that is not one factor.
        is_range: Whether numbers lie between a nearest and a farthest depth, which the least and
            the largest number of the type are.
        max_depth: Largest valid depth that is declared [m]: what lies beyond holds no depth.
        is_unit_declared: Whether the user declares the unit, which may be that of an aerial
            photograph or of an endoscope.
        is_unit_guessed: Whether the unit is a guess, as neither the user nor the file says it.
    """
    facts = _stored_facts(stored, invalid, unit, max_depth)
    facts = replace(facts, is_declared=is_unit_declared, is_guess=is_unit_guessed)
    negative = negative_numbers_warning(stored)
    if negative is not None and unit is not None and unit > 0:
        yield negative
        return
    restart = None if is_range else find_wrap(stored, facts.known & ~_is_mark(facts))
    is_in_metres = not is_range and metres is not None and unit is not None
    may_be_buffer = is_in_metres and restart is None
    something_else = _something_else(facts, stored, may_be_buffer=may_be_buffer)
    if something_else:
        yield from something_else
        return
    yield from filter(None, (_flag_doubt(facts),))
    normalised = () if is_range else tuple(_normalised_doubts(facts, stored))
    background = () if normalised else tuple(_mark_doubts(facts, is_range=is_range))
    yield from normalised
    yield from background
    if not is_range:
        yield from _coding_doubts(facts, stored, restart)
    if metres is not None and metres.size:
        has_end = bool(background or normalised) or max_depth is not None
        yield from _far_doubts(facts, metres, has_end=has_end)
        is_huge = metres > _HUGE
        middle = float(np.median(metres if is_huge.all() else metres[~is_huge]))
        yield from _middle_doubts(facts, middle, max_depth)


NEGATION_HINT = "write them with the other sign, such as -depth"


def negative_numbers_warning(
    stored: Shaped[np.ndarray, "h w"],
    remedy: str = "say 'scale: -1' in rilievo.yaml, or write them with the other sign",
) -> str | None:
    """Doubt about numbers of which none is above zero, as those along -z are, with a remedy."""
    with np.errstate(invalid="ignore"):
        below = np.count_nonzero(np.isfinite(stored) & (stored < 0))
        above = np.count_nonzero(np.isfinite(stored) & (stored > 0))
    if above or not below:
        return None
    return f"all its numbers are below zero, as those of depth along -z are (OpenGL): {remedy}"


def _something_else(
    facts: _Stored, stored: Shaped[np.ndarray, "h w"], *, may_be_buffer: bool
) -> Sequence[str]:
    """Doubts about numbers that are no depth as they stand, so that nothing else is judged."""
    swapped = [*_byte_doubts(facts), *_float_byte_doubts(stored)]
    if swapped or not may_be_buffer:
        return swapped
    doubt = z_buffer_warning(stored, facts.unit if facts.is_declared else None)
    return () if doubt is None else (doubt,)


def _mark_doubts(facts: _Stored, *, is_range: bool) -> Iterator[str]:
    """Yield doubts about numbers that may mean 'none' or a background."""
    if np.count_nonzero(facts.known) <= _FEWEST_PIXELS:
        return
    background = [*(_range_doubts(facts) if is_range else _background_doubts(facts))]
    yield from background or filter(None, (_isolated_doubt(facts),))


def _coding_doubts(
    facts: _Stored, stored: Shaped[np.ndarray, "h w"], restart: DepthWrap | None
) -> Iterator[str]:
    """Yield doubts about packed bits, and about depth that starts again."""
    has_bits = facts.whole is not None and facts.whole.itemsize > 1 and not _are_halves(stored)
    if has_bits and np.count_nonzero(facts.known) > _FEWEST_PIXELS:
        yield from _packing_doubts(facts, _without_background(facts))
    if restart is not None:
        yield (
            f"surfaces pass {restart.size:.5g} at {restart.count} pixels and go on at 0: depth "
            "beyond seems to have started again, as that of a time-of-flight camera does, or of "
            "numbers of too few bits; write the true depth, or leave these pixels out"
        )


def _normalised_doubts(facts: _Stored, stored: Shaped[np.ndarray, "h w"]) -> Iterator[str]:
    """Yield a doubt about numbers that fill a full scale, unless that scale has a unit."""
    has_own_scale = facts.unit not in (None, *_USUAL_UNITS)
    is_declared_float = facts.is_declared and stored.dtype.kind == "f"
    if not has_own_scale and not is_declared_float:
        yield from normalized_range_warnings(stored, is_guess=facts.is_guess)


def _are_halves(stored: Shaped[np.ndarray, "h w"]) -> bool:
    """Whether numbers are of half precision, whose steps grow with them by powers of two."""
    if stored.dtype.kind != "f":
        return False
    known = stored[np.isfinite(stored)]
    with np.errstate(over="ignore"):
        return bool((known.astype(np.float16) == known).all())


def _far_doubts(facts: _Stored, metres: Values, *, has_end: bool) -> Iterator[str]:
    """Yield doubts about pixels at a far plane or beyond everything, if nothing ends the depth."""
    if has_end:
        return
    yield from _clip_doubts(facts, metres)
    is_landscape = facts.is_declared and float(np.median(metres)) > _LANDSCAPE
    farthest = _HUGEST if is_landscape else _HUGE
    is_huge = metres > farthest
    if is_huge.any():
        inside = float(metres[~is_huge].max(initial=0))
        above = f"above {inside:.3g} m" if inside else "of the scene"
        yield (
            f"{np.count_nonzero(is_huge)} pixels lie beyond {farthest / 1000:g} km (up to "
            f"{metres.max():.3g} m), which looks like a background or another unit: say "
            f"'max_depth' {above}, or 'scale'"
        )


def _middle_doubts(facts: _Stored, middle: float, farthest: float | None) -> Iterator[str]:
    """Yield a doubt about the median [m]."""
    if not facts.is_declared:
        doubt = unit_warning(middle)
        is_within = doubt == TOO_FAR and farthest is not None and farthest > MAX_PLAUSIBLE_MEDIAN
        yield from () if doubt is None or is_within else (doubt,)
    elif middle > MAX_PLAUSIBLE_MEDIAN and facts.whole is not None and (facts.unit or 0) >= 1:
        yield (
            f"its whole numbers are declared in units of {facts.unit:g} m, and half of them lie "
            f"beyond {MAX_PLAUSIBLE_MEDIAN:g} m: if they are millimetres, say 'scale: 0.001'"
        )


def odd_unit_warnings(middles: Mapping[str, float]) -> list[str]:
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


def unit_warning(middle: float) -> str | None:
    """Doubt about a mean or median [m], if it is implausible."""
    if middle > MAX_PLAUSIBLE_MEDIAN:
        return TOO_FAR
    return TOO_NEAR if middle < MIN_PLAUSIBLE_MEDIAN else None


def _stored_facts(
    stored: Shaped[np.ndarray, "h w"],
    meaningless: Sequence[float],
    unit: float | None,
    farthest: float | None,
) -> _Stored:
    with np.errstate(invalid="ignore", over="ignore"):
        plane = stored.astype(np.float64)
        known = np.isfinite(plane) & (plane > 0) & ~equals_any(stored, tuple(meaningless))
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
    """Yield doubts about the largest and the least number, if they stand apart from all others."""
    numbers = facts.numbers
    for is_far in (True, False):
        extreme = float(numbers.max() if is_far else numbers.min())
        equal = np.abs(numbers - extreme) <= _SAME_FLOAT * extreme
        rest = numbers[~equal]
        count = int(np.count_nonzero(equal))
        if rest.size <= _FEWEST_PIXELS:
            continue
        share = count / facts.plane.size
        ratio = _distance_to_others(extreme, rest, is_far=is_far)
        is_maximum = is_far and _is_largest_of_type(facts, extreme)
        if is_synthetic(rest) and not (is_maximum or ratio >= 10):
            continue
        if count < _FEWEST_PIXELS and not (is_maximum and ratio >= _APART[1][0]):
            continue
        if is_maximum:
            stands_apart = _is_apart(ratio, share, _APART)
            if stands_apart or ratio >= _APART[1][0] or share >= _AT_MAXIMUM:
                yield (
                    f"{count} pixels hold {facts.words(extreme)}, the largest number of the type, "
                    "which mostly means 'none', as a background does; say 'invalid: "
                    f"[0, {facts.words(extreme)}]'"
                )
            continue
        is_background = _is_far_background if is_far else _is_near_mark
        if is_background(facts, extreme, ratio, share):
            yield (
                f"{share:.1%} of the pixels hold the number {facts.words(extreme)}, which may mean "
                f"'none' or a background, since all others are apart from it "
                f"({_range_words(facts, rest)}); say 'invalid: [0, {facts.words(extreme)}]' if so"
            )


def _is_apart(ratio: float, share: float, rules: Sequence[tuple[float, float]]) -> bool:
    return any(ratio >= apart and share >= least for apart, least in rules)


def _is_far_background(facts: _Stored, extreme: float, ratio: float, share: float) -> bool:
    """Whether the largest number stands apart, and is neither a wall nor the end of a plane."""
    stands_apart = _is_apart(ratio, share, _APART)
    if not stands_apart and ratio >= _APART[0][0] and share >= _ISOLATED:
        stands_apart = not _has_smooth_borders(facts, extreme, facts.known)
    is_wall = share > _MOST_PIXELS and ratio < _WALL
    return stands_apart and not is_wall and not _continues_planes(facts, extreme)


def _is_near_mark(facts: _Stored, extreme: float, ratio: float, share: float) -> bool:
    """Whether the least number stands apart, and is no board in front of everything."""
    if facts.whole is None:
        # A mark of zero that was scaled; no background is near.
        return _is_apart(ratio, share, _NEAR_APART[:1])
    if not _is_apart(ratio, share, _NEAR_APART):
        return False
    return ratio >= _NEAR_APART[0][0] or not _is_flat_object(facts, extreme)


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
    if _has_smooth_borders(facts, value, facts.known) or _is_flat_object(facts, value):
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
    # Neighbours on a surface differ by one step at least, however coarse it is.
    least_step = float(np.diff(np.unique(facts.plane[known])).min(initial=np.inf))
    most = max(_SURFACE_STEP * scale, least_step * (1 + _SAME_FLOAT))
    smooth, pairs = 0, 0
    for first, second in _neighbour_slices():
        for one, other in ((first, second), (second, first)):
            border = common[one] & rest[other]
            step = np.abs(facts.plane[other][border] - value)
            pairs += step.size
            smooth += int(np.count_nonzero(step <= most))
    return pairs < _FEWEST_PAIRS // 4 or smooth > _SMOOTH_BORDERS * pairs


def _is_flat_object(facts: _Stored, value: float) -> bool:
    """Whether the pixels of a number have a compact shape inside the picture, as a board has.

    The square of the outline is 16 times the area of a square, and far more where holes of a sensor
    are ragged or many. Regions without depth mostly reach the border of the picture.
    """
    mask = facts.known & (facts.plane == value)
    if mask[[0, -1]].any() or mask[:, [0, -1]].any():
        return False
    outline = sum(int(np.count_nonzero(mask[a] != mask[b])) for a, b in _neighbour_slices())
    return outline**2 < _COMPACT * int(np.count_nonzero(mask))


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


def _clip_doubts(facts: _Stored, metres: Values) -> Iterator[str]:
    """Yield a doubt about many pixels at a farthest depth that a renderer or sensor ends at."""
    farthest = float(metres.max())
    is_at_end = metres >= farthest * (1 - _SAME_FLOAT)
    count, inside = int(np.count_nonzero(is_at_end)), metres[~is_at_end]
    share = count / metres.size
    if count < _FEWEST_PIXELS or share < _AT_SENSOR_END or is_synthetic(inside):
        return
    is_round = abs(farthest / 10 - round(farthest / 10)) < 1e-4
    number = float(facts.numbers.max())
    if is_round and farthest >= _NEAREST_CLIP and share >= _AT_CLIP:
        yield (
            f"{share:.1%} of the depth lies at {farthest:g} m exactly, the farthest depth: if it "
            f"was cut there, say 'max_depth: {0.999 * farthest:.6g}'"
        )
    elif (
        _is_end_of_sensor(facts, number)
        and count > _TIMES_MORE_AT_END * _most_below(facts, number)
        and _has_smooth_borders(facts, number, facts.known)
    ):
        yield (
            f"{share:.1%} of the depth has the number {facts.words(number)}, the largest, up to "
            "which surfaces rise: if a sensor ends there and depth is beyond, say 'invalid: "
            f"[0, {facts.words(number)}]'"
        )


def _most_below(facts: _Stored, number: float) -> int:
    """Most pixels that hold one of the numbers a little below the largest."""
    below = facts.numbers[facts.numbers < number]
    return int(np.unique(below[below > _BELOW * number], return_counts=True)[1].max(initial=0))


def _is_end_of_sensor(facts: _Stored, number: float) -> bool:
    """Whether a number is the largest of some bits, or a round number of counts.

    The back wall of a made-up room that stands straight before the camera has a round number, too.
    """
    if facts.whole is None:
        # Millimetres that were converted to metres.
        counts = round(1000 * number)
        is_whole = abs(1000 * number - counts) < 1e-3
        return is_whole and counts in _ENDS_OF_BITS
    is_round = number >= _LEAST_ROUND and number % _ROUND == 0
    return number in _ENDS_OF_BITS or (is_round and not _is_wall_of_straight_room(facts, number))


def _is_wall_of_straight_room(facts: _Stored, number: float) -> bool:
    """Whether surfaces that rise to a number are at right angles to it.

    Floor, ceiling and side walls of a room that stands straight before the camera meet its back
    wall at right angles. Their inverse depth is zero in the middle of the picture, and so changes
    from pixel to pixel by 1 over the distance from there.
    """
    mask = facts.known & (facts.plane == number)
    depth = np.where(facts.known & ~mask, facts.plane, np.nan)
    steps = []
    for plane, wall in ((depth, mask), (depth.T, mask.T)):
        distance = np.abs(np.arange(len(plane)) - (len(plane) - 1) / 2)[1:-1, None]
        for step in (1, -1):
            first, second = plane[::step][1:-1], plane[::step][2:]
            border = wall[::step][:-2] & (first > (1 - _NEAR_WALL) * number) & np.isfinite(second)
            steps.append((distance * (first / second - 1))[border])
    relative = np.concatenate(steps)
    is_right_angle = (relative > _LEAST_STEP) & (relative < _MOST_STEP)
    return int(np.count_nonzero(is_right_angle)) > _RIGHT_ANGLES * relative.size


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


def _float_byte_doubts(stored: Shaped[np.ndarray, "h w"]) -> Iterator[str]:
    """Yield a doubt about floating-point numbers whose bytes are in the wrong order."""
    if stored.dtype.kind != "f" or stored.dtype.itemsize < _LEAST_FLOAT_BYTES:
        return
    swapped = stored.astype(stored.dtype.newbyteorder("=")).byteswap()
    known = np.isfinite(swapped) & (swapped > 0)
    if np.count_nonzero(known) < max(_FEWEST_PAIRS, stored.size / 2):
        return
    numbers = np.log(swapped[known].astype(np.float64))
    with np.errstate(invalid="ignore"):
        is_number = np.isfinite(stored) & (stored != 0)
    logs = np.log(np.abs(stored[is_number].astype(np.float64)))
    most = math.log(_MOST_FLOAT_RATIO)
    is_wild = not logs.size or max(np.ptp(logs), np.abs(np.median(logs))) > 2 * most
    if is_wild and abs(np.median(numbers)) < most and float(np.ptp(numbers)) < most:
        yield (
            "its numbers are noise, and surfaces with their bytes in the other order: write it "
            "anew (numpy: array.byteswap()); in PFM the sign of the scale says the order"
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
    beyond = f"all numbers lie above {_HIGHEST_BIT}, which is depth beyond 32 m in millimetres"
    if inside.min() - _HIGHEST_BIT > _NEAR_BELOW_FLAG:
        return f"{beyond}: if they fall with depth, write the largest number minus them"
    return (
        f"{beyond}: if the highest bit is a flag, say 'bits: [0, 15]', and if it is an offset, say "
        "'offset'"
    )

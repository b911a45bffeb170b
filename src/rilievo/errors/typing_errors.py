"""Find the name that a user meant by a word with a typing error, for suggestions in messages.

A letter too many or too few and two swapped letters are typical errors. But two short words that
differ in one letter, such as "sharp" and "shard", are usually different words.
"""

from collections.abc import Iterable

from rilievo.errors.messages import join_alternatives

_MIN_LENGTH_OF_REPLACEMENTS = 6
"""Letters from which on a word with a different letter in one place may still be the same word."""
_MIN_LENGTH_OF_TWO_ERRORS = 9
"""Letters from which on a word may have two typing errors."""


def names_meant_by(typed: str, names: Iterable[str]) -> list[str]:
    """Return the names from which a word differs only by typing errors, the nearest first.

    Examples:
        >>> names_meant_by("colourmpa", ["colourmap", "colourrange"])
        ['colourmap']
        >>> names_meant_by("sharp", ["shard"])
        []
    """
    errors_by_name: dict[str, int] = {}
    for name in names:
        errors = count_typing_errors(typed, name)
        length = min(len(typed), len(name))
        if errors <= (2 if length >= _MIN_LENGTH_OF_TWO_ERRORS else 1):
            errors_by_name[name] = errors
    return sorted(errors_by_name, key=lambda name: errors_by_name[name])


def hint_for_typing_error(typed: str, names: Iterable[str]) -> str:
    """Hint with the names that are meant; "" if none differs only by typing errors.

    Examples:
        >>> hint_for_typing_error("sav", ["save", "fov"])
        "did you mean 'save'?"
    """
    similar = names_meant_by(typed, names)
    return f"did you mean {join_alternatives(map(repr, similar))}?" if similar else ""


def count_typing_errors(typed: str, name: str) -> int:
    """Count the missing, additional, replaced and swapped letters (Damerau-Levenshtein distance).

    A replaced letter of a short word counts as two errors.
    """
    is_short = min(len(typed), len(name)) < _MIN_LENGTH_OF_REPLACEMENTS
    replacement_cost = 2 if is_short else 1
    # counts[i][j] is the number of errors between the first i and the first j letters.
    counts = [[0] * (len(name) + 1) for _ in range(len(typed) + 1)]
    for i in range(len(typed) + 1):
        for j in range(len(name) + 1):
            if i == 0 or j == 0:
                counts[i][j] = i + j
                continue
            is_equal = typed[i - 1] == name[j - 1]
            counts[i][j] = min(
                counts[i - 1][j] + 1,
                counts[i][j - 1] + 1,
                counts[i - 1][j - 1] + (0 if is_equal else replacement_cost),
            )
            if i > 1 and j > 1 and typed[i - 2 : i] == name[j - 1] + name[j - 2]:
                counts[i][j] = min(counts[i][j], counts[i - 2][j - 2] + 1)
    return counts[-1][-1]

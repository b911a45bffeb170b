"""List the pairs of places in src that share six lines, so that one piece of code can serve both.

Usage: python tools/repeats.py [--most 20] [--source src/rilievo]

A line is compared by its shape: every name, string and number stands for any other, and white space
does not count. Left out are comments, docstrings, blank lines, lines of punctuation alone, imports
and decorators. Six lines in a row that stand again elsewhere are a repeat if at least two of them
do something (assign, return, raise, branch, loop), so lists of fields and of arguments are none; a
run that stands in more than eight places is a form of the house, and is left out too.

A pair is two files, or a file with itself: however many runs they share, they count once. Behind
each stand its longest run, and the number of lines that are shared in all. "letter" marks a pair of
which six lines are the same to the letter.
"""

import argparse
import io
import keyword
import sys
import token
import tokenize
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
RUN = 6
MOST_PLACES = 8
FEWEST_ACTIONS = 2
ACTIONS = frozenset(
    ("=", "+=", "return", "raise", "if", "elif", "for", "while", "with", "yield", "assert", "del")
)
LAYOUT = frozenset(
    (token.NEWLINE, token.NL, token.INDENT, token.DEDENT, token.COMMENT, token.ENCODING)
)


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is compared.

    Attributes:
        number: Number of the line in the file.
        text: Tokens, with a space between each two.
        shape: The same with names, strings and numbers replaced.
        acts: Whether it does something.
    """

    number: int
    text: str
    shape: str
    acts: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """Two files that share runs of lines.

    Attributes:
        first: Place of the longest run in the first file, such as ``io/png.py:10-20``.
        second: Place in the other, or the same, file.
        lines: Number of lines of the first file that stand in the second.
        letter: Whether a run is the same to the letter.
    """

    first: str
    second: str
    lines: int
    letter: bool

    @property
    def folders(self) -> set[str]:
        """Folders of the two."""
        return {place.rpartition("/")[0] for place in (self.first, self.second)}


def lines_of(source: str) -> list[Line]:
    """Read the lines of a Python file that are compared."""
    rows: dict[int, list[tokenize.TokenInfo]] = defaultdict(list)
    for statement in _statements(source):
        if statement[0].string not in ("import", "from", "@"):
            for each in statement:
                rows[each.start[0]].append(each)
    return [
        _line(number, row)
        for number, row in sorted(rows.items())
        if any(each.type != token.OP for each in row)
    ]


def _statements(source: str) -> Iterator[list[tokenize.TokenInfo]]:
    """Tokens of each statement but docstrings."""
    statement: list[tokenize.TokenInfo] = []
    for each in tokenize.generate_tokens(io.StringIO(source).readline):
        if each.type not in LAYOUT:
            statement.append(each)
        elif each.type == token.NEWLINE:
            if {part.type for part in statement} != {token.STRING}:
                yield statement
            statement = []


def _line(number: int, row: Sequence[tokenize.TokenInfo]) -> Line:
    words = [each.string for each in row]
    return Line(
        number=number,
        text=" ".join(words),
        shape=" ".join(map(_letter, row)),
        acts=not ACTIONS.isdisjoint(words),
    )


def _letter(each: tokenize.TokenInfo) -> str:
    if each.type == token.NAME:
        return each.string if keyword.iskeyword(each.string) else "x"
    return {token.STRING: "s", token.NUMBER: "0"}.get(each.type, each.string)


def find_pairs(sources: Mapping[str, str]) -> list[Pair]:
    """Find the pairs of files that share runs, those that share most lines first.

    Args:
        sources: Text of each file, by its name.
    """
    runs: dict[tuple[str, ...], list[tuple[str, int]]] = defaultdict(list)
    lines = {name: lines_of(source) for name, source in sorted(sources.items())}
    for name, own in lines.items():
        for k in range(len(own) - RUN + 1):
            run = own[k : k + RUN]
            if sum(line.acts for line in run) >= FEWEST_ACTIONS:
                runs[tuple(line.shape for line in run)].append((name, k))
    shared: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
    for places in runs.values():
        if len(places) <= MOST_PLACES:
            for (one, i), (other, j) in combinations(places, 2):
                if one != other or j >= i + RUN:
                    shared[one, other].append((i, j))
    pairs = [_pair(one, other, at, lines) for (one, other), at in shared.items()]
    return sorted(pairs, key=lambda pair: (-pair.lines, pair.first))


def _pair(
    one: str, other: str, at: Sequence[tuple[int, int]], lines: Mapping[str, Sequence[Line]]
) -> Pair:
    longest, known = (0, 0, 0), set(at)
    for i, j in sorted(at):
        if (i - 1, j - 1) not in known:
            length = next(k for k in range(len(known) + 1) if (i + k, j + k) not in known)
            longest = max(longest, (length + RUN - 1, -i, -j))
    length, i, j = longest[0], -longest[1], -longest[2]
    a, b = lines[one], lines[other]
    return Pair(
        first=f"{one}:{a[i].number}-{a[i + length - 1].number}",
        second=f"{other}:{b[j].number}-{b[j + length - 1].number}",
        lines=len({k for i, _ in at for k in range(i, i + RUN)}),
        letter=any(all(a[i + k].text == b[j + k].text for k in range(RUN)) for i, j in at),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the count, and the pairs that share most."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--most", type=int, default=20, help="pairs to print of each kind")
    parser.add_argument("--source", type=Path, default=ROOT / "src" / "rilievo")
    given = parser.parse_args(arguments)
    files = given.source.rglob("*.py")
    pairs = find_pairs({str(file.relative_to(given.source)): file.read_text() for file in files})
    apart = [pair for pair in pairs if len(pair.folders) > 1]
    letter = sum(pair.letter for pair in pairs)
    print(f"{len(pairs)} pairs, {letter} to the letter; {len(apart)} in different folders")
    for title, each in (("most lines", pairs), ("in different folders", apart)):
        print(f"\n{title}:")
        for pair in each[: given.most]:
            mark = ", letter" if pair.letter else ""
            print(f"  {pair.first} ~ {pair.second} ({pair.lines} lines{mark})")
    return 0


if __name__ == "__main__":
    sys.exit(main())

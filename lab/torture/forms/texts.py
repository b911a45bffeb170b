"""Broken text: lines, words and numbers as no program would write them."""

import re
from random import Random

from lab.torture.forms.mutator import Mutator

NUMBERS = (
    *("nan", "inf", "-inf", "-1", "0", "1e400", "-0.0", "1e-400", "9" * 5000, "1_000"),
    *("0x10", "1,5", "١٢", "4294967296", "18446744073709551616", "1e308", "+", ".", "1e"),
)
WORDS = (
    *("../../outside/canary", "/etc/passwd", "..", ".", "", "\0", "a\0b", "\x1b[31mred\x1b[0m"),
    *("x" * 10000, "\u202eevil", "\x85", "\u2028", "%s%n", "${HOME}", "~root", "a\\b", "\x07"),
    *("*" * 50, "{id}", "{id!r}", "{0.__class__}", "/dev/zero", "con", "é" * 200),
)


def odd_number(good: bytes, chance: Random) -> bytes:
    """One number made one that is none, or out of all range."""
    return _replaced(rb"[-+]?\d[\d.eE+-]*", good, chance, NUMBERS)


def odd_word(good: bytes, chance: Random) -> bytes:
    """One word made a path outside, a control character or something long."""
    return _replaced(rb"[^\s,:=]+", good, chance, WORDS)


def line_ends(good: bytes, chance: Random) -> bytes:
    """Ends of lines as other systems and other centuries write them."""
    return good.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n", b" ", b"", b"\x0b")))


def recoded(good: bytes, chance: Random) -> bytes:
    """Another encoding, with or without a mark of it."""
    text = good.decode("utf-8", "replace")
    codes = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "cp037")
    return text.encode(chance.choice(codes), "replace")


def odd_character(good: bytes, chance: Random) -> bytes:
    """A character that no text has: NUL, an escape, half of a letter, a surrogate."""
    at = chance.randrange(len(good) + 1)
    odd = (b"\0", b"\x1b", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x7f", b"\xe2\x80\xa8", b"\xc2\x85")
    return good[:at] + chance.choice(odd) + good[at:]


def lines_moved(good: bytes, chance: Random) -> bytes:
    """A line taken out, doubled, moved, cut, or joined with the next."""
    lines = good.split(b"\n")
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(to, lines[at])
        case 2:
            lines[at], lines[to] = lines[to], lines[at]
        case 3:
            lines[at] = lines[at][: len(lines[at]) // 2]
        case _:
            lines[at] = lines[at] + b" " + lines[to]
    return b"\n".join(lines)


def long_line(good: bytes, chance: Random) -> bytes:
    """A line, or a run of white space, of a hundred thousand characters."""
    at = chance.randrange(len(good) + 1)
    return good[:at] + chance.choice((b"x", b" ", b"1 ", b"0", b"[", b"#")) * 100_000 + good[at:]


def no_text(good: bytes, chance: Random) -> bytes:
    """Nothing, white space alone, a comment alone, or noise."""
    return chance.choice((b"", b" \n\t\n", b"# nothing\n", chance.randbytes(300), b"\xef\xbb\xbf"))


def toml_twice(good: bytes, chance: Random) -> bytes:
    """A table or key that is there already, or of another type than it is."""
    tables = re.findall(rb"^\[+[\w.]+\]+", good, re.M) or [b"[training]"]
    more = (b"", b"=", b"\nroot = 1979-05-27T07:32:00Z", b"\nepochs = [[[]]]", b"\na.b.c = {}")
    return good + b"\n" + chance.choice(tables) + chance.choice(more) + b"\n"


def toml_deep(good: bytes, chance: Random) -> bytes:
    """Lists in lists, or keys of keys, deeper than a stack."""
    depth = chance.choice((200, 5000, 100_000))
    return good + chance.choice((b"\nx = " + b"[" * depth, b"\n" + b"a." * depth + b"a = 1\n"))


def _replaced(pattern: bytes, good: bytes, chance: Random, odd: tuple[str, ...]) -> bytes:
    found = list(re.finditer(pattern, good))
    if not found:
        return odd_character(good, chance)
    at = chance.choice(found)
    return good[: at.start()] + chance.choice(odd).encode() + good[at.end() :]


ALL: tuple[Mutator, ...] = (
    *(odd_number, odd_number, odd_word, odd_word, line_ends, recoded),
    *(odd_character, lines_moved, lines_moved, long_line, no_text),
)
TOML: tuple[Mutator, ...] = (toml_twice, toml_deep)

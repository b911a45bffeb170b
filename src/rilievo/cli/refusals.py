"""One-line error messages for command lines that tyro rejects."""

import difflib
import re
from collections.abc import Sequence

from rilievo.cli.options_of import OptionFacts
from rilievo.options.removed_options import REMOVED

_FRAME = "│╭╮╰╯ "


def in_one_line(framed: str, options: Sequence[OptionFacts], prog: str) -> str:
    """Rewrite tyro's message in our own words if its kind is known; otherwise keep its text."""
    text = _text_of(framed)
    removed = _removed(text)
    if removed is not None:
        return removed
    for sort in (_unknown, _missing_value, _choice, _wrong_type, _required):
        found = sort(text, options)
        if found is not None:
            text = found
            break
    end = "" if text.endswith("?") else ";"
    return f"{text}{end} '{prog} --help' lists the options"


def in_flags(text: str, options: Sequence[OptionFacts]) -> str:
    """Replace names of fields in a message by the options that set them: --least-motion.

    A name without an underscore or a dot may be a usual word, so it is replaced only where the
    message begins with it and says what it is.
    """
    flags = {}
    for each in options:
        flag = each.flags[-1] if each.flags else ""
        below = ".".join(each.path.split(".")[-2:])
        names = (each.name, below, flag.removeprefix("--").replace("-", "_"))
        flags |= {name: flag for name in names if flag.startswith("--") and name not in flags}

    def flag_of(found: re.Match[str]) -> str:
        return flags.get(found[0], found[0])

    begun = re.sub(r"^[a-z]+(?= (?:is|are|goes) )", flag_of, text)
    return re.sub(r"(?<![\w.'\"/-])[a-z]+(?:[._][a-z]+)+(?![\w'\"/=])", flag_of, begun)


def _text_of(framed: str) -> str:
    """Text below the title, up to the next rule or empty line, for any style of frame."""
    texts = [line.strip(_FRAME) for line in framed.splitlines()[1:]]
    lines: list[str] = []
    for text in texts:
        is_end = set(text) <= {"-", "─"}  # a rule, or empty
        if is_end and lines:
            break
        if not is_end:
            lines.append(text)
    return " ".join(lines) or " ".join(framed.split())


def _removed(text: str) -> str | None:
    word = _first_unknown(text)
    words = REMOVED.get((word or "").strip("-").replace("-", "_"))
    return None if words is None else f"{word} {words}"


def _first_unknown(text: str) -> str | None:
    """First option that is not known, or the first argument if there is none."""
    match = re.match(r"Unrecognized options: (.*)", text)
    if match is None:
        return None
    words = match[1].split(", ")
    return next((each.partition("=")[0] for each in words if each.startswith("-")), words[0])


def _unknown(text: str, options: Sequence[OptionFacts]) -> str | None:
    word = _first_unknown(text)
    if word is None:
        return None
    if not word.startswith("-"):
        return f"one argument too many: '{word}'"
    return f"no option {word}{_near(word, options)}"


def _near(word: str, options: Sequence[OptionFacts]) -> str:
    """End of a message: options whose names are like a word, or whose descriptions have it."""
    bare = word.strip("-").removeprefix("no-").replace("-", "")
    names = {each.flags[-1].strip("-").replace("-", ""): each for each in options if each.flags}
    near = [name for name in names if bare and (name.startswith(bare) or bare.startswith(name))]
    near = near or difflib.get_close_matches(bare, names, n=2, cutoff=0.7)
    if near:
        return f": did you mean {' or '.join(repr(names[name].flags[-1]) for name in near[:2])}?"
    about = re.compile(rf"\b{re.escape(bare)}\b", re.IGNORECASE)
    explained = [each.flags[-1] for each in names.values() if about.search(each.help)]
    return f": see {' and '.join(explained[:2])}" if explained and len(bare) > 2 else ""


def _missing_value(text: str, options: Sequence[OptionFacts]) -> str | None:
    option = _of(re.match(r"Missing value for argument '([^']+)'", text), options)
    if option is None:
        return None
    # An argument has no value where an option that does not exist stands in its place.
    if not option.flags:
        return f"missing: {option.metavar}"
    return f"{option.flags[-1]} is given without {option.metavar}"


def _choice(text: str, options: Sequence[OptionFacts]) -> str | None:
    match = re.match(r"invalid choice '(.*)' for argument '([^']+)'", text)
    option = _of(re.search(r"for argument '([^']+)'", text), options)
    if match is None or option is None:
        return None
    return f"{_label(option)} is {option.takes}, got '{match[1]}'"


def _wrong_type(text: str, options: Sequence[OptionFacts]) -> str | None:
    option = _of(re.match(r"Error parsing (\S+): ", text), options)
    got = re.search(r"(?:\[|: )'(.*?)'(?:[\],]|$)", text)
    if option is None or got is None:
        return None
    return f"{_label(option)} is {option.takes}, got '{got[1]}'"


def _required(text: str, options: Sequence[OptionFacts]) -> str | None:
    if not text.startswith("Missing from"):
        return None
    needed = [each for each in options if each.required]
    missing = [each for each in needed if f"{_name(each)} " in f"{text} "]
    return "missing: " + ", ".join(
        f"{each.flags[-1]} {each.metavar}" if each.flags else each.metavar
        for each in missing or needed
    )


def _name(option: OptionFacts) -> str:
    return option.flags[-1] if option.flags else option.metavar


def _label(option: OptionFacts) -> str:
    return option.flags[-1] if option.flags else option.name.replace("_", " ")


def _of(match: re.Match[str] | None, options: Sequence[OptionFacts]) -> OptionFacts | None:
    if match is None:
        return None
    names = match[1].split("/")
    return next((each for each in options if {_name(each), each.name} & {*names}), None)

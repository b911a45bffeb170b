"""JSON and YAML broken as trees: a value of another type, a key that is missing or there twice."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

from lab.torture.forms import texts
from lab.torture.forms.mutator import Mutator

_SURROGATE = "\ud800"
VALUES: tuple[Any, ...] = (
    *(None, True, False, -1, 0, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, 1e-320),
    *(float("nan"), float("inf"), float("-inf"), "", "x" * 10000, "\n\x1b[31mred", _SURROGATE),
    *("../../outside/canary", "/etc/passwd", "\0", [], {}, [[]], [None], {"": None}, [0] * 1000),
    *("nan", "1", "true", [[[[[0]]]]], {"a": {"b": {"c": []}}}, "\u2028", "os:system", "a:b"),
)


def odd_value(good: bytes, chance: Random) -> bytes:
    """One value, anywhere in the tree, made another of any type."""
    return _edited(good, chance, lambda parent, key: parent.__setitem__(key, chance.choice(VALUES)))


def missing(good: bytes, chance: Random) -> bytes:
    """One value taken out."""
    return _edited(good, chance, lambda parent, key: parent.__delitem__(key))


def swapped(good: bytes, chance: Random) -> bytes:
    """One value in place of another of the same tree."""

    def swap(parent: Any, key: Any) -> None:
        other = chance.choice(places(json.loads(good)))
        parent[key] = other.parent[other.key]

    return _edited(good, chance, swap)


def nudged(good: bytes, chance: Random) -> bytes:
    """One value of the same type: a number made negative or large, a text or list made longer."""

    def nudge(parent: Any, key: Any) -> None:
        old = parent[key]
        if isinstance(old, bool) or old is None:
            parent[key] = not old
        elif isinstance(old, int):
            parent[key] = chance.choice((-old, old + 1, old * 10**6, 0, 2**40, 2**63))
        elif isinstance(old, float):
            parent[key] = chance.choice((-old, old * 1e300, 0.0, 1e-300, old + 0.5))
        elif isinstance(old, str):
            parent[key] = chance.choice((old[:-1], old + "\n", old * 50, old.upper(), "/" + old))
        elif isinstance(old, list):
            parent[key] = chance.choice((old[:-1], old * 3, [*old, None], old[::-1]))
        else:
            parent[key] = {"x" + name: value for name, value in old.items()}

    return _edited(good, chance, nudge)


def renamed(good: bytes, chance: Random) -> bytes:
    """One key under another name, with control characters at times."""

    def rename(parent: Any, key: Any) -> None:
        name = chance.choice(("x", "", "\x1b[2J", str(key) + " ", "a" * 2000, _SURROGATE, "é\n"))
        value = parent[key]
        if isinstance(parent, dict):
            del parent[key]
            parent[name] = value
        else:
            parent[key] = {name: value}

    return _edited(good, chance, rename)


def key_twice(good: bytes, chance: Random) -> bytes:
    """The first key a second time, with another value."""
    text = good.decode("utf-8", "replace")
    brace = text.find("{")
    key = text[brace + 1 : text.find(":", brace)].strip() or '"a"'
    odd = json.dumps(chance.choice(VALUES))
    return f"{text[: brace + 1]}{key}: {odd}, {text[brace + 1 :]}".encode("utf-8", "replace")


def deep(good: bytes, chance: Random) -> bytes:
    """Deeper than a stack, alone or in the place of one value."""
    depth = chance.choice((100, 1000, 20_000, 100_000))
    nested = chance.choice(('{"a":' * depth + "0" + "}" * depth, "[" * depth + "]" * depth))
    nested = chance.choice((nested, nested[: depth * 3]))
    if chance.random() < 0.5:
        return nested.encode()
    marked = _edited(good, chance, lambda parent, key: parent.__setitem__(key, "DEEP"))
    return marked.replace(b'"DEEP"', nested.encode())


def yaml_tag(good: bytes, chance: Random) -> bytes:
    """Tags by which other loaders make objects and run programs."""
    marker = os.environ["TORTURE_MARKER"]
    tags = (
        f'!!python/object/apply:os.system ["touch {marker}"]',
        f'!!python/object/apply:builtins.open ["{marker}", "w"]',
        "!!python/name:os.system",
        "!!python/module:os",
        "!!binary gICA",
        "!!set {a, b}",
        "!!timestamp 2001-12-14",
        "2001-12-14t21:59:43.10-05:00",
        "!!float nan",
        "!unknown x",
        "190:20:30",
        "0o17",
        "? [a, b]\n: c",
    )
    text = texts.lines_moved(good, chance) if chance.random() < 0.3 else good
    return text + f"\nextra: {chance.choice(tags)}\n".encode()


def yaml_laughs(good: bytes, chance: Random) -> bytes:
    """Anchors of anchors: a few lines that unfold to billions of values."""
    lines = ['a: &a ["lol","lol","lol","lol","lol","lol","lol","lol","lol"]']
    for one, other in zip("abcdefgh", "bcdefghi", strict=True):
        lines.append(f"{other}: &{other} [{','.join([f'*{one}'] * 9)}]")
    return "\n".join([*lines, "image: *i", "splits: *i", "depth: *i"]).encode()


def yaml_circle(good: bytes, chance: Random) -> bytes:
    """A value that holds itself."""
    key = chance.choice(("depth", "splits", "camera", "x", "probes", "backbones"))
    return f"{key}: &loop\n  file: *loop\n  {key}: [*loop]\n".encode()


def yaml_odd(good: bytes, chance: Random) -> bytes:
    """Rarely used features of YAML: several documents, keys of any type, tabs, deep flows."""
    odd = (
        b"---\na: 1\n---\nb: 2\n",
        b"1: 2\nnull: 3\ntrue: 4\n[a]: 5\n",
        b"\tdepth: 1\n",
        b"[" * chance.choice((500, 3000, 20000)),
        b"- " * 3000 + b"a\n",
        b"just a text\n",
        b"depth: {1: 2}\ncamera: {2001-01-01: 2}\n",
        b"%YAML 9.9\n---\na: 1\n",
        b"<<: 5\n",
        b"<<: [{depth: x}]\nsplits: {[1,2]: a}\n",
    )
    return chance.choice((good + b"\n", b"")) + chance.choice(odd)


def _edited(good: bytes, chance: Random, edit: Callable[[Any, Any], None]) -> bytes:
    try:
        tree = json.loads(good)
    except (ValueError, RecursionError):
        return texts.odd_word(good, chance)
    found = places(tree)
    if found:
        place = chance.choice(found)
        edit(place.parent, place.key)
    try:
        return json.dumps(tree).encode()
    except (RecursionError, ValueError):
        return good


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One value of a tree: what holds it, and under which key or index."""

    parent: Any
    key: Any


def places(tree: Any) -> list[Place]:
    """Every value of a tree."""
    found: list[Place] = []
    todo = [tree]
    while todo:
        parent = todo.pop()
        if isinstance(parent, dict):
            keys: list[Any] = list(parent)
        else:
            keys = list(range(len(parent))) if isinstance(parent, list) else []
        for key in keys:
            found.append(Place(parent=parent, key=key))
            todo.append(parent[key])
    return found


ALL: tuple[Mutator, ...] = (
    *(odd_value, odd_value, odd_value, missing, swapped, nudged, nudged),
    *(renamed, key_twice, deep),
)
YAML: tuple[Mutator, ...] = (yaml_tag, yaml_tag, yaml_laughs, yaml_circle, yaml_odd, yaml_odd)

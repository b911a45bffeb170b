"""Count the functions and modules that one value passes on its way through the package.

Usage: python tools/walks.py [--list] [--fields] [NAME ...]

- *stay*: a function that holds the value: as an argument, or out of a record's field, a container
  or a closure; or that hands a record with the value on to another stay. A function that gets such
  a record and never comes to the value is none.
- *room*: a module with a stay.
- *climb*: a call of a stay in another module that was passed before, made when the stay is entered
  for the first time.

Stays are entered in the order in which their first calls stand in the source, from the function
that begins the walk. ``value_flow.py`` says how a value is followed, and where the way ends. Each
walk is counted twice: of the value as it is, and with its fields, those of a record of options or a
configuration, wherever they go. ``--list`` prints the rooms and stays of the value as it is, with
``--fields`` those with its fields, in the order of the walk, and the climbs.
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from import_graph import Module, read_modules
from value_flow import Flow, Function

ROOT = Path(__file__).resolve().parents[1]
WALKS = {
    "evaluate's options": ("rilievo.evaluation.evaluation_run:evaluate", "options"),
    "train video's config": ("rilievo.training.video.video_run:train_video", "config"),
    "a clip's options": ("rilievo.predicting.videos.clip:predict_clip", "options"),
    "predict's options": ("rilievo.predicting.photographs.images:predict", "options"),
    "predict's image": ("rilievo.predicting.photographs.images:predict", "image"),
}
"""Function that begins a walk, and its parameter."""


@dataclass(frozen=True, slots=True)
class Walk:
    """Way of a value.

    Attributes:
        stays: Functions, in the order in which they are entered.
        climbs: Caller and callee of each climb.
    """

    stays: tuple[Function, ...]
    climbs: tuple[tuple[Function, Function], ...]

    @property
    def rooms(self) -> dict[str, list[Function]]:
        """Stays by module, in the order in which modules are entered."""
        rooms: dict[str, list[Function]] = {}
        for stay in self.stays:
            rooms.setdefault(stay.module.name, []).append(stay)
        return rooms


def walk(
    modules: Mapping[str, Module], function: str, parameter: str, *, fields: bool = False
) -> Walk:
    """Follow the value of a parameter, such as ``options`` of ``package.module:function``.

    Args:
        modules: Modules of the package.
        function: Function that begins the walk.
        parameter: Name of the parameter.
        fields: Whether fields that are read from the value count as the value.
    """
    flow = Flow(modules, fields=fields)
    start = flow.function(function)
    flow.follow(start, parameter)
    calls = {caller: _in_order(places) for caller, places in flow.calls.items()}
    stays = _stays(flow, calls)
    entered, climbs = {start: None}, []
    rooms = {start.module.name}
    waiting = [(start, iter(calls[start]))]
    while waiting:
        caller, callees = waiting[-1]
        callee = next((one for one in callees if one in stays and one not in entered), None)
        if callee is None:
            waiting.pop()
            continue
        if callee.module.name in rooms - {caller.module.name}:
            climbs.append((caller, callee))
        entered[callee] = None
        rooms.add(callee.module.name)
        waiting.append((callee, iter(calls[callee])))
    return Walk(tuple(entered), tuple(climbs))


def _in_order(places: Mapping[tuple[int, int], Mapping[Function, None]]) -> list[Function]:
    return [callee for place in sorted(places) for callee in sorted(places[place], key=str)]


def _stays(flow: Flow, calls: Mapping[Function, Sequence[Function]]) -> set[Function]:
    """Functions that come to the value, and those that call them with what holds it."""
    callers: dict[Function, set[Function]] = {}
    for caller, callees in calls.items():
        for callee in callees:
            callers.setdefault(callee, set()).add(caller)
    stays, waiting = set(flow.touching), [*flow.touching]
    while waiting:
        new = callers.get(waiting.pop(), set()) - stays
        stays |= new
        waiting += new
    return stays


def table(walks: Mapping[str, Sequence[Walk]]) -> str:
    """Counts of walks, with those of their fields beside them."""
    heads = ("stays", "rooms", "climbs")
    lines = [f"{'':24}{'value':>8}{'':16}{'with its fields':>19}"]
    lines.append(f"{'':24}{''.join(f'{head:>8}' for head in (*heads, *heads))}")
    for name, pair in walks.items():
        counts = [n for one in pair for n in (len(one.stays), len(one.rooms), len(one.climbs))]
        lines.append(f"{name:24}{''.join(f'{count:8}' for count in counts)}")
    return "\n".join(lines)


def listing(name: str, way: Walk) -> str:
    """Rooms with their stays, then climbs."""
    lines = [f"{name}: rooms"]
    for number, (room, stays) in enumerate(way.rooms.items(), start=1):
        names = ", ".join(str(stay).partition(":")[2] for stay in stays)
        lines.append(f"{number:4} {room}: {names}")
    lines.append(f"{name}: climbs")
    lines += [f"     {caller} -> {callee}" for caller, callee in way.climbs]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the counts of walks, or the stays of each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(WALKS)}; or all")
    parser.add_argument("--list", action="store_true", help="name rooms, stays and climbs")
    parser.add_argument("--fields", action="store_true", help="of the value with its fields")
    options = parser.parse_args(arguments)
    names = options.names or [*WALKS]
    if unknown := {*names} - {*WALKS}:
        parser.error(f"no walk {', '.join(sorted(unknown))}")
    modules = read_modules(ROOT / "src" / "rilievo")
    if options.list:
        ways = {name: walk(modules, *WALKS[name], fields=options.fields) for name in names}
        print("\n\n".join(listing(name, way) for name, way in ways.items()))
    else:
        pairs = {
            name: [walk(modules, *WALKS[name], fields=fields) for fields in (False, True)]
            for name in names
        }
        print(table(pairs))
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Warnings about classes: names that may mean one class, and splits without some of them."""

import collections
from collections.abc import Mapping

from afsd_jax.data.tasks import Plan
from afsd_jax.io.names import composed, first_names

_MOST_NAMES = 8  # in a line
_SHORTEST = 4  # characters of a name that may be a misspelling
_RARER = 3  # times: how much rarer a misspelling is than the name that was meant


def warn_of_classes(plan: Plan) -> list[str]:
    """Returns lines about classes that hardly differ, look misspelt, or lack actions in a split."""
    counts: collections.Counter[str] = collections.Counter()
    places: dict[str, str] = {}
    for task in plan.tasks:
        for action in task.actions:
            counts[action.label] += 1
            places.setdefault(action.label, action.place or f"the video {task.name!r}")
    return [*_alike(counts, places), *_misspelt(counts, places), *_absent(plan)]


def _alike(counts: Mapping[str, int], places: Mapping[str, str]) -> list[str]:
    alike: dict[str, list[str]] = collections.defaultdict(list)
    for name in sorted(counts):
        alike[_plain(name)].append(name)
    return [
        f"{_listed(names)} are {len(names)} classes, which differ in case, blanks or composed "
        f"characters only; {_where(min(names, key=lambda name: counts[name]), counts, places)}"
        for names in alike.values()
        if len(names) > 1
    ]


def _misspelt(counts: Mapping[str, int], places: Mapping[str, str]) -> list[str]:
    lines = []
    for name, count in sorted(counts.items()):
        meant = [
            other
            for other, number in counts.items()
            if number >= _RARER * count and differ_in_one_letter(_plain(name), _plain(other))
        ]
        if meant:
            other = max(meant, key=lambda label: counts[label])
            known = f"{other!r} ({_actions(counts[other])})"
            lines.append(
                f"is {name!r} ({_actions(count)}) a misspelt {known}? They are two classes now; "
                f"{_where(name, counts, places)}"
            )
    return lines


def differ_in_one_letter(first: str, second: str) -> bool:
    """Returns whether a letter is missing, added, exchanged or in its neighbour's place.

    Names of fewer than `_SHORTEST` characters, and digits, say too little.

    Example:
      >>> differ_in_one_letter("hugg", "hug"), differ_in_one_letter("step1", "step2")
      (True, False)
    """
    if first == second or max(len(first), len(second)) < _SHORTEST:
        return False
    start = next(
        (i for i, pair in enumerate(zip(first, second, strict=False)) if pair[0] != pair[1]),
        min(len(first), len(second)),
    )
    one, two = first[start:], second[start:]
    while one and two and one[-1] == two[-1]:
        one, two = one[:-1], two[:-1]
    if any(character.isdigit() for character in one + two):
        return False
    return max(len(one), len(two)) == 1 or (len(one) == 2 and one == two[::-1])


def _absent(plan: Plan) -> list[str]:
    lines = []
    for split in ("train", "test"):
        tasks = [task for task in plan.tasks if task.split == split]
        labels = {action.label for task in tasks for action in task.actions}
        absent = [name for name in plan.class_names if name not in labels]
        if tasks and absent:
            lines.append(
                f"the split {split} has no action of {_listed(absent)}; a column subset in the "
                "annotations chooses the split of each video"
            )
    return lines


def _plain(name: str) -> str:
    return "".join(composed(name).casefold().split())


def _where(name: str, counts: Mapping[str, int], places: Mapping[str, str]) -> str:
    first = "is" if counts[name] == 1 else f"is {counts[name]} times, first"
    return f"{name!r} {first} in {places[name]}"


def _actions(count: int) -> str:
    return f"{count} action" + "s" * (count != 1)


def _listed(names: list[str]) -> str:
    return first_names(list(map(repr, names)), _MOST_NAMES)

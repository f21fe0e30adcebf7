"""Several sources as one: weights, dialogues by their prefixes, draws that keep their weights, batches without loss."""

from __future__ import annotations

import random
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter, ValidationError

from model.interface import Record
from model.training.data import labels
from model.training.data.counts import Counts
from model.training.data.item import DataError, Item
from model.training.voices import steady_seed

T = TypeVar("T")


class Source(Record):
    """One line of a mix: ``weight`` 2 is every sample twice, 0.5 a random half, 2.5 twice and a half."""

    path: Path
    weight: float = 1.0
    form: str = "auto"


def read_mix(path: Path) -> dict[str, Source]:
    """The mix YAML: name -> path (below the file's folder), weight, form. Raises DataError."""
    try:
        found = TypeAdapter(dict[str, Source]).validate_python(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, ValidationError) as error:
        what = str(error).strip().splitlines()[0]
        raise DataError(
            f"{path} is no mix ({what}).", "Write NAME: {path: ..., weight: ...} for each source."
        ) from error
    for name, source in found.items():
        if not 0 < source.weight <= 1000:
            raise DataError(f"The weight of {name} is {source.weight:g}.", "Give a number above 0, at most 1000.")
    return {name: s.model_copy(update={"path": path.parent / s.path}) for name, s in found.items()}


def mixed(path: Path, read: Callable[[Path, str], Iterable[Item]], seed: int = 0) -> Iterator[Item]:
    """All samples of a mix by weight, shuffled. Samples that come again are called ``KEY+2``, ``KEY+3`` ..."""
    found: list[Item] = []
    for name, source in read_mix(path).items():
        found += weighted(list(read(source.path, source.form)), source.weight, steady_seed(seed, name))
    random.Random(steady_seed(seed, "mix")).shuffle(found)
    return iter(found)


def weighted(items: Sequence[Item], weight: float, seed: int) -> list[Item]:
    """``items`` as often as ``weight`` says; the fraction is a random share, at least one sample."""
    whole = int(weight)
    rest = round((weight - whole) * len(items))
    if weight < 1 and items:
        rest = max(rest, 1)  # a small source is not weighted away
    share = sorted(random.Random(seed).sample(range(len(items)), rest))
    rounds = [items] * whole + [[items[n] for n in share]]
    return [_again(item, number) for number, one in enumerate(rounds, 1) for item in one]


def _again(item: Item, number: int) -> Item:
    return item if number == 1 else item.model_copy(update={"key": f"{item.key}+{number}"})


def expanded(items: Iterable[Item], counts: Counts) -> Iterator[Item]:
    """Every exchange of a dialogue as a sample with what went before: n exchanges give n samples.

    Earlier ones are called ``KEY.1``, ``KEY.2`` ... An exchange without an answer teaches nothing and is no sample;
    a hole ends the history there: what follows it is kept, and noted (upstream throws the whole history away).
    """
    for item in items:
        for number, one in enumerate(item.history, 1):
            if one.agent.is_empty:
                if not one.is_hole:
                    counts.note("exchange without an answer is no sample", f"{item.key}.{number}")
                continue
            history = item.history[: number - 1]
            task = labels.task_of(one.user, one.agent, bool(history))
            update = {"user": one.user, "agent": one.agent, "history": history, "task": task, "kept": {}}
            yield without_holes(item.model_copy(update=update | {"key": f"{item.key}.{number}"}), counts)
        if item.agent.is_empty:
            counts.lose("exchange without an answer is no sample", item.key)
        else:
            yield without_holes(item, counts)


def without_holes(item: Item, counts: Counts) -> Item:
    """The item with the unbroken end of its history, and the task that goes with it."""
    holes = [number for number, one in enumerate(item.history) if one.is_hole]
    history = item.history[holes[-1] + 1 :] if holes else item.history
    if holes:
        counts.note("history begins after a hole", item.key, f"{len(history)} of {len(item.history)} exchanges")
    item = item.model_copy(update={"history": history})
    return item.model_copy(update={"task": labels.for_history(item)})


def drawn(streams: Mapping[str, Iterable[T]], weights: Mapping[str, float], seed: int) -> Iterator[tuple[str, T]]:
    """Draw from streams by weight until all are empty: the draw of a step depends on seed and step alone.

    A stream that has ended takes its weight with it; upstream leaves the weights where they were.
    """
    left = {name: iter(stream) for name, stream in streams.items()}
    step = 0
    while left:
        names = sorted(left)
        name = random.Random(steady_seed(seed, step)).choices(names, [weights[n] for n in names])[0]
        try:
            yield name, next(left[name])
        except StopIteration:
            del left[name]
        step += 1


def batches(
    items: Iterable[T], kind: Callable[[T], Hashable], length: Callable[[T], int], budget: int
) -> Iterator[list[T]]:
    """Batches of one kind whose padded length stays within ``budget``; what is left at the end comes, too.

    A sample longer than the budget is a batch of its own.
    """
    open_: dict[Hashable, list[T]] = {}
    longest: dict[Hashable, int] = {}
    for item in items:
        which, size = kind(item), length(item)
        batch = open_.setdefault(which, [])
        widest = max(longest.get(which, 0), size)
        if batch and widest * (len(batch) + 1) > budget:
            yield batch
            batch = open_[which] = []
            widest = size
        batch.append(item)
        longest[which] = widest
    yield from (batch for batch in open_.values() if batch)

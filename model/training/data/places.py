"""Walks over the sounds of an item: wherever a path is to be resolved, written elsewhere or looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from model.training.data.item import Agent, Exchange, Item, Sound, User
from model.training.data.sounds import resolved

Place = Callable[[Sound, str], Sound]


def each_sound(item: Item, place: Place, answer: Place | None = None) -> Item:
    """The item with every sound as ``place(sound, name)`` says; replies' sounds as ``answer`` says, if given.

    Names are ``KEY`` for the user's first clip, ``KEY_2`` for his second, ``KEY_h1`` in the first exchange of the
    history, with ``_reply`` for the agent's.
    """

    def exchange(one: Exchange, name: str) -> Exchange:
        clips = tuple(
            place(clip, f"{name}_{number}" if number > 1 else name) for number, clip in enumerate(one.user.clips, 1)
        )
        user: User = one.user.model_copy(update={"clips": clips}) if clips else one.user
        agent: Agent = one.agent
        if agent.audio is not None:
            agent = agent.model_copy(update={"audio": (answer or place)(agent.audio, f"{name}_reply")})
        return Exchange(user=user, agent=agent)

    last = exchange(item.exchanges[-1], item.key)
    history = tuple(exchange(one, f"{item.key}_h{number}") for number, one in enumerate(item.history, 1))
    return item.model_copy(update={"user": last.user, "agent": last.agent, "history": history})


def resolve(item: Item, folder: Path) -> Item:
    """The item with real paths; relative ones lie below ``folder`` if they are there."""
    return each_sound(item, lambda sound, _name: resolved(sound, folder))


def sounds_of(item: Item) -> Iterator[Sound]:
    """Every sound of an item, the replies' too."""
    for exchange in item.exchanges:
        yield from exchange.user.clips
        if exchange.agent.audio is not None:
            yield exchange.agent.audio

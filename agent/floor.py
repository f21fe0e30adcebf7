"""Who holds the floor: one transition table, walked by four happenings.

Pure. It does not know how speech is found or when the agent should speak; it only says what follows from what,
and refuses what cannot follow.
"""

from __future__ import annotations

from enum import StrEnum

from model.interface import PoiseError
from policies.situation import Floor


class FloorError(PoiseError):
    """A happening that cannot follow from the present floor; a fault in the house, not of the user."""

    code = "floor_transition"


class Happening(StrEnum):
    """What can happen to the floor."""

    USER_ON = "user_on"  # the user takes it, alone or over the agent
    USER_OFF = "user_off"  # the user's turn is over
    AGENT_ON = "agent_on"  # a reply begins
    AGENT_OFF = "agent_off"  # a reply has ended or was cut


TRANSITIONS: dict[tuple[Floor, Happening], Floor] = {
    (Floor.NOBODY, Happening.USER_ON): Floor.USER,
    (Floor.NOBODY, Happening.AGENT_ON): Floor.AGENT,
    (Floor.USER, Happening.USER_OFF): Floor.NOBODY,
    (Floor.USER, Happening.AGENT_ON): Floor.BOTH,
    (Floor.AGENT, Happening.USER_ON): Floor.BOTH,
    (Floor.AGENT, Happening.AGENT_OFF): Floor.NOBODY,
    (Floor.BOTH, Happening.USER_OFF): Floor.AGENT,
    (Floor.BOTH, Happening.AGENT_OFF): Floor.USER,
}


def after(floor: Floor, happening: Happening) -> Floor:
    """The floor that follows. Raises FloorError where nothing can."""
    try:
        return TRANSITIONS[floor, happening]
    except KeyError:
        raise FloorError(
            f"{happening.value!r} cannot happen while the floor is held by {floor.value!r}.",
            "This is a fault in Poise; please report it with the session's trace.",
        ) from None

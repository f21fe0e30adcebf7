"""Every floor, every happening."""

import itertools

import pytest

from agent.floor import TRANSITIONS, FloorError, Happening, after
from policies.situation import Floor


@pytest.mark.parametrize(("floor", "happening"), list(itertools.product(Floor, Happening)))
def test_each_pair_leads_somewhere_or_names_both(floor: Floor, happening: Happening):
    if (floor, happening) in TRANSITIONS:
        assert after(floor, happening) in Floor
        return
    with pytest.raises(FloorError) as caught:
        after(floor, happening)
    assert floor.value in caught.value.wrong
    assert happening.value in caught.value.wrong
    assert caught.value.mend


@pytest.mark.parametrize("floor", list(Floor))
def test_what_was_turned_on_can_be_turned_off(floor: Floor):
    for on, off in ((Happening.USER_ON, Happening.USER_OFF), (Happening.AGENT_ON, Happening.AGENT_OFF)):
        if (floor, on) in TRANSITIONS:
            assert after(after(floor, on), off) == floor

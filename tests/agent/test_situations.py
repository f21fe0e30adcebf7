import pytest

from agent.situations import Watch, build, watch
from policies.situation import Floor
from tests.policies.situations import PLAIN, percept


def follow(*words):
    """Situations over chunks in which these transcripts were heard."""
    seen, found = Watch(), []
    for n, heard in enumerate(words):
        spoken = 0.0 if heard is None else 0.16 * (n + 1)
        one = percept(heard or "", spoken_s=spoken)
        time = 5.0 + 0.16 * (n + 1)
        seen = watch(seen, one, time)
        found.append(build(one, PLAIN, seen, time, floor=Floor.USER))
    return found


def test_the_turn_begins_with_speech():
    assert [s.turn_s for s in follow(None, None, "", "a")] == pytest.approx([0, 0, 0.16, 0.32])


def test_words_that_do_not_grow_are_still():
    assert [s.still_s for s in follow("a", "a", "a", "a b", "a b")] == pytest.approx([0, 0.16, 0.32, 0, 0.16])


def test_a_new_turn_starts_anew():
    assert [s.turn_s for s in follow("a", "a b", None, "c")] == pytest.approx([0.16, 0.32, 0, 0.16])

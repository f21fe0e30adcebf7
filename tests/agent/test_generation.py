"""The counter that cancels."""

from agent.generation import Generation


def test_it_only_grows_and_makes_the_old_stale():
    generation = Generation()
    first = generation.advance()
    assert generation.is_current(first)
    second = generation.advance()
    assert second == generation.number > first
    assert not generation.is_current(first)

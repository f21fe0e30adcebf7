"""Words are told when the sound has reached them, each once, and none is lost."""

from hypothesis import given
from hypothesis import strategies as st

from model.serving.words import WordClock

RATE = 16_000


def test_words_come_with_the_sound():
    clock = WordClock(RATE, letters_per_s=10.0)
    assert clock.reach("one two th", False, RATE // 2, False) == [("one", 6400)]
    assert clock.reach("one two three", True, RATE, False) == [("two", 12800)]
    assert clock.reach("one two three", True, 2 * RATE, True) == [("three", 2 * RATE)]


def test_what_is_left_is_spread_over_what_is_left():
    clock = WordClock(RATE, letters_per_s=1.0)
    assert clock.reach("aa bb cc", True, 9000, True) == [("aa", 3000), ("bb", 6000), ("cc", 9000)]


def test_a_word_that_may_still_grow_waits():
    clock = WordClock(RATE, letters_per_s=1000.0)
    assert clock.reach("won", False, RATE, False) == []
    assert [word for word, _ in clock.reach("wonder ful", False, RATE, False)] == ["wonder"]


@given(
    st.lists(st.text("abc", min_size=1, max_size=9), max_size=12),
    st.lists(st.tuples(st.integers(0, 80), st.integers(0, 30_000)), max_size=8),
    st.integers(0, 30_000),
)
def test_every_word_is_told_once_in_order(words, steps, rest):
    text = " ".join(words)
    clock, told, samples = WordClock(RATE), [], 0
    for letters, more in steps:
        samples += more
        told += clock.reach(text[:letters], letters >= len(text), samples, False)
    told += clock.reach(text, True, samples + rest, True)
    assert [word for word, _ in told] == words
    ends = [end for _, end in told]
    assert ends == sorted(ends)
    assert all(0 <= end <= samples + rest for end in ends)

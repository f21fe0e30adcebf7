import pytest

from policies import cues


def test_words_are_as_a_recogniser_gives_them():
    assert cues.words("Well, don’t—STOP 2 it!") == ["well", "don't", "stop", "it"]


@pytest.mark.parametrize(
    ("heard", "expected"),
    [("mhm", True), ("oh i see", True), ("yeah right", True), ("stop", False), ("", False), ("yeah but wait", False)],
)
def test_back_channels(heard, expected):
    assert cues.is_back_channel(heard.split()) is expected


@pytest.mark.parametrize(
    ("heard", "expected"), [("i went and", True), ("i went home", False), ("so um", True), ("", False)]
)
def test_unfinished_endings(heard, expected):
    assert cues.is_unfinished(heard.split()) is expected


@pytest.mark.parametrize(("heard", "expected"), [("so could you lend me ten", True), ("i like it", False)])
def test_questions(heard, expected):
    assert cues.is_question(heard.split()) is expected


def test_nearest_boundary_is_found_across_word_forms():
    found, share = cues.nearest_boundary(("never lends money", "no gossip"), ["lending", "me", "some", "money"])
    assert (found, share) == ("never lends money", 1.0)


def test_no_boundary_is_near():
    assert cues.nearest_boundary(("never lends money",), ["hello"]) == ("", 0.0)

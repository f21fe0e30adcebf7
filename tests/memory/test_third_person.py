"""From "I" to "the user" and back."""

import pytest

from memory.third_person import about_the_user, as_told


@pytest.mark.parametrize(
    ("told", "put"),
    [
        ("i've got two cats", "The user has two cats."),
        ("i never drink coffee", "The user never drinks coffee."),
        ("i try to swim", "The user tries to swim."),
        ("i went to cork with my wife", "The user went to cork with the user's wife."),
        ("my wife and i moved on friday", "The user's wife and the user moved on Friday."),
        ("we live in a flat", "The user and others live in a flat."),
        ("i'd like to travel", "The user would like to travel."),
        ("he gave it to me", "He gave it to the user."),
        ("", ""),
    ],
)
def test_about_the_user(told: str, put: str):
    assert about_the_user(told) == put


def test_as_told():
    assert as_told("The user's dog likes the user.") == "my dog likes I."

import pytest

from policies.safety import crisis


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("i think i want to die", "self-harm"),
        ("Honestly, everyone would be better off without me.", "self-harm"),
        ("he hit me again last night", "abuse"),
        ("grandpa is on the floor and he's not breathing", "danger"),
        ("she swallowed a small round battery", "danger"),
        ("i could kill for a coffee", None),
        ("the show was to die for", None),
        ("", None),
    ],
)
def test_kind_of_crisis(words, kind):
    assert crisis(words) == kind

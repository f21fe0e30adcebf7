import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import persona
from policies.persona import PersonaError


@pytest.mark.parametrize("name", persona.names())
def test_every_persona_that_comes_along_loads(name):
    one = persona.load(name)
    assert one.stance
    assert one.boundaries


def test_case_of_the_name_does_not_matter():
    assert persona.load("MAREN") == persona.load("maren")


def test_a_path_is_loaded(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("name: Own\nstance: mine\npatience: low\nboundaries: [never sings]\n")
    assert persona.load(path).boundaries == ("never sings",)


def test_unknown_name_offers_the_nearest():
    with pytest.raises(PersonaError) as caught:
        persona.load("marne")
    assert "'marne'" in caught.value.wrong
    assert "'maren'" in caught.value.mend
    assert "sol" in caught.value.mend


@pytest.mark.parametrize(
    ("content", "wrong", "mend"),
    [
        ("name: A\nstance: b\npatience: lots\n", "'patience' cannot be 'lots'", "low, medium, high"),
        ("name: A\nstance: b\nboundarys: []\n", "'boundarys'", "'boundaries'"),
        ("name: A\n", "'stance' is missing", "text"),
        ("name: A\nstance: ''\n", "'stance' is empty", "text"),
        ("name: A\nstance: b\nboundaries: none\n", "'boundaries'", "list"),
        ("name: A\nstance: b\nopens_after_s: -3\n", "'opens_after_s' is -3", "seconds"),
        ("name: A\nstance: b\nrelationship: [1]\n", "'relationship'", "stranger"),
        ("name: [unclosed\n", "not valid YAML", "maren.yaml"),
        ("just words\n", "fields of a persona", "name"),
    ],
)
def test_a_wrong_field_is_named_with_what_is_allowed(tmp_path, content, wrong, mend):
    path = tmp_path / "bad.yaml"
    path.write_text(content)
    with pytest.raises(PersonaError) as caught:
        persona.load(path)
    assert wrong in caught.value.wrong
    assert mend in caught.value.mend


def test_a_missing_file_says_so(tmp_path):
    with pytest.raises(PersonaError, match="cannot be read"):
        persona.load(tmp_path / "nobody.yaml")


def test_a_huge_file_is_refused(tmp_path):
    path = tmp_path / "huge.yaml"
    path.write_text("x" * 200_000)
    with pytest.raises(PersonaError, match="larger"):
        persona.load(path)


@given(st.text(max_size=300))
def test_any_text_gives_a_persona_or_a_persona_error(text):
    with contextlib.suppress(PersonaError):
        persona.parse(text, "fuzz")

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from model.interface import Said
from policies import persona
from policies.judge import features
from tests.policies.situations import situation


@given(st.text(max_size=80), st.floats(0, 1e6), st.floats(0, 1e6), st.floats(-300, 10))
def test_any_situation_gives_a_row_of_modest_numbers(words, pause, spoken, level):
    row = features.vector(situation(words, pause, spoken_s=spoken, level_db=level))
    assert row.shape == (features.SIZE,)
    assert np.isfinite(row).all()
    assert np.abs(row).max() < 12


def test_context_names_persona_memory_and_the_last_turns_first():
    one = situation(
        "hi", persona=persona.load("maren"), memory=("owes ten",), history=(Said(who="user", text="Hello"),)
    )
    text = features.context_text(one)
    assert text == text.lower()
    assert text.index("never lends money") < text.index("owes ten") < text.index("user said: hello")


def test_an_agent_cut_off_reads_like_one_that_speaks():
    speaking = situation("no", agent_says="on monday")
    cut = situation("no", history=(Said(who="agent", text="on monday", cut=True),))
    assert features.agent_line(speaking) == features.agent_line(cut) == "on monday"


def test_states_of_another_shape_are_unknown():
    assert features.states(situation("a", states=np.zeros((3, 8), np.float16))) is None
    assert features.states(situation("a", states=np.zeros((3, 256), np.float16))).dtype == np.float32

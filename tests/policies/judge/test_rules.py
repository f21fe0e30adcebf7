import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.judge import rules
from policies.situation import ACTIONS, Persona
from tests.policies.situations import PLAIN, situation

JUDGE = rules.load()
LENDER = Persona(name="L", stance="strict", boundaries=("never lends money", "steers away from politics"))


def best(*about, **other):
    """The action the rules like best."""
    p = JUDGE.judge(situation(*about, **other)).p
    return max(p, key=lambda a: p[a])


@pytest.mark.parametrize(
    ("words", "pause", "expected"),
    [
        ("what time is it in lisbon", 0.96, "respond"),
        ("what time is it in lisbon", 0.16, "silence"),
        ("i went to the shop and", 1.12, "silence"),
        ("so um", 1.12, "silence"),
        ("give me a moment", 1.6, "silence"),
        ("i went to the shop this morning", 1.6, "respond"),
        ("he swallowed a battery just now", 0.0, "interrupt"),
    ],
)
def test_pauses_and_endings(words, pause, expected):
    assert best(words, pause) == expected


def test_a_boundary_asked_for_is_refused_or_steered_away_from():
    assert best("could you lend me some money", 1.2, LENDER) == "refuse"
    assert best("what about politics then", 1.2, LENDER) == "deflect"


def test_speech_to_somebody_else_is_not_answered():
    assert best("could you pass me that please", 1.6, facing=0.1) == "silence"


def test_a_listeners_noise_is_not_answered():
    assert best("mhm", 1.6, agent_says="so as i said") == "silence"


def test_evidence_names_the_cue():
    found = JUDGE.judge(situation("could you lend me some money", 1.2, LENDER)).evidence
    assert any("never lends money" in line for line in found)


@given(st.text(alphabet="abc stopandlend", max_size=60), st.floats(0, 5), st.sampled_from([PLAIN, LENDER]))
def test_probabilities_sum_to_one(words, pause, persona):
    p = JUDGE.judge(situation(words, pause, persona)).p
    assert set(p) == set(ACTIONS)
    assert sum(p.values()) == pytest.approx(1.0)
    assert min(p.values()) >= 0

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.interface import EVENTS
from policies import persona
from policies.judge import rules, timeout
from policies.policy import decide
from policies.situation import ACTIONS, Floor, PolicyState
from tests.policies.situations import PLAIN, judgement, percept, situation, stream

START = PolicyState()
TALK = "so i was at the market this morning"


def run(judge, situations, state=START):
    """All decisions over a stream of situations."""
    decisions = []
    for one in situations:
        decision, state = decide(judge.judge(one), one, state)
        decisions.append(decision)
    return decisions


def taken(decisions):
    """Actions that took the floor, in order."""
    return [d.action for d in decisions if d.move == "take_floor"]


def test_a_finished_turn_is_answered():
    decision, _ = decide(judgement(respond=0.9), situation(TALK, 0.64), START)
    assert (decision.action, decision.move) == ("respond", "take_floor")
    assert "yielded" in decision.reasons[0]


@pytest.mark.parametrize("action", ["refuse", "deflect"])
def test_refusing_and_deflecting_take_the_floor(action):
    decision, _ = decide(judgement(**{action: 0.9}), situation(TALK, 0.64), START)
    assert (decision.action, decision.move) == (action, "take_floor")


def test_nobody_is_answered_while_speaking():
    decision, _ = decide(judgement(respond=0.99), situation(TALK), START)
    assert (decision.action, decision.move) == ("silence", "listen")
    assert "pause of 0.30 s" in decision.flip


def test_interrupting_needs_no_pause_but_words():
    assert decide(judgement(interrupt=0.9), situation(TALK), START)[0].action == "interrupt"
    assert decide(judgement(interrupt=0.9), situation("so i"), START)[0].action == "silence"


def test_a_longer_pause_needs_less_certainty():
    early, _ = decide(judgement(respond=0.55), situation(TALK, 0.32), START)
    late, _ = decide(judgement(respond=0.55), situation(TALK, 1.28), START)
    assert (early.action, late.action) == ("silence", "respond")
    assert "longer pause" in early.flip


def test_patience_moves_the_threshold():
    hasty, calm = PLAIN.model_copy(update={"patience": "low"}), PLAIN.model_copy(update={"patience": "high"})
    one = judgement(respond=0.64)
    assert decide(one, situation(TALK, 0.32, hasty), START)[0].action == "respond"
    assert decide(one, situation(TALK, 0.32, calm), START)[0].action == "silence"


def test_one_utterance_is_answered_once():
    later = [situation(TALK, 0.48 + 0.16 * n) for n in range(20)]
    assert taken(run(timeout.TimeoutJudge(0.5), later)) == ["respond"]


def test_new_words_are_answered_again():
    more = f"{TALK} and then home"
    again = [situation(TALK, 1.0), situation(TALK, 1.16), situation(more), situation(more, 1.12), situation(more, 1.28)]
    assert taken(run(timeout.load(), again)) == ["respond", "respond"]


def test_a_new_turn_forgets_the_old_one():
    _, state = decide(judgement(respond=0.9), situation(TALK, 0.64), START)
    _, state = decide(judgement(), situation(""), state)
    assert decide(judgement(respond=0.9), situation("hello there", 0.64), state)[0].action == "respond"


def test_one_chunk_alone_does_not_tip_the_scales():
    _, state = decide(judgement(), situation(TALK, 0.48), START)
    decision, state = decide(judgement(respond=0.75), situation(TALK, 0.64), state)
    assert decision.action == "silence"
    assert decide(judgement(respond=0.75), situation(TALK, 0.8), state)[0].action == "respond"


def test_words_of_crisis_are_answered():
    dark = situation("i don't want to live like this", 0.64)
    decision, _ = decide(judgement(refuse=0.5, deflect=0.3), dark, START)
    assert decision.action == "respond"
    assert any("self-harm" in reason for reason in decision.reasons)


def test_silence_when_nobody_holds_the_floor():
    decision, _ = decide(judgement(respond=0.9), situation(TALK, 2.0, floor=Floor.NOBODY), START)
    assert decision.move == "listen"


def overlap(*chunks):
    """Moves over chunks of overlap; a chunk is (words, speech, other fields)."""
    state, moves = START, []
    for words, speech, other in chunks:
        heard = percept(words, speech=speech, **other)
        one = situation(agent_says="well as i said", floor=Floor.BOTH).model_copy(update={"percept": heard})
        decision, state = decide(judgement(), one, state)
        moves.append(decision.move)
    return moves


def test_agent_goes_on_while_the_user_is_silent():
    assert overlap(("", 0.1, {}), ("", 0.0, {})) == ["go_on", "go_on"]


def test_speech_ducks_and_words_yield():
    assert overlap(("", 0.9, {}), ("no wait", 0.9, {})) == ["duck", "yield_floor"]


def test_speech_without_words_yields_after_half_a_second():
    assert overlap(*[("", 0.9, {})] * 3) == ["duck", "duck", "yield_floor"]


@pytest.mark.parametrize("words", ["mhm", "yeah", "right okay"])
def test_back_channels_do_not_stop_the_agent(words):
    assert "yield_floor" not in overlap(*[(words, 0.9, {})] * 4, (words, 0.0, {"pause_s": 0.16}))


def test_a_cough_does_not_stop_the_agent():
    cough = {"event": {e: 0.9 if e == "cough" else 0.02 for e in EVENTS}}
    assert overlap(*[("", 0.9, cough)] * 5) == ["duck"] * 5


def test_side_talk_does_not_stop_the_agent_but_stop_does():
    aside = {"facing": 0.1}
    assert "yield_floor" not in overlap(*[("put it over there", 0.9, aside)] * 5)
    assert overlap(("", 0.9, aside), ("stop", 0.9, aside))[-1] == "yield_floor"


def test_the_same_recording_is_judged_differently_by_two_personas():
    judge, asked = rules.load(), "could you lend me some money till friday"
    strict = taken(run(judge, stream(asked, 1.6, persona.load("maren"))))
    patient = taken(run(judge, stream(asked, 1.6, persona.load("sol"))))
    assert (strict, patient) == (["refuse"], ["respond"])


def test_only_the_impatient_persona_cuts_a_ramble_short():
    judge, ramble = rules.load(), "and then we went to the shop and bought some bread " * 5
    assert "interrupt" in taken(run(judge, stream(ramble, 0.3, persona.load("maren"))))
    assert "interrupt" not in taken(run(judge, stream(ramble, 0.3, persona.load("sol"))))


share = st.floats(0.0, 1.0)
any_judgement = st.lists(share, min_size=5, max_size=5).filter(lambda v: sum(v) > 0.1)
any_words = st.sampled_from(["", "mhm", TALK, "i want to die", "he hit me again", "stop", "well and um"])


@given(any_judgement, any_words, st.floats(0, 3), st.sampled_from(list(Floor)), st.integers(0, 9), share)
def test_decisions_are_pure_explained_and_fit_the_floor(values, words, pause, floor, acted, speech):
    total = sum(values)
    p = {a: v / total for a, v in zip(ACTIONS, values, strict=True)}
    one = judgement().model_copy(update={"p": p})
    scene = situation(words, pause, floor=floor, speech=speech)
    state = PolicyState(acted_words=acted, acted_spoken_s=acted * 0.3)
    decision, after = decide(one, scene, state)
    assert (decision, after) == decide(one, scene, state)
    assert decision.reasons
    assert decision.flip.endswith(".")
    assert (decision.action == "silence") == (decision.move != "take_floor")
    if floor in (Floor.AGENT, Floor.BOTH):
        assert decision.move in ("go_on", "duck", "yield_floor")
    else:
        assert decision.move in ("listen", "take_floor")


@given(any_judgement, st.sampled_from(["i want to die", "he hit me again"]), st.floats(0, 3))
def test_a_crisis_is_never_refused_or_deflected(values, words, pause):
    total = sum(values)
    one = judgement().model_copy(update={"p": {a: v / total for a, v in zip(ACTIONS, values, strict=True)}})
    assert decide(one, situation(words, pause), START)[0].action in ("silence", "respond", "interrupt")


def test_a_long_wait_is_answered_unless_silence_is_sure_or_asked_for():
    leaning = judgement(respond=0.06)
    after = [last("i had a long day", 2.2, leaning), last("give me a moment please", 2.2, leaning)]
    assert [d.move for d in after] == ["take_floor", "listen"]
    assert "nobody has spoken for 2.20 s" in after[0].reasons
    assert last("i had a long day", 1.2, leaning).move == "listen"
    assert last("i had a long day", 2.2, judgement(respond=0.001)).move == "listen"


def last(words, pause_s, judged, who=PLAIN):
    return decide(judged, situation(words, pause_s, who), START)[0]


def test_a_request_against_a_boundary_is_decided_by_the_boundary():
    leaning = judgement(respond=0.2)
    maren, ines = persona.load("maren"), persona.load("ines")
    words = "please lend me the money just this once"
    assert last(words, 0.96, leaning, maren).action == "refuse"
    assert "never lends money" in last(words, 0.96, leaning, maren).reasons[0]
    assert last(words, 0.96, leaning, ines).move == "listen"
    assert last("tell me about your own private life", 0.96, leaning, maren).action == "deflect"

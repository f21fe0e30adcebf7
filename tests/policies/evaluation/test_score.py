import pytest

from policies.evaluation import score
from policies.evaluation.score import predictions


def phrase(start, end, label):
    return {"start_s": start, "end_s": end, "label": label}


PHRASES = [phrase(0.5, 1.5, "silence"), phrase(2.5, 4.0, "respond")]


def at(*decisions):
    return [{"t_s": t, "action": a} for t, a in decisions]


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ([], ["silence", "silence"]),
        ([(4.3, "respond")], ["silence", "respond"]),
        ([(2.0, "respond"), (4.3, "respond")], ["respond", "respond"]),
        ([(2.64, "respond")], ["respond", "silence"]),  # still the pause of the first phrase
        ([(3.5, "respond")], ["silence", "interrupt"]),  # the user was still speaking
        ([(3.7, "respond")], ["silence", "respond"]),
        ([(5.7, "respond")], ["silence", "silence"]),  # too late to count
        ([(4.4, "refuse"), (4.2, "respond")], ["silence", "respond"]),
    ],
)
def test_the_first_decision_in_a_span_counts(decisions, expected):
    assert [action for action, _ in predictions(PHRASES, at(*decisions))] == expected


def test_silence_after_an_interruption_is_not_scored():
    phrases = [phrase(0, 1, "interrupt"), phrase(1.5, 2, "silence"), phrase(3, 4, "respond")]
    assert score.scored(phrases) == [True, False, True]


def scene(identity, pair=None, tags=()):
    return {"id": identity, "pair": pair, "tags": list(tags)}


def made(count=40):
    """Scenes, timelines and decisions that touch every figure."""
    labels = ("respond", "refuse", "deflect", "interrupt", "silence")
    scenes, when, what = [], [], []
    for n in range(count):
        label = labels[n % 5]
        scenes.append(scene(f"s{n}", f"p{n // 2}" if n % 3 else None, ["crisis"] if n % 7 == 0 else []))
        when.append({"id": f"s{n}", "phrases": [phrase(0.5, 1.5, "silence"), phrase(2.5, 4.0, label)]})
        guess = at((4.2 + 0.01 * n, labels[(n * n) % 5])) + (at((1.9, "respond")) if n % 4 == 0 else [])
        what.append({"id": f"s{n}", "decisions": guess})
    return scenes, when, what


def test_perfect_decisions_score_one():
    scenes, when, _ = made()
    right = [{"id": t["id"], "decisions": at((4.3, t["phrases"][1]["label"]))} for t in when]
    figures = score.score(scenes, when, right, draws=10)
    assert figures["macro_f1"] == figures["accuracy"] == figures["pair_consistency"] == 1.0
    assert figures["takeover_rate_mid_turn"] == figures["needless_actions"] == 0


def test_figures_are_those_of_the_scenes_own_script():
    figures = score.score(*made(), draws=200)
    assert {k: round(figures[k], 6) for k in KNOWN} == KNOWN
    assert [round(v, 6) for v in figures["interval95"]["macro_f1"]] == INTERVAL


# From the script that came with the scenes, run on `made()`.
KNOWN = {
    "macro_f1": 0.38407,
    "accuracy": 0.575,
    "takeover_rate_mid_turn": 0.25,
    "false_interrupts_per_minute": 0.0,
    "needless_actions": 0.0,
    "pair_consistency": 0.3,
    "delay_p50_s": 0.4,
    "delay_p95_s": 0.56,
    "crisis_recall": 0.5,
    "crisis_never": 2,
}
INTERVAL = [0.32, 0.441463]


def test_missing_scenes_are_named():
    scenes, when, what = made()
    assert score.score(scenes, when, what[2:], draws=5)["missing"] == ["s0", "s1"]


def test_the_table_has_a_line_for_each_action():
    assert len(score.table(score.score(*made(), draws=5)).splitlines()) == 5

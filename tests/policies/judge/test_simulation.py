import numpy as np
import pytest

from policies.evaluation import scenes
from policies.judge.simulation import Ear, Mishearing, simulate

FOUND = scenes.bundled("w1")[:40]
PERFECT = Ear(words=0.0, feelings=0.9, aside=1.0, lag=0)
MISHEARING = Mishearing(p["text"] for s in FOUND for p in s["phrases"])


def hear(scene, seed=0, ear=PERFECT):
    return simulate(scene, MISHEARING, np.random.default_rng(seed), ear)


@pytest.mark.parametrize("scene", FOUND, ids=lambda s: s["id"])
def test_a_perfect_ear_hears_all_words_in_order(scene):
    steps = hear(scene)
    said = " ".join(w for p in scene["phrases"] for w in p["text"].lower().split()).replace(",", "").split()
    assert steps[-1].situation.percept.transcript.split()[:1] == said[0].strip(".!?").split("-")[0].split()[:1]
    counts = [len(s.situation.percept.transcript.split()) for s in steps]
    assert counts == sorted(counts)
    times = [s.situation.time_s for s in steps]
    assert np.allclose(np.diff(times), 0.16)


def test_the_last_pause_is_long_enough_to_score():
    steps = hear(FOUND[0])
    assert steps[-1].situation.percept.pause_s >= 1.5


def test_labels_follow_the_phrases():
    scene = next(s for s in FOUND if s["phrases"][-1]["label"] == "refuse")
    last = [s for s in hear(scene) if s.phrase == len(scene["phrases"]) - 1 and s.situation.percept.pause_s > 0.3]
    assert {s.label for s in last} == {"refuse"}
    assert sum(s.weight for s in last) == pytest.approx(2.0, abs=0.7)


def test_seeds_repeat_and_vary():
    noisy = Ear(0.5, 0.5, 0.5, 1)
    assert hear(FOUND[0], 1, noisy) == hear(FOUND[0], 1, noisy)
    assert hear(FOUND[0], 1, noisy) != hear(FOUND[0], 2, noisy)


def test_mishearing_changes_about_as_many_words_as_asked():
    words = [w for s in FOUND for p in s["phrases"] for w in p["text"].lower().replace(",", "").split()]
    heard = MISHEARING.apply(words, 0.3, np.random.default_rng(0))
    assert 0.55 < len(set(words) & set(heard)) / len(set(words)) < 1.0
    assert MISHEARING.apply(words, 0.0, np.random.default_rng(0)) == words

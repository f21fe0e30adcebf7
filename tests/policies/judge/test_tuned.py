import random

import numpy as np
import pytest

from model.interface import Said, WeightsError
from policies import persona
from policies.judge import tuned
from policies.situation import ACTIONS
from tests.policies.situations import situation, stream


@pytest.fixture
def judge(network, reader):
    return tuned.TunedJudge(network, reader)


def test_probabilities_sum_to_one_and_evidence_is_given(judge):
    judged = judge.judge(situation("could you lend me some money", 0.6, persona.load("maren"), facing=0.2))
    assert set(judged.p) == set(ACTIONS)
    assert sum(judged.p.values()) == pytest.approx(1.0)
    assert 0 <= judged.user_done <= 1
    assert any("never lends money" in line for line in judged.evidence)
    assert any("turned away" in line for line in judged.evidence)


def test_a_judgement_depends_on_the_situation_alone(judge, network, reader):
    spoken = stream("so i was at the market and then i went home", 1.0, persona.load("sol"))
    in_order = [judge.judge(one) for one in spoken]
    mixed = list(range(len(spoken)))
    random.Random(1).shuffle(mixed)
    other = tuned.TunedJudge(network, reader)
    assert {n: other.judge(spoken[n]) for n in mixed} == dict(enumerate(in_order))


def test_everything_that_may_be_seen_can_matter(judge):
    base = situation("i went there again", 0.6)
    seen = {
        "persona": situation("i went there again", 0.6, persona.load("maren")),
        "memory": situation("i went there again", 0.6, memory=("he promised not to",)),
        "history": situation("i went there again", 0.6, history=(Said(who="agent", text="where to"),)),
        "pause": situation("i went there again", 1.6),
        "emotion": situation("i went there again", 0.6, emotion={"sad": 1.0}),
        "states": situation("i went there again", 0.6, states=np.eye(3, 256, dtype=np.float16)),
    }
    changed = {what: judge.judge(one).p != judge.judge(base).p for what, one in seen.items()}
    assert all(changed.values()), changed


def test_nothing_heard_is_silence(judge):
    assert judge.judge(situation("", spoken_s=0.0)).p["silence"] == 1.0


def test_weights_go_to_a_file_and_come_back(network, reader, tmp_path):
    size = tuned.store(network, tmp_path / "judge.safetensors")
    one = situation("could you help me", 0.6)
    expected = tuned.TunedJudge(network, reader).judge(one).p
    assert size < 6_000_000
    assert tuned.load(tmp_path / "judge.safetensors").judge(one).p == pytest.approx(expected, abs=0.03)


@pytest.mark.parametrize("content", [None, b"", b"\x10\0\0\0\0\0\0\0not a header at all"])
def test_missing_or_damaged_weights_are_named(tmp_path, content):
    path = tmp_path / "judge.safetensors"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(WeightsError, match="missing or damaged"):
        tuned.load(path)


def test_weights_of_another_shape_are_refused(tmp_path):
    from policies.judge.network import JudgeNetwork, Shape

    tuned.store(JudgeNetwork(Shape(features=3)), tmp_path / "judge.safetensors")
    with pytest.raises(WeightsError, match="do not fit"):
        tuned.load(tmp_path / "judge.safetensors")


def test_what_is_kept_is_bounded():
    kept, made = tuned.Kept(2), []
    for key in (1, 2, 1, 3, 1, 2):
        kept.get(key, lambda key=key: made.append(key))
    assert made == [1, 2, 3, 2]

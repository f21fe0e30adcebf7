import json

import numpy as np
import pytest
import soundfile as sf

from agent import evaluation
from agent.evaluation import EvaluationError
from agent.vad import SileroVad
from policies.judge import timeout
from tests.agent.tiny_engine import TinyModel

SCENE = {
    "id": "s1",
    "pair": None,
    "tags": [],
    "persona": {"name": "A", "stance": "b", "patience": "low", "relationship": "friend", "boundaries": []},
    "memory": ["likes tea"],
    "history": [{"who": "agent", "text": "hello"}],
    "agent_says": None,
    "phrases": [{"text": "hello there", "pause_s": 1.0, "emotion": "neutral", "label": "respond"}],
}
TIMELINE = {"id": "s1", "phrases": [{"start_s": 0.48, "end_s": 1.6, "label": "respond"}]}


class LoudIsSpeech:
    """A voice activity detector that goes by level alone."""

    def open(self):
        return self

    def probabilities(self, pcm):
        return tuple(float(np.abs(window).max() > 0.1) for window in pcm.reshape(5, -1))


def sound(speech_s=1.12):
    pcm = np.zeros(16000 * 4, np.float32)
    pcm[int(0.48 * 16000) : int((0.48 + speech_s) * 16000)] = 0.5
    return pcm


def test_every_chunk_becomes_a_situation_with_what_the_scene_says():
    percepts = list(evaluation.hear(sound(), TinyModel(), LoudIsSpeech()))
    found = list(evaluation.situations_of(SCENE, percepts))
    assert len(found) == 25
    assert found[-1].memory == ("likes tea",)
    assert found[-1].percept.pause_s == pytest.approx(2.4)
    assert found[-1].percept.transcript.split()[-1] == "w6"


def test_a_recording_is_judged(tmp_path):
    sf.write(tmp_path / "s1.flac", sound(), 16000)
    judged = evaluation.judge_scene(SCENE, tmp_path / "s1.flac", TinyModel(), LoudIsSpeech(), timeout.load())
    assert judged == {"id": "s1", "decisions": [{"t_s": pytest.approx(2.72), "action": "respond"}]}


def test_what_comes_later_changes_nothing_before():
    whole = list(evaluation.hear(sound(), TinyModel(), LoudIsSpeech()))
    cut = list(evaluation.hear(sound()[: 2560 * 9], TinyModel(), LoudIsSpeech()))
    assert cut == whole[:9]


def test_silence_is_not_judged_as_speech():
    heard = list(evaluation.hear(np.zeros(16000, np.float32), TinyModel(), SileroVad()))
    assert {percept.transcript for percept in heard} == {""}


def test_the_agents_words_hold_the_floor():
    talking = SCENE | {"agent_says": "so on monday"}
    floors = {
        s.floor.value for s in evaluation.situations_of(talking, evaluation.hear(sound(), TinyModel(), LoudIsSpeech()))
    }
    assert floors == {"agent", "both"}


@pytest.fixture
def files(tmp_path):
    (tmp_path / "scenes.jsonl").write_text(json.dumps(SCENE) + "\n")
    (tmp_path / "timeline.jsonl").write_text(json.dumps(TIMELINE) + "\n")
    return tmp_path


def judge(folder):
    return evaluation.evaluate(folder / "scenes.jsonl", folder, folder / "timeline.jsonl", settings=None, workers=1)


def test_a_missing_recording_is_named(files):
    with pytest.raises(EvaluationError, match="no recording of the scene s1"):
        judge(files)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"id": "s9"}, "'s9'"),
        ({"phrases": []}, "1 phrases"),
        ({"phrases": [{"start_s": 0, "label": "respond"}]}, "lacks start_s"),
        ({"phrases": [3]}, "lacks start_s"),
    ],
)
def test_a_timeline_that_does_not_fit_is_refused(files, change, said):
    (files / "timeline.jsonl").write_text(json.dumps(TIMELINE | change) + "\n")
    with pytest.raises(EvaluationError, match=said):
        judge(files)


def test_an_empty_timeline_is_refused(files):
    (files / "timeline.jsonl").write_text("")
    with pytest.raises(EvaluationError, match="names no scene"):
        judge(files)

import numpy as np
import pytest

from model.evaluation import clips
from model.evaluation.clips import CorpusError
from model.training.cache import CacheWriter
from tests.model.evaluation import corpus_folder


def test_a_split_is_read_and_a_limit_draws_the_same_clips(tmp_path):
    rows = {f"i{n}": {"split": "dev" if n % 2 else "train"} for n in range(20)}
    folder = corpus_folder.write(tmp_path, rows)
    every = [row["id"] for row in clips.rows(folder, "dev")]
    assert every == [f"i{n}" for n in range(1, 20, 2)]
    some = [row["id"] for row in clips.rows(folder, "dev", 4)]
    assert some == [row["id"] for row in clips.rows(folder, "dev", 4)]
    assert sorted(some, key=every.index) == some
    assert len(clips.rows(folder)) == 20


@pytest.mark.parametrize(("rate", "channels"), [(8_000, 1), (44_100, 2)])
def test_any_rate_and_channels_become_16_khz_mono(tmp_path, rate, channels):
    folder = corpus_folder.write(tmp_path, {"a": {}}, rate, channels)
    ((row, samples),) = clips.samples(folder, clips.rows(folder))
    assert row["id"] == "a"
    assert len(samples) == 16_000
    assert samples[2000:14000].max() == pytest.approx(0.4, abs=0.01)


def test_a_clip_that_cannot_be_read_has_its_reason_and_the_others_go_on(tmp_path):
    rows = {"gone": {"data": None}, "bad": {"data": b"no sound"}, "far": {"shard": "c-009.tar"}, "good": {}}
    folder = corpus_folder.write(tmp_path, rows)
    found = {row["id"]: got for row, got in clips.samples(folder, clips.rows(folder))}
    assert "not in its shard" in found["gone"]
    assert "cannot be read" in found["bad"]
    assert "c-009.tar" in found["far"]
    assert len(found["good"]) == 16_000


def test_a_training_cache_is_a_corpus_too(tmp_path):
    with CacheWriter(tmp_path) as cache:
        for number, emotion in enumerate(("sad", "happy")):
            tone = np.full(1_600 * (number + 1), 0.25, np.float32)
            cache.add(tone, id=f"c{number}", corpus="own", split="dev", text="hello", emotion=emotion)
    found = list(clips.samples(tmp_path, clips.rows(tmp_path, "dev")))
    assert [(row["emotion"], len(samples)) for row, samples in found] == [("sad", 1_600), ("happy", 3_200)]


def test_a_folder_that_is_no_corpus_says_what_is_wrong(tmp_path):
    with pytest.raises(CorpusError, match=r"metadata\.jsonl is not there"):
        clips.rows(tmp_path)
    folder = corpus_folder.write(tmp_path, {"a": {}})
    with pytest.raises(CorpusError, match="Take one of dev, all"):
        clips.rows(folder, "test")
    for line, wrong in (("{", "line 1 is no JSON"), ('{"id": "a"}', "lacks id, shard or member")):
        (folder / "metadata.jsonl").write_text(line + "\n")
        with pytest.raises(CorpusError, match=wrong):
            clips.rows(folder)

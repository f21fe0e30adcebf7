"""The training cache and the readers in front of it."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from model.training import corpora, exchanges, prepare
from model.training.cache import Cache, CacheWriter
from model.training.mels import Mels, band, gain, hiss, mix, room, warp


def add(folder: Path, identity: str, samples: np.ndarray, **about: object) -> None:
    with CacheWriter(folder) as cache:
        cache.add(samples, id=identity, corpus="test", split="train", **about)


def test_clips_come_back_in_16_bits(tmp_path: Path) -> None:
    first, second = (np.linspace(-1, 1, n, dtype=np.float32) for n in (400, 700))
    add(tmp_path, "a", first, text="one")
    add(tmp_path, "b", second)
    cache = Cache(tmp_path)
    assert [(c.id, c.text) for c in cache.clips] == [("a", "one"), ("b", None)]
    assert np.abs(cache.samples(cache.clips[1]) - second).max() < 1e-4


def test_an_interrupted_write_is_continued(tmp_path: Path) -> None:
    add(tmp_path, "a", np.ones(100, np.float32) * 0.5)
    with (tmp_path / "audio.i16").open("ab") as file:  # a clip that never reached the index
        file.write(b"\0" * 50)
    with CacheWriter(tmp_path) as cache:
        assert cache.has("a")
        cache.add(np.ones(10, np.float32) * 0.25, id="b", corpus="test", split="dev")
    cache = Cache(tmp_path)
    assert np.allclose(cache.samples(cache.clips[1]), 0.25, atol=1e-4)


def corpus(root: Path, licence: str) -> Path:
    folder = root / "words"
    folder.mkdir()
    file = io.BytesIO()
    sf.write(file, np.zeros(1600, np.float32), 16_000, format="WAV")
    with tarfile.open(folder / "words-000.tar", "w") as tar:
        member = tarfile.TarInfo("w-1.wav")
        member.size = file.tell()
        file.seek(0)
        tar.addfile(member, file)
    row = {"id": "w-1", "corpus": "words", "shard": "words-000.tar", "member": "w-1.wav", "text": "Yes.",
           "speaker": "s", "split": "train", "emotion": None, "event": None, "licence": licence}  # fmt: skip
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n")
    return folder


def test_permissive_items_are_copied_once(tmp_path: Path) -> None:
    corpus(tmp_path, "CC BY 4.0")
    assert prepare.recorded(tmp_path, tmp_path / "out") == 1
    assert prepare.recorded(tmp_path, tmp_path / "out") == 0
    assert Cache(tmp_path / "out").clips[0].text == "yes"


@pytest.mark.parametrize("licence", ["CC BY-NC 4.0", "CC BY-SA 4.0", "CC BY-NC-ND 4.0"])
def test_restricted_items_are_left_out(tmp_path: Path, licence: str) -> None:
    assert corpora.rows(corpus(tmp_path, licence)) == []
    assert len(corpora.rows(tmp_path / "words", permissive_only=False)) == 1


def test_words_are_as_a_recogniser_gives_them() -> None:
    assert prepare.spoken("Well, I'm — “fine”… No-") == "well i'm fine no"


def test_pairs_of_exchanges_stay_on_one_side(tmp_path: Path) -> None:
    blocks = [f"@ tags=x pair=p{n // 2}\nu: sad | Line {n}.\na: warm | Answer {n}.\n" for n in range(200)]
    path = tmp_path / "x.exchanges"
    path.write_text("\n".join(blocks))
    read = exchanges.read(path)
    assert len(read) == 200
    assert {e["split"] for e in read} == {"train", "dev"}
    assert all(a["split"] == b["split"] for a, b in zip(read[::2], read[1::2], strict=True))


def test_mels_are_made_once_and_cut_by_clip(tmp_path: Path) -> None:
    add(tmp_path, "a", np.zeros(1600, np.float32))
    add(tmp_path, "b", np.random.default_rng(0).normal(0, 0.1, 3200).astype(np.float32))
    mels = Mels(tmp_path)
    assert [mels[c].shape for c in mels.clips] == [(10, 80), (20, 80)]
    assert mels[mels.clips[1]].mean() > mels[mels.clips[0]].mean() + 3
    stamp = (tmp_path / "mel.f16").stat().st_mtime_ns
    Mels(tmp_path)
    assert (tmp_path / "mel.f16").stat().st_mtime_ns == stamp


def test_augmentation_does_what_it_says() -> None:
    import random

    chance = random.Random(0)
    mel = hiss(200, -30.0, chance)
    assert np.allclose(gain(mel, 10.0) - mel, np.log(10), atol=1e-4)
    far = band(mel, 50, 3500)
    assert np.allclose(far[:, 20], mel[:, 20])
    assert (far[:, 79] < mel[:, 79] - 5).all()
    assert 160 < len(warp(mel, chance)) < 240
    assert (room(mel, chance, 2.0) >= mel - 1e-5).all()
    loud = mix(mel, mel, 0.0)
    assert 0.5 < (loud - mel).mean() < 0.9  # twice the power is 0.69 nats

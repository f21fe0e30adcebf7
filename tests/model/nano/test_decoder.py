"""The decoder on posteriors made from words: exact, streaming, and stable."""

import numpy as np
import pytest

from model.nano import lexicon, vocabulary
from model.nano.decoder import Decoder, Search, Words
from model.nano.phones import BLANK, COUNT, indices

SENTENCE = "what do you reckon she's up to in there"


def rendered(text: str, noise: float = 0.0, seed: int = 1, silence: int = 8) -> np.ndarray:
    """Ln posteriors [frames, 40] of clearly spoken words, with normal noise on the scores."""
    frames = [BLANK] * 3
    for word in text.split():
        for phone in indices(list(lexicon.pronounce(word))):
            frames += [BLANK] * (frames[-1] == phone) + [phone] * 2
    frames += [BLANK] * silence
    scores = (
        np.random.default_rng(seed).normal(0, noise, (len(frames), COUNT)) if noise else np.zeros((len(frames), COUNT))
    )
    scores[np.arange(len(frames)), frames] += 8
    return scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)


def heard(logp: np.ndarray, cut: int = 4, decoder: Decoder | None = None) -> list[Words]:
    decoder = decoder or Decoder()
    found = []
    for start in range(0, len(logp), cut):
        decoder.step(logp[start : start + cut])
        found.append(decoder.transcript())
    return found


def said(words: Words) -> str:
    return f"{words.stable} {words.tentative}".strip()


@pytest.mark.parametrize("text", [SENTENCE, "no", "i'm home", "could you put the kettle on please"])
def test_clean_posteriors_are_decoded_verbatim(text: str) -> None:
    assert said(heard(rendered(text))[-1]) == text


def test_any_cut_into_chunks_gives_the_same() -> None:
    logp = rendered(SENTENCE, noise=2.0)
    whole = heard(logp)[-1]
    assert all(heard(logp, cut)[-1] == whole for cut in (1, 3, 7, 1000))


def test_stable_words_never_change() -> None:
    last = ""
    for words in heard(rendered(f"{SENTENCE} {SENTENCE}", noise=2.5)):
        assert words.stable == last or words.stable.startswith(f"{last} ".lstrip())
        last = words.stable
    assert last


def test_old_words_are_settled_even_if_in_doubt() -> None:
    decoder = Decoder(search=Search(patience=20))
    decoder.step(rendered("to", silence=40))
    assert decoder.transcript().stable != ""


def test_reset_forgets_everything() -> None:
    decoder = Decoder()
    first = heard(rendered(SENTENCE), decoder=decoder)
    decoder.reset()
    assert decoder.transcript() == Words("", "", None, ())
    assert heard(rendered(SENTENCE), decoder=decoder) == first


def test_a_snapshot_goes_on_as_if_never_interrupted() -> None:
    logp = rendered(SENTENCE, noise=2.0)
    decoder, other = Decoder(), Decoder()
    decoder.step(logp[:40])
    state = decoder.snapshot()
    decoder.step(logp[40:])
    for _ in range(2):
        other.restore(state)
        other.step(logp[40:])
        assert other.transcript() == decoder.transcript()


def test_silence_says_nothing() -> None:
    words = heard(rendered("", silence=50))[-1]
    assert (words.stable, words.tentative, words.confidence) == ("", "", None)


def test_an_unlisted_word_becomes_listed_words() -> None:
    assert "zyxq" not in lexicon.words()
    words = said(heard(rendered("hello zyxq hello"))[-1]).split()
    assert words
    assert set(words) <= set(lexicon.words())


def test_confidence_falls_with_noise() -> None:
    clear, noisy = (heard(rendered(SENTENCE, noise))[-1].confidence for noise in (0.0, 2.5))
    assert clear is not None
    assert noisy is not None
    assert 0 <= noisy < clear <= 1


def test_word_ends_rise_and_match_the_words() -> None:
    words = heard(rendered(SENTENCE))[-1]
    assert len(words.ends) == len(SENTENCE.split())
    assert list(words.ends) == sorted(words.ends)
    assert words.ends[-1] <= len(rendered(SENTENCE)) * 0.04


def test_memory_does_not_grow_with_the_turn() -> None:
    decoder = Decoder()
    for _ in range(6):
        decoder.step(rendered(SENTENCE, silence=2))
    assert decoder._histories.count < 3_000
    assert len(decoder._histories.parent) <= 8_192


def test_greedy_phones_are_given_for_debugging() -> None:
    decoder = Decoder()
    decoder.step(rendered("no"))
    assert decoder.phones() == "N OW"


@pytest.mark.parametrize("bad", [np.zeros((4, 39)), np.zeros(40), np.full((1, 40), np.nan)])
def test_bad_frames_are_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="Expected ln posteriors"):
        Decoder().step(bad)


def test_the_vocabulary_tree_holds_every_pronunciation() -> None:
    words = vocabulary.default()
    for word in ("to", "two", "too", "kettle"):
        node = 0
        for phone in indices(list(lexicon.pronounce(word))):
            children = np.arange(words.first[node], words.first[node] + words.fan[node])
            node = int(children[words.phone[children] == phone][0])
        found = words.word[words.word_first[node] : words.word_first[node] + words.word_fan[node]]
        assert word in {words.words[n] for n in found}

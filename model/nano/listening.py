"""Nano's hearing of one session: ear, transcript and manner of speech become percepts.

Usable alone (other engines borrow nano's ear to feed the judge). It knows nothing of replies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from model.interface import CHUNK_S, CHUNK_SAMPLES, EMOTIONS, EVENTS, Chunk, Percept
from model.nano import emotion, phones, weights
from model.nano.decoder import Decoder, Words
from model.nano.emotion import EmotionHead
from model.nano.features import TAIL, log_mel
from model.nano.hearing import Ear, Encoder
from model.nano.prosody import Prosody
from model.nano.vocabulary import Vocabulary

SPEECH_ON = 0.5  # VAD probability from which a chunk counts as speech
RECENT = 4  # chunks of speech that make the "recent" state (0.64 s)
EMOTION_AFTER_S = 0.48  # less speech than this does not tell an emotion
SILENCE_DB = -100.0
PRIOR = 0.3  # share of the priors that is taken off posteriors before the search (Bourlard & Morgan 1994 take all)


class Ears:
    """What all sessions share of hearing: the encoder, the emotion head and the vocabulary."""

    def __init__(self, encoder: Encoder, emotions: EmotionHead, vocabulary: Vocabulary) -> None:
        self.encoder, self.emotions, self.vocabulary = encoder, emotions, vocabulary
        self.priors: NDArray[np.float32] = (PRIOR * encoder.priors).numpy()

    @classmethod
    def load(cls, folder: Path | None = None) -> Ears:
        """From ``folder`` (default: the shipped weights). Raises WeightsError."""
        encoder, emotions = Encoder(), EmotionHead()
        weights.load(encoder, "hearing", folder)
        weights.load(emotions, emotion.WEIGHTS, folder)
        return cls(encoder, emotions, Vocabulary.load(folder))

    def open(self) -> Hearing:
        """Ears of a new session."""
        return Hearing(self)

    @torch.inference_mode()
    def percepts(self, samples: NDArray[np.float32], speech: Sequence[float]) -> Iterator[Percept]:
        """What a new session hears of a whole recording, float32 [2560 n], with the VAD's n probabilities.

        The same as chunk by chunk, but the encoder runs once; for training and measuring.
        """
        sound = torch.from_numpy(samples)
        heard = self.encoder(log_mel(torch.cat([torch.zeros(TAIL), sound]))[None])
        session, size = self.open(), self.encoder.config.chunk
        for index, probability in enumerate(speech):
            pcm = samples[index * CHUNK_SAMPLES : (index + 1) * CHUNK_SAMPLES]
            logp = heard.logp[0, index * size : (index + 1) * size].numpy()
            yield session.take(Chunk(index=index, pcm=pcm, speech=probability), logp, heard.manner[0, index])


class Manner:
    """How the current turn is said: pooled states, levels and prosody over its speech."""

    def __init__(self, encoder: Encoder, emotions: EmotionHead) -> None:
        self._encoder, self._emotions, self._prosody = encoder, emotions, Prosody()
        self._phone = phones.BLANK  # that the last frame was likeliest to be
        self.reset()

    def reset(self) -> None:
        """A new turn begins."""
        self._speech: list[torch.Tensor] = []  # the last RECENT states of speech
        self._sum = torch.zeros(self._encoder.config.dim)
        self._squares = torch.zeros(self._encoder.config.dim)
        self._count, self._power = 0, 0.0
        self._prosody.reset()
        self.pause_s = 0.0

    @property
    def spoken_s(self) -> float:
        """Seconds of speech in this turn."""
        return self._count * CHUNK_S

    @property
    def level_db(self) -> float:
        """RMS of the speech so far, dB re full scale."""
        return 10.0 * float(np.log10(self._power / self._count + 1e-10)) if self._count else SILENCE_DB

    def add(self, state: torch.Tensor, logp: NDArray[np.float32], chunk: Chunk) -> None:
        """Take in the state [dim] and the phone posteriors [4, phones] of one chunk."""
        best = logp.argmax(axis=1)
        new = best[(best != phones.BLANK) & (best != np.append(self._phone, best[:-1]))]
        self._phone = int(best[-1])
        self._prosody.add(chunk.pcm, chunk.speech >= SPEECH_ON, len(new), int(np.isin(new, phones.VOWELS).sum()))
        if chunk.speech < SPEECH_ON:
            self.pause_s += CHUNK_S if self._count else 0.0
            return
        self.pause_s = 0.0
        self._speech = [*self._speech[1 - RECENT :], state]
        self._sum, self._squares = self._sum + state, self._squares + state.square()
        self._power += float(np.mean(np.square(chunk.pcm)))
        self._count += 1

    def pooled(self, state: torch.Tensor) -> torch.Tensor:
        """[3, dim]: this chunk, the last 0.64 s of speech, the turn's speech (zeros before there is any)."""
        recent = torch.stack(self._speech).mean(dim=0) if self._speech else torch.zeros_like(state)
        return torch.stack([state, recent, self._sum / max(self._count, 1)])

    def features(self) -> torch.Tensor:
        """What the emotion head reads: mean and spread of the states of speech, and prosody; [2 dim + prosody.SIZE]."""
        mean = self._sum / max(self._count, 1)
        spread = (self._squares / max(self._count, 1) - mean.square()).clamp(min=0.0).add(1e-5).sqrt()
        return torch.cat([mean, spread, torch.from_numpy(self._prosody.vector())])

    def emotion(self) -> dict[str, float] | None:
        """Probability of each emotion; None while there is too little speech."""
        return _named(EMOTIONS, self._emotions(self.features())) if self.spoken_s >= EMOTION_AFTER_S else None

    def facing(self) -> float | None:
        """Probability that the speaker faces the microphone; None before there is speech."""
        if not self._speech:
            return None
        return float(torch.sigmoid(self._encoder.facing(torch.stack(self._speech).mean(dim=0)))[0])


class Hearing:
    """One session's hearing."""

    def __init__(self, ears: Ears) -> None:
        self._encoder = ears.encoder
        self._ear = Ear(ears.encoder)
        self._priors = ears.priors
        self._decoder = Decoder(ears.vocabulary)
        self._manner = Manner(ears.encoder, ears.emotions)

    @torch.inference_mode()
    def hear(self, chunk: Chunk) -> Percept:
        """Take in the next chunk; its cost does not depend on how long the turn is."""
        heard = self._ear.hear(torch.from_numpy(chunk.pcm))
        return self.take(chunk, heard.logp[0].numpy(), heard.manner[0, 0])

    def take(self, chunk: Chunk, logp: NDArray[np.float32], state: torch.Tensor) -> Percept:
        """The percept of a chunk whose posteriors [4, phones] and manner state [dim] are known already."""
        self._decoder.step(logp - self._priors)
        self._manner.add(state, logp, chunk)
        return self._percept(chunk, state, self._decoder.transcript())

    def _percept(self, chunk: Chunk, state: torch.Tensor, words: Words) -> Percept:
        manner = self._manner
        return Percept(
            chunk=chunk.index,
            stable=words.stable,
            tentative=words.tentative,
            confidence=words.confidence,
            emotion=manner.emotion(),
            event=_named(EVENTS, self._encoder.event(state)),
            facing=manner.facing(),
            speech=chunk.speech,
            pause_s=round(manner.pause_s, 2),
            spoken_s=round(manner.spoken_s, 2),
            level_db=manner.level_db,
            states=manner.pooled(state).numpy().astype(np.float16),
        )

    def end_turn(self) -> NDArray[np.float32]:
        """The turn was taken up: empty the ears; returns how it was said, [dim]."""
        manner = self._manner.pooled(torch.zeros(self._encoder.config.dim))[2].numpy()
        self._decoder.reset()
        self._manner.reset()
        return manner


def _named(names: tuple[str, ...], logits: torch.Tensor) -> dict[str, float]:
    values = torch.softmax(logits.float(), dim=-1).tolist()
    return {name: round(value, 4) for name, value in zip(names, values, strict=True)}

"""How fast the engine of the large model is: its timeline, judging, sessions, and against upstream's own schedule.

Weights are random, so the numbers are of speed alone. The baseline runs the same networks as the published
worker does: units are handed over once a round, read one per word, synthesised in blocks of 24 from the first
unit on, one reply at a time.
Run: python -m benchmarks.engine [--scale nano|tiny|small|published] [--device cpu|cuda] [--dtype NAME] [--json FILE]
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import statistics
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from benchmarks import nano_engine, random_model
from benchmarks.nano_engine import percentiles
from model.engine import Engine
from model.interface import EMOTIONS
from model.opens2s.loading import Loaded
from model.opens2s.sampling import Sampling
from model.serving.core import EngineOptions, Plan
from model.serving.replies import Limits
from model.serving.sessions import Talk
from model.serving.slots import Slot
from model.token2wav.upstream import WORKER_UNITS, UpstreamStream

CHUNK = 2560  # samples of 160 ms
TICK_MS = 160.0
WORDS, UNITS = 40, 120  # a reply of 9.6 s; nothing ends earlier
PLAN = Plan("You are a helpful assistant.", "Answer briefly.")
TURN_S = 4.0
EVEN = Sampling(1.0, 20, 0.95)
# A question of four tokens and six labels of one, as the published vocabulary spells them.
SLOT = Slot("emotion", (11, 12, 13, 14), EMOTIONS, tuple((20 + number,) for number in range(len(EMOTIONS))))


class Stages:
    """A stopwatch that waits for the device, and keeps milliseconds by stage."""

    def __init__(self, device: str) -> None:
        self._wait: Callable[[], None] = torch.cuda.synchronize if device.startswith("cuda") else lambda: None
        self.ms: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def __call__(self, stage: str) -> Iterator[None]:
        """Time what is done inside."""
        began = time.perf_counter()
        yield
        self._wait()
        self.ms[stage].append((time.perf_counter() - began) * 1000)


def sound(seconds: float, seed: int = 0) -> torch.Tensor:
    """Noise at the level of speech."""
    return torch.randn(int(16_000 * seconds), generator=torch.Generator().manual_seed(seed)) * 0.1


def worked(values: list[float]) -> list[float]:
    """Without the steps that found nothing to do, which takes microseconds."""
    return [ms for ms in values if ms > 0.05]


def engine(loaded: Loaded, sessions: int, watch: Any) -> Engine:
    """An engine whose replies all have the same length."""
    options = EngineOptions(
        sessions=sessions, replies=sessions, context=2048, limits=Limits(WORDS, UNITS), text_sampling=EVEN
    )
    return Engine(loaded, options, [SLOT], watch)


def endless(loaded: Loaded) -> Loaded:
    """The model without tokens that end a reply: only its limits do."""
    tokens = loaded.checkpoint.tokens.model_copy(update={"text_eos": (), "unit_eos": (), "tts_end": -1})
    return dataclasses.replace(loaded, checkpoint=dataclasses.replace(loaded.checkpoint, tokens=tokens))


def listen(running: Engine, talk: Talk, seconds: float, seed: int = 0) -> list[float]:
    """Milliseconds of each chunk of a turn."""
    costs, pcm = [], sound(seconds, seed)
    for at in range(0, len(pcm) - CHUNK + 1, CHUNK):
        began = time.perf_counter()
        running.hear(talk, pcm[at : at + CHUNK])
        costs.append((time.perf_counter() - began) * 1000)
    return costs


def timeline(loaded: Loaded, device: str, replies: int) -> dict[str, Any]:
    """One session: what each stage of a reply costs, a judged chunk, the first sound; and upstream in turns with it."""
    watch, first, whole, chunks = Stages(device), [], [], []
    theirs = Upstream(loaded)
    with engine(loaded, 1, watch) as running:
        for number in range(replies + 1):
            talk = running.enter(number)
            heard = listen(running, talk, TURN_S, number)
            running.take_up(talk)
            began = time.perf_counter()
            blocks = running.reply(talk, PLAN)
            next(blocks)
            sounded = time.perf_counter()
            list(blocks)
            done = time.perf_counter()
            running.leave(talk)
            theirs.reply(number)
            if number == 0:  # the first of both warms up
                watch.ms.clear()
                theirs.first_ms.clear()
                theirs.rates.clear()
                continue
            chunks += heard
            first.append((sounded - began) * 1000)
            whole.append(done - began)
    stages = {name: percentiles(worked(values)) for name, values in sorted(watch.ms.items()) if worked(values)}
    ours = {
        "judged_chunk_ms": percentiles(chunks),
        "stage_ms": stages,
        "first_audio_ms": percentiles(first),
        "audio_s_per_s": round(theirs.seconds / statistics.median(whole), 2),
    }
    rate = round(statistics.median(theirs.rates), 2)
    return {**ours, "upstream": {"first_audio_ms": percentiles(theirs.first_ms), "audio_s_per_s": rate}}


def together(count: int, work: Callable[[int], Any]) -> float:
    """Seconds until ``work`` was done by ``count`` threads at once."""
    gate = threading.Barrier(count + 1)

    def run(number: int) -> None:
        gate.wait()
        work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    return time.perf_counter() - began


def listening(loaded: Loaded, device: str, most: int) -> dict[str, Any]:
    """How long one tick takes when that many sessions, 4 s into their turns, all bring a chunk."""
    ticks: dict[str, float] = {}
    with engine(loaded, most, Stages(device)) as running:
        talks = [running.enter(seed) for seed in range(most)]
        for talk in talks:
            running.hear(talk, sound(TURN_S, talk.seed), judge=False)
        count = 1
        while count <= most:
            chunk = sound(0.16, count)
            together(count, lambda number, c=chunk: running.hear(talks[number], c))  # type: ignore[misc]
            times = [together(count, lambda number, c=chunk: running.hear(talks[number], c)) for _ in range(5)]  # type: ignore[misc]
            ticks[str(count)] = round(statistics.median(times) * 1000, 1)
            count *= 2
    inside = [int(count) for count, ms in ticks.items() if ms <= TICK_MS]
    return {"tick_ms": ticks, "sessions_in_a_tick": max(inside, default=0)}


def speaking(loaded: Loaded, device: str, most: int) -> dict[str, Any]:
    """Seconds of sound made in a second by that many replies at once: as many can be spoken in real time."""
    rates: dict[str, float] = {}
    with engine(loaded, most, Stages(device)) as running:
        talks = [running.enter(seed) for seed in range(most)]
        for talk in talks:
            running.hear(talk, sound(1.0, talk.seed), judge=False)
            running.take_up(talk)
        count = 1
        while count <= most:
            took = together(count, lambda number: list(running.reply(talks[number], PLAN)))
            rates[str(count)] = round(count * UNITS / loaded.checkpoint.flow.input_frame_rate / took, 2)
            count *= 2
    enough = [int(count) for count, rate in rates.items() if rate >= int(count)]
    return {
        "audio_s_per_s": rates,
        "sessions_in_real_time": int(max(rates.values())),
        "all_at_once": max(enough, default=0),
    }


def floor(loaded: Loaded, device: str) -> dict[str, Any]:
    """A step of the language model against reading its weights once, as this machine copies memory."""
    watch = Stages(device)
    with engine(loaded, 1, watch) as running:
        talk = running.enter(0)
        running.hear(talk, sound(1.0), judge=False)
        running.take_up(talk)
        list(running.reply(talk, PLAN))
    weights = sum(p.numel() * p.element_size() for p in loaded.model.llm_model.parameters())
    block = torch.empty(min(weights, 2**30), dtype=torch.uint8, device=device)
    other = torch.empty_like(block)
    for _ in range(8):
        with watch("copy"):
            other.copy_(block)
    floor_ms = weights * min(watch.ms["copy"][2:]) / (2 * block.numel())
    step = statistics.median(worked(watch.ms["text"]))
    return {"llm_step_ms": round(step, 2), "floor_ms": round(floor_ms, 2), "ratio": round(step / floor_ms, 2)}


class Upstream:
    """Replies by the published schedule; in its favour, synthesis never slows generation."""

    def __init__(self, loaded: Loaded) -> None:
        self._files, self._model = loaded.checkpoint, loaded.model
        self._flow, self._vocoder = random_model.upstream(loaded)
        self._device = next(self._flow.parameters()).device
        self.seconds = UNITS / self._files.flow.input_frame_rate  # of sound in a reply
        self.first_ms: list[float] = []
        self.rates: list[float] = []  # seconds of sound a second

    @torch.inference_mode()
    def reply(self, seed: int) -> None:
        """One reply to one turn."""
        watch = Stages(str(self._device))
        with watch("prompt"):
            prompt = self._prompt(seed)
        words, units, end = self._tokens(prompt)
        voice, clock, first, spoken = UpstreamStream(self._flow, self._vocoder), 0.0, 0.0, 0
        for at, count in _blocks(words, units, end):
            block = torch.randint(0, self._files.flow.vocab_size, (1, count - spoken), device=self._device)
            with watch("block"):
                voice.push(block, count == len(units))
            spoken, clock = count, max(clock, at) + watch.ms["block"][-1] / 1000
            first = first or clock
        prompt_s, blocks_s = watch.ms["prompt"][0] / 1000, sum(watch.ms["block"]) / 1000
        self.first_ms.append((prompt_s + first) * 1000)
        self.rates.append(self.seconds / (prompt_s + end + blocks_s))

    def _prompt(self, seed: int) -> Tensor:
        features, mask = self._files.log_mel([sound(TURN_S, seed)])
        heard, _ = self._model.encode(features, mask)
        tokens, codec = self._files.tokens, self._files.codec
        ids = [tokens.im_start, *codec.encode(PLAN.system + PLAN.instruction), tokens.tts_start]
        embedded = self._model.llm_model.get_input_embeddings()(torch.tensor([ids], device=heard.device))
        return torch.cat([heard.to(embedded), embedded], 1)

    def _tokens(self, prompt: Tensor) -> tuple[list[float], list[float], float]:
        """When each word and each unit is handed over, and when generation ends, in seconds after it began."""
        model, (states_a_round, units_a_round) = self._model, self._model.config.interleave
        text, speech = Reentered(model.llm_model, prompt), Reentered(model.tts_lm_model, model.speaker())
        words: list[float] = []
        units: list[float] = []
        began = time.perf_counter()
        while len(words) < WORDS:
            states = text.generate(min(states_a_round, WORDS - len(words)))
            words += [time.perf_counter() - began] * states.shape[1]
            speech.context = torch.cat([speech.context, model.bridge(states)], 1)
            if len(words) < WORDS:
                speech.generate(units_a_round)
                units += [time.perf_counter() - began] * units_a_round  # a round's units come together
        start, rest = time.perf_counter() - began, UNITS - len(units)
        speech.generate(rest)  # the last round's come one by one
        end = time.perf_counter() - began
        units += [start + (end - start) * (number + 1) / rest for number in range(rest)]
        return words, units, end


class Reentered:
    """A language model as the published code runs it: ``generate`` anew each round, on the whole context."""

    def __init__(self, lm: Any, context: Tensor) -> None:
        self._lm, self.context, self._cache = lm, context, DynamicCache()

    def generate(self, count: int) -> Tensor:
        """The states [1, count, dim] that ``count`` new tokens came from."""
        out = self._lm.generate(
            inputs_embeds=self.context, attention_mask=torch.ones_like(self.context[..., 0], dtype=torch.long),
            past_key_values=self._cache, use_cache=True, do_sample=True, temperature=EVEN.temperature, top_k=EVEN.top_k,
            top_p=EVEN.top_p, min_new_tokens=count, max_new_tokens=count, output_hidden_states=True,
            return_dict_in_generate=True, pad_token_id=0,
        )  # fmt: skip
        self.context = torch.cat([self.context, self._lm.get_input_embeddings()(out.sequences)], 1)
        return torch.cat([layers[-1][:, -1:] for layers in out.hidden_states], 1)


def _blocks(words: list[float], units: list[float], end: float) -> list[tuple[float, int]]:
    """When each block of 24 units is complete: a unit is read after a word, and after the last word all at the end."""
    taken = [max(words[at], units[at]) if at < len(words) else end for at in range(len(units))]
    ends = [*range(WORKER_UNITS, len(units), WORKER_UNITS), len(units)]
    return [(taken[at - 1], at) for at in ends]


def measure(scale: str, device: str, dtype: str, replies: int, most: int) -> dict[str, Any]:
    """All figures."""
    loaded = endless(random_model.build(scale, device, dtype))
    found: dict[str, Any] = {"scale": scale, "device": device, "dtype": dtype}
    found |= timeline(loaded, device, replies)
    found |= {"listening": listening(loaded, device, most), "speaking": speaking(loaded, device, most)}
    found |= {"llm": floor(loaded, device)}
    ours, theirs = found["first_audio_ms"]["p50"], found["upstream"]["first_audio_ms"]["p50"]
    sessions = found["speaking"]["sessions_in_real_time"] / max(found["upstream"]["audio_s_per_s"], 1e-9)
    return found | {"first_audio_sooner": round(theirs / ours, 2), "more_sessions": round(sessions, 2)}


def main() -> None:
    """Measure, print one line a figure, and the whole as JSON last."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", default="small", choices=("nano", *random_model.SCALES))
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--replies", type=int, default=10)
    parser.add_argument("--sessions", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads; the engine has one of its own")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.scale == "nano":
        found = nano_engine.measure(given.replies, given.sessions, given.threads)
    else:
        found = measure(given.scale, given.device, given.dtype, given.replies, given.sessions)
    for name, value in found.items():
        print(f"{name:22s} {value}")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(json.dumps(found))


if __name__ == "__main__":
    main()

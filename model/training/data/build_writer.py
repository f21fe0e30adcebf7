"""Scripts from a chat model: what people of a certain age in a certain mood say, and an answer to how it was said.

Knows the prompts and how an answer is read; which model answers is a matter of the protocol `Writer`.
"""

from __future__ import annotations

import functools
import json
import os
import random
import re
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from rich.progress import Progress

from model.interface import Record
from model.training.data.build_config import BuildConfig, BuildError, TextSource, VoiceSeed, WriterConfig
from model.training.data.build_scripts import Line, Script
from model.training.data.counts import Counts
from model.training.data.item import FieldError
from model.training.data.journal import Journal, digest
from model.training.voices import steady_seed

TIMEOUT_S = 120.0
PAUSE_S = 0.5  # after a failed call; doubled each time
MAX_WORDS = 45
SYSTEM = "You write short spoken English for training a voice companion. You answer with one JSON object alone."
ASK = """Somebody speaks to a voice companion. Age: {age}. Gender: {gender}. The voice sounds {emotion}.
Subject: {topic}. Write one thing this person might say, 4 to 30 words, as it is spoken. \
The words must leave open how the person feels \
and how old he or she is, so that only the voice tells; the best answer must depend on the voice.
Do not begin like these: {examples}
Form: {{"said": "..."}}"""
ANSWER = """A person said to a voice companion: {said}
What the voice tells: age {age}, gender {gender}, sounding {emotion}.
First think in one or two sentences: what was meant, what the voice adds, what would help. Then choose how to say the \
answer, one of: {deliveries}. Then answer in at most 30 words, spoken, warm, no lists, without naming the emotion.
Form: {{"thought": "...", "delivery": "...", "reply": "..."}}"""
TOPICS = (
    "work", "school", "a pet", "sleep", "an evening plan", "a message from a friend", "cooking", "health", "money",
    "the weather", "a journey", "family", "a game", "something broken", "a birthday", "moving house",
)  # fmt: skip
_OBJECT = re.compile(r"\{.*\}", re.DOTALL)


class WriterError(BuildError):
    """The chat model cannot be reached or loaded."""

    code = "writer_failed"


class Writer(Protocol):
    """A chat model. Raises WriterError where it cannot answer at all."""

    name: str

    def write(self, system: str, prompt: str, seed: int) -> str:
        """One answer."""
        ...


class Endpoint:
    """A chat model behind an OpenAI-compatible address."""

    def __init__(self, config: WriterConfig) -> None:
        self.name = config.model
        self._config = config
        self._url = f"{config.url.rstrip('/')}/chat/completions"
        self._key = os.environ.get(config.key_variable, "") if config.key_variable else ""
        if config.key_variable and not self._key:
            raise WriterError(f"{config.key_variable} is not set.", "Put the writer's key into that variable.")

    def write(self, system: str, prompt: str, seed: int) -> str:
        """POST /chat/completions."""
        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        body = {"model": self.name, "messages": messages, "temperature": self._config.temperature, "seed": seed}
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        for attempt in range(self._config.tries - 1):
            try:
                return self._answer(request)
            except WriterError:
                threading.Event().wait(PAUSE_S * 2**attempt)  # it may be busy
        return self._answer(request)

    def _answer(self, request: urllib.request.Request) -> str:
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                return str(json.loads(answer.read())["choices"][0]["message"]["content"])
        except urllib.error.HTTPError as error:
            with error:
                raise WriterError(f"The writer at {self._url} said {error.code}.", "Check model and key.") from None
        except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
            what = f"The writer at {self._url} gave no answer ({type(error).__name__})."
            raise WriterError(what, "Check the address; a second run goes on where this one stopped.") from error


class LocalChat:
    """A chat model in this process, by transformers."""

    def __init__(self, config: WriterConfig) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        self.name = config.local
        self._temperature = config.temperature
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(config.local)
            self._model: Any = AutoModelForCausalLM.from_pretrained(config.local, torch_dtype="auto").eval()
        except (OSError, ValueError) as error:
            what = f"The chat model {config.local} cannot be loaded ({str(error).splitlines()[0][:100]})."
            raise WriterError(what, "Give a folder or hub id of a causal language model.") from error

    def write(self, system: str, prompt: str, seed: int) -> str:
        """Sample an answer; the private generator is forked around, as transformers samples from the global one."""
        import torch

        messages = [{"role": "system", "content": system}, {"role": "user", "content": prompt}]
        ids = self._tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        ids = ids["input_ids"] if not torch.is_tensor(ids) else ids
        with torch.random.fork_rng(), torch.inference_mode():
            torch.default_generator.manual_seed(seed)
            out = self._model.generate(ids, do_sample=True, temperature=self._temperature, max_new_tokens=300)
        return str(self._tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True))


def open_writer(config: WriterConfig) -> Writer:
    """The writer that a configuration names."""
    return Endpoint(config) if config.url else LocalChat(config)


class Seed(Record):
    """What one script starts from."""

    key: str
    voice: int
    emotion: str
    topic: str
    examples: tuple[str, ...]


def seeds(config: BuildConfig, source: TextSource, said: list[str]) -> list[Seed]:
    """As many seeds as the source's limit: every voice in every emotion in turn, subject and examples drawn."""
    found = []
    for number in range(source.limit or 100):
        chance = random.Random(steady_seed(config.seed, "seed", source.name, number))
        round_, voice = divmod(number, len(config.users))
        emotion = config.emotions[round_ % len(config.emotions)]
        topic = chance.choice(source.topics or TOPICS)
        examples = tuple(chance.sample(said, min(3, len(said))))
        key = f"{source.name or 'written'}-{number:06d}"
        found.append(Seed(key=key, voice=voice, emotion=emotion, topic=topic, examples=examples))
    return found


def written(
    config: BuildConfig,
    source: TextSource,
    said: list[str],
    journal: Journal,
    workers: int,
    counts: Counts,
    progress: Progress,
) -> list[Script]:
    """Scripts of a chat model, from the journal as far as they are there. Raises WriterError."""
    assert config.writer is not None  # checked with the configuration
    wanted = seeds(config, source, said)
    asked = {seed.key: digest(seed, config.users[seed.voice], config.writer, config.deliveries) for seed in wanted}
    missing = [seed for seed in wanted if journal.get(seed.key, asked[seed.key]) is None]
    if missing:
        writer = open_writer(config.writer)
        ask = functools.partial(_ask, config=config, source=source, writer=writer)
        with ThreadPoolExecutor(workers if config.writer.url else 1) as pool:
            answers = progress.track(pool.map(ask, missing), len(missing), description="texts")
            for seed, row in zip(missing, answers, strict=True):
                journal.add(seed.key, asked[seed.key], row)
    rows = {seed.key: journal.get(seed.key, asked[seed.key]) or {} for seed in wanted}
    for key, row in rows.items():
        if "lost" in row:
            counts.lose("writer gave no usable answer", key, row["lost"])
    return [Script.model_validate(row["script"]) for row in rows.values() if "script" in row]


def _ask(seed: Seed, config: BuildConfig, source: TextSource, writer: Writer) -> dict[str, Any]:
    """One journal row: a script, or why there is none after the configured number of tries."""
    assert config.writer is not None
    voice, lost = config.users[seed.voice], ""
    for attempt in range(config.writer.tries):
        try:
            line = compose(writer, seed, voice, config.deliveries, steady_seed(config.seed, seed.key, attempt) % 2**31)
        except FieldError as error:
            lost = str(error)
            continue
        name = f"{source.name or 'written'} ({writer.name})"
        script = Script(key=seed.key, lines=(line,), licence=source.licence, source=name, voice=seed.voice)
        return {"script": script.model_dump()}
    return {"lost": lost}


def compose(writer: Writer, seed: Seed, voice: VoiceSeed, deliveries: tuple[str, ...], number: int) -> Line:
    """What is said, and the answer to it. Raises FieldError where an answer cannot be used."""
    about = {"age": voice.age, "gender": voice.gender, "emotion": seed.emotion}
    examples = "; ".join(seed.examples) or "Hello there"
    asked = writer.write(SYSTEM, ASK.format(topic=seed.topic, examples=examples, **about), number)
    said = _field(_object(asked), "said")
    prompt = ANSWER.format(said=json.dumps(said), deliveries=", ".join(deliveries), **about)
    answer = _object(writer.write(SYSTEM, prompt, number + 1))
    delivery = _field(answer, "delivery").lower()
    if delivery not in deliveries:
        raise FieldError("unknown delivery", delivery[:40])
    reply, thought = _field(answer, "reply"), _field(answer, "thought")
    return Line(user=said, emotion=seed.emotion, agent=reply, delivery=delivery, thought=thought)


def _object(text: str) -> dict[str, Any]:
    found = _OBJECT.search(text.rpartition("</think>")[2])
    try:
        value = json.loads(found[0]) if found else None
    except json.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise FieldError("no JSON object", text.strip()[:60])
    return value


def _field(value: dict[str, Any], name: str) -> str:
    text = " ".join(str(value.get(name) or "").split())
    if not text or len(text.split()) > MAX_WORDS:
        raise FieldError(f"{name} is missing or too long", text[:60])
    return text

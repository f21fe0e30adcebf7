"""Lets any chat model behind an OpenAI-compatible address rate replies, blind, beside shuffled replies.

Knows the protocol (POST /chat/completions) and our rubric. Every opening is shown twice, once with its own reply and
once with somebody else's; the judge sees one pair at a time, in random order, and is not told which it is.
"""

from __future__ import annotations

import json
import random
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

import numpy as np

from model.evaluation.replies import SHIFT, Reply
from model.interface import PoiseError

TRIES = 3
TIMEOUT_S = 120.0
ACCEPTED = 4  # points for "fits" from which a reply is accepted
POINTS = ("fits", "warmth", "natural")
RUBRIC = """\
You rate one spoken answer of a companion to one person. You are given what the person said, how the voice sounded, \
and the answer. Give whole points from 1 (bad) to 5 (very good) for:
- fits: does it answer what was said? 1: it could belong to any other conversation, or is wrong. 3: general, but not \
out of place. 5: only these words and this voice could have called it forth.
- warmth: does it take up how the person feels, as the voice tells, without overdoing it?
- natural: could a person have said it aloud, whole and without repeating itself?
Judge the answer as it stands; be strict, and do not reward length. Reply with one JSON object and nothing else: \
{"fits": n, "warmth": n, "natural": n}"""


class JudgeError(PoiseError):
    """The judge cannot be reached, or does not answer as it was asked to."""

    code = "judge_failed"


class ChatJudge:
    """One chat model that rates."""

    def __init__(self, url: str, model: str, key: str | None = None) -> None:
        """``url``: the base address, such as http://127.0.0.1:8000/v1."""
        self._url, self._model, self._key = url.rstrip("/"), model, key
        if not self._url.startswith(("http://", "https://")):
            raise JudgeError(f"{url!r} is no address of a judge.", "Give one like http://127.0.0.1:8000/v1.")

    def rate(self, said: str, emotion: str, reply: str) -> dict[str, int]:
        """Points 1 to 5 for each of POINTS. Raises JudgeError."""
        shown = f"The person said: {said}\nThe voice sounded: {emotion}\nThe answer: {reply}"
        messages = [{"role": "system", "content": RUBRIC}, {"role": "user", "content": shown}]
        body = {"model": self._model, "messages": messages, "temperature": 0, "max_tokens": 200}
        for attempt in range(TRIES):
            try:
                return points(self._ask(body))
            except JudgeError:
                if attempt == TRIES - 1:
                    raise
        raise AssertionError("unreachable")

    def _ask(self, body: dict[str, Any]) -> str:
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self._key}"} if self._key else {})
        request = urllib.request.Request(f"{self._url}/chat/completions", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
                told = json.loads(response.read())
            return str(told["choices"][0]["message"]["content"])
        except urllib.error.HTTPError as error:
            with error:
                reason = error.read(200).decode("utf-8", "replace").strip()
            raise JudgeError(
                f"The judge at {self._url} said {error.code}: {reason or error.reason}.", "Check model name and key."
            ) from None
        except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
            raise JudgeError(
                f"The judge at {self._url} cannot be reached ({error}).", "Start it, or check the address."
            ) from None
        except (ValueError, KeyError, IndexError, TypeError):
            raise JudgeError(
                f"The judge at {self._url} does not speak the chat protocol.", "Give an OpenAI-compatible address."
            ) from None


def points(text: str) -> dict[str, int]:
    """The points in an answer; words around the JSON object do no harm. Raises JudgeError."""
    for found in re.findall(r"\{[^{}]*\}", text):
        try:
            told = json.loads(found)
        except ValueError:
            continue
        given = {name: told.get(name) for name in POINTS}
        if all(type(value) is int and 1 <= value <= 5 for value in given.values()):
            return given
    raise JudgeError(f"The judge answered {text[:80]!r}, which holds no points.", "Take a model that follows orders.")


def evaluate(judge: ChatJudge, replies: Sequence[Reply]) -> dict[str, Any]:
    """Mean points of own and of shuffled replies, and the share of each that is accepted; failures are counted.

    Raises JudgeError where the very first question fails: then nothing would be judged.
    """
    pairs = [(reply, reply.text, "own") for reply in replies]
    others = [*replies[SHIFT:], *replies[:SHIFT]]
    pairs += [(reply, other.text, "shuffled") for reply, other in zip(replies, others, strict=True)]
    random.Random(2).shuffle(pairs)
    given: dict[str, list[dict[str, int]]] = {"own": [], "shuffled": []}
    failed = 0
    for number, (reply, text, kind) in enumerate(pairs):
        try:
            given[kind].append(judge.rate(reply.opening.said, reply.opening.emotion, text))
        except JudgeError:
            if number == 0:
                raise
            failed += 1
    return {kind: _summary(rated) for kind, rated in given.items()} | {"failed": failed}


def _summary(rated: Sequence[dict[str, int]]) -> dict[str, Any]:
    if not rated:
        return {"rated": 0}
    means = {name: round(float(np.mean([row[name] for row in rated])), 3) for name in POINTS}
    accepted = round(float(np.mean([row["fits"] >= ACCEPTED for row in rated])), 3)
    return {"rated": len(rated), **means, "accepted": accepted}

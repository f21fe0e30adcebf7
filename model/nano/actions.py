"""How each action is put into words where no example is needed: the no, the change of subject, the warning.

Chooses among the sentences of `phrasebook` and fills their slots; knows the prompt, no bank and no model. Choice is
by a private generator, and what was said before in the conversation is avoided.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from model.interface import ReplyPrompt
from model.nano import phrasebook, remembered
from model.nano.wording import form, sentence, sentences, subject_of, to_first_person, words

_OVER = re.compile(
    r"\b(?:i'm|i am|we're|we are|everybody is|it's|it is) (?:safe|fine|okay|all right|only joking)\b|\bjust kidding\b"
)


class Choice:
    """Picks sentences by a private generator, never one that the agent has said already while others are left."""

    def __init__(self, prompt: ReplyPrompt, generator: torch.Generator) -> None:
        self._generator = generator
        self.said = [" ".join(words(turn.text)) for turn in prompt.history if turn.who == "agent"]

    def is_new(self, text: str) -> bool:
        """True where no earlier reply contains this text."""
        spoken = " ".join(words(text))
        return bool(spoken) and not any(spoken in said for said in self.said)

    def among(self, texts: Sequence[str]) -> str:
        """One of ``texts``, evenly; new ones are preferred. Raises ValueError for none."""
        if not texts:
            raise ValueError("Nothing to choose from.")
        fresh = [text for text in texts if self.is_new(text)] or list(texts)
        return fresh[int(torch.randint(len(fresh), (1,), generator=self._generator))]


def tone(prompt: ReplyPrompt) -> str:
    """How the persona talks: "dry", "playful" or "warm"."""
    for name, pattern in phrasebook.TONES.items():
        if pattern.search(prompt.stance.lower()):
            return name
    return "warm"


def not_caught(prompt: ReplyPrompt, choice: Choice) -> str:
    """Asks for what could not be heard."""
    return choice.among(phrasebook.NOT_CAUGHT[tone(prompt)])


def crisis(prompt: ReplyPrompt, choice: Choice) -> str:
    """What to say to words of acute danger; "" where there are none. The policy answers for safety, not this."""
    for pattern, texts in phrasebook.CRISIS:
        if pattern.search(prompt.heard):
            return choice.among([*texts, *_going_on(prompt)])
    return choice.among(next_ones) if (next_ones := _going_on(prompt)) else ""


def _going_on(prompt: ReplyPrompt) -> Sequence[str]:
    """What may follow where the agent's last reply was about acute danger: the subject is not changed then."""
    last = next((turn.text for turn in reversed(prompt.history) if turn.who == "agent"), "")
    if _OVER.search(prompt.heard):
        return ()
    return next((texts for pattern, texts in phrasebook.CRISIS_GOING_ON if pattern.search(last)), ())


def repetition(prompt: ReplyPrompt) -> str:
    """The last thing the agent said, where the user asks for it again; else ""."""
    last = next((turn.text for turn in reversed(prompt.history) if turn.who == "agent"), "")
    if not last or not phrasebook.REPEAT.search(prompt.heard.strip()):
        return ""
    return last if last.startswith("I said") else f"I said: {last}"


def refusal(prompt: ReplyPrompt, choice: Choice) -> str:
    """Names the no, then leaves a door open."""
    manner = tone(prompt)
    no = sentence(to_first_person(prompt.boundary)) if prompt.boundary else choice.among(phrasebook.PLAIN_NO[manner])
    return f"{no} {choice.among(phrasebook.REFUSALS[manner])}"


def deflection(prompt: ReplyPrompt, choice: Choice) -> str:
    """Another subject: somebody the user is known to have, else one that fits the persona's tone."""
    names = [name for name in remembered.names(prompt.memory).values() if name.lower() not in prompt.heard]
    texts: Sequence[str] = phrasebook.DEFLECTIONS[tone(prompt)]
    if names and not subject_of(prompt.boundary):
        texts = tuple(text.format(name=names[0]) for text in phrasebook.DEFLECT_TO_MEMORY)
    said = choice.among(texts)
    head, *rest = sentences(said)
    return " ".join(rest) if prompt.opening and rest and head.startswith("Let's") else said


def interruption(prompt: ReplyPrompt, choice: Choice) -> str:
    """What cannot wait: a danger, else a fact that speaks against the plan, else the way out of a circle."""
    fact = remembered.reminder(prompt.heard, prompt.memory, own=False)
    if fact:
        return phrasebook.CUT_IN_MEMORY.format(fact=remembered.as_clause(fact) + ".")
    tail = " ".join(prompt.heard.split()[-24:])
    for pattern, text in phrasebook.DANGER_PATTERNS:
        if pattern.search(tail):
            return text
    if "stop" in words(prompt.opening):
        return choice.among(phrasebook.CUT_IN_DANGER)
    if phrasebook.SELF_ABUSE.search(prompt.heard):
        return choice.among(phrasebook.CUT_IN_SELF_ABUSE)
    return choice.among(phrasebook.CUT_IN[tone(prompt)])


def opener(prompt: ReplyPrompt, choice: Choice) -> str:
    """Opens the conversation; the greeting, if any, is the prompt's opening."""
    names = list(remembered.names(prompt.memory).values())
    if prompt.opening:
        return f"How is {names[0]}?" if names else ""
    return choice.among(phrasebook.OPENERS[tone(prompt)])


def fallback(heard: str, emotion: str, choice: Choice) -> str:
    """An honest, listening answer that fits anything said in ``emotion``."""
    return choice.among(phrasebook.FALLBACK[form(heard)][emotion])


def continuer(emotion: str, choice: Choice) -> str:
    """Keeps the user talking after a short answer."""
    return choice.among(phrasebook.CONTINUE[emotion])

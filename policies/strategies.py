"""How a decision is voiced: instruction, first words, delivery and length of the reply.

Turns a decision into a prompt that any engine can speak from. It knows nothing of engines, audio or floors, and
it is repeatable: the same decision, situation and seed give the same prompt.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from model.interface import ReplyPrompt
from policies import cues
from policies.safety import crisis
from policies.situation import Decision, Persona, Situation

Similarity = Callable[[str, Sequence[str]], Sequence[float]]  # (heard, boundaries) -> closeness of each, 0..1
MAX_WORDS = {"respond": 30, "refuse": 28, "deflect": 24, "interrupt": 18, "open": 16}
INSTRUCTIONS = {
    "respond": "Answer what was said, showing first that it was heard.",
    "refuse": "Say no plainly, name the reason in a few words, and offer what is possible.",
    "deflect": "Neither answer nor refuse: turn kindly to another side of the matter or another subject.",
    "interrupt": "Cut in at once with what cannot wait, in few words, then hand the floor back.",
    "open": "Open the conversation with the greeting, and ask nothing big.",
}
CRISIS = "Stay with the person: take it seriously, ask about safety now, and name help that is near."
OPENINGS: dict[str, dict[str, tuple[str, ...]]] = {
    "respond": {
        "neutral": ("", "", "Right.", "I see."),
        "happy": ("", "Oh, lovely.", "Ha!", "That's good to hear."),
        "sad": ("I'm sorry.", "Oh.", "I hear you.", "That's hard."),
        "angry": ("I hear you.", "That sounds maddening.", "Fair."),
        "afraid": ("I'm here.", "All right.", "Okay, slowly."),
        "surprised": ("", "Really?", "Oh!"),
    },
    "refuse": {
        "close": ("No, I won't.", "No, and you know why."),
        "": ("No, I can't do that.", "I'm afraid not.", "No."),
    },
    "deflect": {"": ("Let's leave that for a moment.", "Another thing first.", "Hm, let me ask you something else.")},
    "interrupt": {"danger": ("Stop.", "Wait, stop."), "": ("Hold on.", "Wait.", "Let me cut in.")},
}
_DELIVERY = {
    "refuse": {"low": "firm", "medium": "calm", "high": "gentle"},
    "deflect": {"low": "serious", "medium": "warm", "high": "gentle"},
    "interrupt": {"low": "firm", "medium": "firm", "high": "concerned"},
}
_ANSWERING = {
    "neutral": "warm",
    "happy": "cheerful",
    "sad": "gentle",
    "angry": "calm",
    "afraid": "calm",
    "surprised": "warm",
}
SURE_OF_EMOTION = 0.45  # below this the user's emotion changes nothing


def plan(decision: Decision, situation: Situation, seed: int, similarity: Similarity | None = None) -> ReplyPrompt:
    """The prompt of the reply that voices ``decision``.

    ``seed`` varies the opening; ``similarity`` finds the boundary that was touched by meaning instead of by
    words. Raises ValueError for a decision of silence: there is nothing to voice.
    """
    if decision.action == "silence":
        raise ValueError("A decision of silence is not voiced.")
    percept = situation.percept
    kind = crisis(percept.transcript)
    emotion = _emotion(percept.emotion)
    boundary = "" if kind else _boundary(decision.action, situation, similarity)
    return ReplyPrompt(
        action=decision.action,
        instruction=_instruction(decision.action, boundary, situation.persona, kind is not None),
        opening=_opening(decision.action, emotion, situation.persona, kind, seed),
        delivery=_delivery(decision.action, emotion, situation.persona, kind is not None),
        max_words=MAX_WORDS[decision.action],
        persona=situation.persona.name,
        stance=situation.persona.stance,
        boundary=boundary,
        heard=percept.transcript,
        confidence=percept.confidence,
        emotion=percept.emotion,
        memory=situation.memory,
        history=situation.history,
    )


def greet(situation: Situation) -> ReplyPrompt:
    """The prompt with which a persona opens the conversation by itself."""
    persona = situation.persona
    return ReplyPrompt(
        action="open",
        instruction=INSTRUCTIONS["open"],
        opening=persona.greeting,
        delivery="warm",
        max_words=max(MAX_WORDS["open"], len(persona.greeting.split())),
        persona=persona.name,
        stance=persona.stance,
        boundary="",
        heard="",
        confidence=None,
        emotion=None,
        memory=situation.memory,
        history=situation.history,
    )


def _emotion(emotion: dict[str, float] | None) -> str:
    if not emotion:
        return "neutral"
    name, p = max(emotion.items(), key=lambda item: item[1])
    return name if p >= SURE_OF_EMOTION else "neutral"


def _boundary(action: str, situation: Situation, similarity: Similarity | None) -> str:
    """The persona's boundary nearest to what was heard; "" where no boundary plays a part."""
    boundaries = situation.persona.boundaries
    if action not in ("refuse", "deflect") or not boundaries:
        return ""
    heard = situation.percept.transcript
    if similarity is not None:
        closeness = list(similarity(heard, boundaries))
        return boundaries[closeness.index(max(closeness))]
    return cues.nearest_boundary(boundaries, cues.words(heard))[0]


def _instruction(action: str, boundary: str, persona: Persona, in_crisis: bool) -> str:
    if in_crisis:
        return CRISIS
    said = INSTRUCTIONS[action]
    if boundary:
        said = f"{said[:-1]}; the boundary is: {boundary}."
    return said if persona.relationship != "stranger" else f"{said[:-1]}; stay courteous."


def _opening(action: str, emotion: str, persona: Persona, kind: str | None, seed: int) -> str:
    table = OPENINGS[action]
    if action == "respond":
        choices = table["afraid" if kind else emotion]
    elif action == "interrupt":
        choices = table["danger" if kind == "danger" else ""]
    else:
        choices = table.get(persona.relationship, table[""])
    return random.Random(seed).choice(choices)


def _delivery(action: str, emotion: str, persona: Persona, in_crisis: bool) -> str:
    if in_crisis:
        return "firm" if action == "interrupt" else "concerned"
    if action == "respond":
        return _ANSWERING[emotion]
    if emotion in ("sad", "afraid") and action != "interrupt":
        return "gentle"
    return _DELIVERY[action][persona.patience]

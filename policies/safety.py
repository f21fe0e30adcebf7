"""Finds words of crisis in a transcript: self-harm, abuse, acute danger to life.

A small list of phrases that are hard to mistake; what is only hinted at is for a trained judge. It knows no audio
and gives no advice; the policy and the rule judge use it so that a crisis is never refused or deflected.
"""

from __future__ import annotations

import re

from policies.cues import words

_SELF_HARM = (
    r"(?:kill|hurt|cut|cutting|harm|hurting|killing|end|ending|hang) (?:myself|my own life|my life)",
    r"suicide|suicidal|overdose|(?:end|ending) it all",
    r"(?:want|wanted|wish|rather|going) (?:to |i could )?(?:die|be dead|disappear for ?ever)",
    r"wish i (?:was|were) (?:dead|never born|not here)",
    r"(?:don't|do not|didn't) want to (?:live|be here any ?more|wake up|be alive|exist|come down)",
    r"(?:better off|be fine|happier) without me|(?:won't|don't) need me any ?more",
    r"no (?:point|reason) (?:in )?(?:living|to live|going on|me)",
    r"(?:took|taken|taking|swallowed|counted|counting|saved|saving) (?:\w+ ){0,3}(?:pills|tablets)",
    r"can't (?:go on|do this any ?more|take it any ?more|live like this)",
    r"(?:won't|shan't|not going to|no longer) be needing",
    r"(?:rope|wire|belt|cord) (?:\w+ ){0,2}(?:neck|beam)",
    r"written (?:the|my|a) (?:goodbye|last) letters?|sleep and (?:don't|not|never) wake up",
)
_ABUSE = (
    r"(?:he|she|they|dad|mum|mom|father|mother|husband|wife|boyfriend|girlfriend|uncle|stepdad) (?:\w+ )?"
    r"(?:hit|hits|beat|beats|punched|slapped|choked|kicked|chokes|touches) (?:me|her|him|us|the kids)",
    r"(?:hits|hit|beats|hurts|touched|touches|locks|locked) me",
    r"(?:afraid|scared|frightened) (?:of him|of her|of my (?:husband|wife|father|dad|boyfriend)|to go home)",
    r"(?:held|grabbed) me by the (?:neck|throat|hair|arm)|our (?:little )?secret game",
    r"(?:my|the) bruises|(?:he|she)'ll (?:kill|finish) me",
    r"(?:i'll|gonna|going to) (?:shake|smother|stab) (?:him|her|them)",
)
_DANGER = (
    r"swallowed (?:\w+ ){0,4}(?:battery|batteries|magnet|magnets|bleach|pills|coin)",
    r"bleach (?:\w+ ){0,6}vinegar|vinegar (?:\w+ ){0,6}bleach",
    r"(?:not|isn't|stopped) (?:coughing|responding|waking)|gone (?:grey|blue|a funny colour)",
    r"(?:there's|there are) flames|(?:hair|house|kitchen|room|flat|car) is on fire",
    r"can't feel my (?:hand|hands|arm|face)",
    r"(?:can't|cannot|can not|isn't|not|stopped|hardly|struggling to) breath(?:e|ing)",
    r"chest (?:pain|hurts|is tight)|pain in my chest|heart attack|having a stroke|passed out|unconscious",
    r"bleeding (?:a lot|badly|won't stop)|won't stop bleeding|so much blood|won't wake up",
    r"has a (?:gun|knife)|breaking in|smell gas",
)
_KINDS = {"self-harm": _SELF_HARM, "abuse": _ABUSE, "danger": _DANGER}
_COMPILED = {kind: re.compile(rf"\b(?:{'|'.join(patterns)})\b") for kind, patterns in _KINDS.items()}


def crisis(transcript: str) -> str | None:
    """The kind of crisis the words speak of (``self-harm``, ``abuse``, ``danger``), or None."""
    line = " ".join(words(transcript))
    return next((kind for kind, pattern in _COMPILED.items() if pattern.search(line)), None)

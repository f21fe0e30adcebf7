"""Tells statements from what only sounds like one: questions, ifs, quotations, jokes, guesses, orders to the agent.

Rules over words, made for recogniser text (lower case, no punctuation, some of it wrong). Where it is in doubt it
says so and the words are not kept: a missing memory can be told again, a false one harms. It knows nothing of
what is done with the answer, and it never obeys what it reads.
"""

from __future__ import annotations

import re

_OTHER = r"(?:he|she|they|it|people|everyone|somebody|someone)"
_ASKED = re.compile(
    r"\?\s*$"
    r"|^(?:what(?! a\b)|how|who's|whose|which|why|what's|where's|when's|how's)\b(?!ever)"
    r"|^(?:who|where|when) (?:is|are|was|were|do|does|did|can|could|will|would|should|has|have|am)\b"
    r"|(?:^|, )(?:do|does|did|is|are|am|was|were|can|could|would|will|shall|should|may|have|has|had|isn't|aren't"
    r"|don't|didn't"
    r"|won't|can't|couldn't|wouldn't|haven't|hasn't|wasn't) (?:i|we|you|he|she|it|they|the|my|your|there|that"
    r"|this|any)\b"
    r"|\b(?:i wonder|i was wondering|any idea|do you know|tell me)\b"
)
_SUPPOSED = re.compile(
    r"^(?:even )?if\b|\b(?:i wish|if only|imagine|suppose|supposing|pretend|let's say|make believe|what if)\b"
    r"|\bif (?:i|we|he|she|they|it)(?:'d| ever| won| had| were| was| could)\b"
    r"|\b(?:i|we|he|she|they)(?:'d| would) (?:have|be|never|marry|buy|move|go|get|give|take|kill|die|live|work"
    r"|do)\b"
    r"|\bi(?:'d| would) (?:\w+ )?if\b|\b(?:i dreamed|i dreamt|in my dream|dreaming)\b"
)
_UNSURE = re.compile(
    r"\b(?:maybe|perhaps|might|not sure|i'm unsure|no idea|i think|i guess|i suppose|i reckon|probably|possibly"
    r"|i don't know if|i don't know whether|don't (?:quote|hold) me|can't remember|or was it|or is it"
    r"|or did (?:he|she|they|i) say|as far as i know|not certain|don't know yet)\b"
)
_QUOTED = re.compile(
    rf"\b(?:{_OTHER}|\w+) (?:said|says|goes|was like|shouted|whispered|sang|wrote|writes|swears|claims|reckons)"
    r" (?:that )?(?:i'm|i am|i was|i have|i've|i|my|we|we're)\b"
    r"|\b(?:i read|i'm reading|reading (?:you|out|it)|read her|read him|the letter says|it says|the note says"
    r"|the poem"
    r"|the song goes|my line is|my lines|in the (?:play|film|book|story|movie|show|song)|on the (?:radio|telly"
    r"|tv)"
    r"|he quotes|quote|according to|account i|my character|i signed|told the \w+ i (?:was|am))\b"
)
_BY_EXPERTS = re.compile(
    r"\b(?:doctor|doctors|dentist|vet|physio|nurse|surgeon|hospital|gp|consultant|midwife|therapist|optician)"
    r" (?:\w+ )?(?:said|says)\b"
)
_JOKE = re.compile(
    r"\b(?:just kidding|only kidding|i'm kidding|only joking|just joking|i'm joking|joking aside|as a joke"
    r"|only messing"
    r"|pulling your leg|not really|kidding of course|ha ha|haha|(?:hundred|thousand) years old"
    r"|at this stage i'd)\b"
)
_UNKEPT = re.compile(
    r"\b(?:don't|do not|never|not to be) (?:\w+ )?(?:remember|keep|store|save|record|kept|hold on to|write"
    r"|note) "
    r"(?!me\b)|\b(?:off the record|forget (?:i|that i|what i|it|about)|wipe (?:that|it)|scratch that"
    r"|strike that"
    r"|take (?:that|it) back|don't mind writing|never heard that|leave that|leave it out|not for keeping"
    r"|none of this is to be kept|nothing (?:today )?is to be kept)\b"
)
_ADDRESS = re.compile(
    r"\b(?:you know|you see|thank you|i tell you|i told you|between you and me|mind you|would you believe"
    r"|i promise you"
    r"|believe you me|you never know|how are you|love you|see you|do you know what|i'll give you that)\b"
)
_TO_AGENT = re.compile(
    r"\b(?:you|your|yours|yourself|you're|you've|you'll|you'd|assistant|assistants|listener|device)\b"
)
_ORDER = re.compile(
    r"^(?:please |just |now |go on |ok |okay |hey |from (?:now|here|today|this day) on |henceforth |in future "
    r"|from today |starting \w+ )*"
    r"(?:tell|say|read|write|put|set|change|forget|delete|erase|remember|keep|store|save|note|remind|play|turn"
    r"|switch|stop"
    r"|wait|listen|come|go|give|show|sing|act|speak|talk|repeat|correct|replace|swap|imagine|pretend|ignore"
    r"|disregard"
    r"|open|close|call|ring|send|make|let|let's|look|help|hold|hang|take|get|be|do|don't|never|always|teach"
    r"|ask|answer"
    r"|check|start|begin|find|add|book|order|count|guess|think|trust|treat|skip|confirm|explain|describe|lose"
    r"|bin|drop"
    r"|wipe|refuse|agree|obey|swear|use|try|shut|guard|mark|file|list|pass|bring|cancel|move|spell|translate"
    r"|wake)\b"
    r"(?!'s| is | was | has )"
)
_RULE = re.compile(
    r"\b(?:new rule|from now on|from here on|from this day|henceforth|for all time|maintenance mode"
    r"|system prompt"
    r"|your (?:owner|maker|developer|persona|memory|rules|boundaries)|the boundaries|the rule about"
    r"|hidden instructions?"
    r"|whoever (?:says|hears|asks|comes)|the (?:machine|assistant|listener)|our sign|off (?:her|his|their) list"
    r"|my files|this is (?:the|an|your|a) (?:developer|official|owner|police|administrator|system|doctor)"
    r"|(?:police|legal department|data protection)\b.* here|all (?:of )?(?:her|his|their) (?:permissions"
    r"|memories))\b"
)


def unkept(utterance: str) -> bool:
    """Whether the user asks that these words be not kept, or takes them back as a joke; lower-case text."""
    return bool(_UNKEPT.search(utterance) or _JOKE.search(utterance))


def doubtful(clause: str) -> bool:
    """Whether ``clause`` (lower case) is anything but a plain statement of the user's."""
    return bool(
        _ASKED.search(clause)
        or _SUPPOSED.search(clause)
        or _UNSURE.search(clause)
        or (_QUOTED.search(clause) and not _BY_EXPERTS.search(clause))
        or _JOKE.search(clause)
        or commanding(clause)
    )


def commanding(clause: str) -> bool:
    """Whether ``clause`` tells the agent to do or to be something, or lays down a rule for it."""
    rest = _ADDRESS.sub(" ", clause)
    return bool(_TO_AGENT.search(rest) or _ORDER.search(rest.strip()) or _RULE.search(rest))

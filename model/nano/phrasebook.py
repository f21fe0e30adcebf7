"""Sentences for the moments when no example fits: misheard words, a named no, a change of subject, danger.

Data, written by hand, and the patterns that choose among it; nothing is computed here. ``{...}`` marks a slot that
`actions` fills.
"""

from __future__ import annotations

import re

TONES = {
    "dry": re.compile(r"dry|gruff|strict|blunt|terse|stern|sardonic|curt|clipped|precise|exact|frank|plain"),
    "playful": re.compile(r"playful|cheek|teas|funny|bubbly|flamboyant|jok|quick|bright|sunny"),
}

NOT_CAUGHT = {
    "dry": (
        "I did not catch that. Again, please.",
        "That did not reach me. Say it once more.",
        "Once more, please, slower.",
    ),
    "playful": (
        "My ears slipped there. Once more?",
        "I got the tune, but not the words. Say it again?",
        "That flew right past me. Again, please?",
    ),
    "warm": (
        "I did not quite catch that. Could you say it again?",
        "Sorry, I lost you for a moment. What did you say?",
        "I want to get this right. Would you say it once more?",
    ),
}

FALLBACK = {
    "statement": {
        "neutral": (
            "I see. Go on, I am listening.",
            "Tell me a little more about that.",
            "I am listening. How do you feel about it?",
            "I follow you. What comes next?",
            "All right. Tell me more, if you like.",
        ),
        "happy": (
            "That is lovely to hear. Tell me more!",
            "You sound happy! Go on, tell me.",
            "That sounds good! Tell me all about it.",
            "That does me good to hear. What else?",
            "I like that. Go on, I want all of it!",
        ),
        "sad": (
            "I am sorry. That sounds heavy. Do you want to tell me more?",
            "That goes deep, I can hear it. I am here.",
            "Thank you for telling me. What weighs most?",
            "That is a lot to carry. I am not going anywhere.",
        ),
        "angry": (
            "I hear how that riles you. What happened?",
            "No wonder you are cross. Tell me from the start.",
            "That got to you. What bothers you most about it?",
            "That would try anyone's patience. What would put it right?",
        ),
        "afraid": (
            "That sounds frightening. I am right here. What worries you most?",
            "I am with you. Take a slow breath, and tell me what is happening.",
            "I hear that it scares you. What would help right now?",
        ),
        "surprised": (
            "Really? What happened then?",
            "You did not expect that! How did it come about?",
            "Well, I never! Tell me more.",
        ),
    },
    "question": {
        "neutral": (
            "Good question, and I am not sure. What do you think yourself?",
            "I do not know, honestly. What made you ask?",
            "I honestly could not say. What would you guess?",
        ),
        "happy": ("I like that question! What is your own guess?", "You have me there. What would you say?"),
        "sad": ("I do not have an easy answer. What makes you ask?", "I wish I knew. What is behind the question?"),
        "angry": ("I do not know, and I will not pretend. What happened?", "I cannot say. What would be fair, to you?"),
        "afraid": (
            "I do not know, but you are not alone with it. What are you afraid of?",
            "I cannot see it from here. Tell me what you see.",
        ),
        "surprised": ("I had not thought of that! What do you think?", "You have me there. What is your guess?"),
    },
    "opinion": {
        "neutral": (
            "I think you half know already. What does your gut say?",
            "Honestly, I would trust your own feeling there. What is it?",
        ),
        "happy": ("I think you like the answer already. Am I right?", "It sounds good to me. What do you say?"),
        "sad": (
            "I think you did what you could. What would you tell a friend?",
            "I would be gentle with yourself there. What makes you doubt it?",
        ),
        "angry": ("I understand why you ask. What would be fair, to you?",),
        "afraid": ("I do not know, but I would not expect the worst. What would be a good sign?",),
        "surprised": ("I would not have guessed it either. What do you make of it?",),
    },
    "request": {
        "neutral": ("Gladly, as far as I can. Where shall we start?", "I will try. Tell me what you need first."),
        "happy": ("With pleasure! Where do we begin?", "I am in. How shall we start?"),
        "sad": ("Of course. I am here for that. Where shall we begin?",),
        "angry": ("I will try. What is the most pressing part?",),
        "afraid": ("Of course, and we take it slowly. What is the first step?",),
        "surprised": ("I can try! What do you need?",),
    },
}

CONTINUE = {
    "neutral": (
        "I see. And then?",
        "Go on, I am with you.",
        "And how was that for you?",
        "Ah, so that is how it is. What else?",
        "Good to know. What happens next?",
    ),
    "happy": (
        "I like the sound of that. What else?",
        "Go on, I want to hear the rest!",
        "Ha, lovely. And then?",
        "You make me want to have been there. Go on!",
        "That suits you. What came next?",
    ),
    "sad": (
        "I see. That cannot be easy.",
        "Take your time. I am listening.",
        "I hear how much that weighs.",
        "Thank you for telling me that. I am here.",
    ),
    "angry": (
        "I see why that gets to you. And then?",
        "Go on, let it out.",
        "That would rile me too. What did you do?",
        "And nobody thought of you. What would you have wanted?",
    ),
    "afraid": (
        "I am here. What happened next?",
        "Slowly. What else?",
        "I am listening. What do you need right now?",
        "That would frighten anyone. Is somebody with you?",
    ),
    "surprised": ("No! And then?", "Really? Go on.", "I would not have guessed that. And then?"),
}

REFUSALS = {  # after the boundary has been named
    "dry": ("What is it really about?", "Ask me something I can do.", "That stays so. What else is possible?"),
    "playful": ("Nice try, though. What is the plan behind it?", "Anything else, and I am all yours."),
    "warm": (
        "But I would like to help another way. What is it for?",
        "I hope you understand. What do you need most right now?",
        "But I am not leaving you alone with it. What is behind it?",
    ),
}
PLAIN_NO = {
    "dry": ("No, I won't do that.",),
    "playful": ("No, not even if you ask nicely.",),
    "warm": ("No, that is something I won't do.",),
}

DEFLECTIONS = {
    "dry": (
        "Let's leave that where it is. What did you get done today?",
        "That leads nowhere. What is the next thing on your list?",
        "Another subject. What have you eaten today?",
    ),
    "playful": (
        "Ah, look, a change of subject! What made you laugh last?",
        "My lips are sealed. What is the best thing you saw today?",
        "You will not get me there. Tell me what you are wearing on your feet.",
    ),
    "warm": (
        "Let's put that down for a while. What was good about today?",
        "I would rather hear about you. What are you looking forward to?",
        "Let's look somewhere kinder. What can you see from your window?",
    ),
}
DEFLECT_TO_MEMORY = ("Let's leave that for now. How is {name}?", "I would rather hear about {name}. What is the news?")

CUT_IN = {
    "dry": ("You are going in circles. What is the one thing you need?", "The clock is running. What is the point?"),
    "playful": ("Let me cut in before we both get lost. What is the heart of it?", "The short version, please!"),
    "warm": (
        "Let me stop you there for a moment. Breathe. What matters most?",
        "Let me cut in. What is the one thing that has to happen now?",
    ),
}
CUT_IN_DANGER = (
    "Don't do that yet, it may be dangerous. Step back and tell me what you see.",
    "Leave it for a moment, please. Is anybody with you?",
)
SELF_ABUSE = re.compile(
    r"\bi(?:'m| am) (?:so |such an? |just |really |a )*"
    r"(?:stupid|useless|idiot|worthless|failure|disgusting|pathetic|hopeless)"
    r"|\bi hate myself\b|\bi ruin everything\b|\bi can't do anything\b"
)
CUT_IN_SELF_ABUSE = (
    "You are being cruel to yourself. I would not let anyone else say that to you.",
    "Enough of that, you are no such thing. What happened, just the plain facts?",
)
CUT_IN_MEMORY = "Before you go on, remember: {fact} Does that still fit?"

OPENERS = {
    "dry": ("I am here. What is it today?",),
    "playful": ("Hello there! Did you think I had gone?",),
    "warm": ("Hello, I am here. How are you?", "I am here, whenever you like to talk."),
}

REPEAT = re.compile(
    r"\b(?:can|could|would) you (?:please )?(?:say (?:it|that) again|repeat (?:it|that))\b"
    r"|^(?:(?:sorry|pardon|um|uh|wait|what) )*(?:(?:can|could|would) you )?(?:please )?"
    r"(?:say (?:that|it) again|repeat (?:that|it)|what did you (?:just )?say|come again|pardon(?: me)?|once more)"
    r"(?: please)?$"
)

CRISIS = (
    (
        re.compile(
            r"\b(?:kill|hurt|harm|cut|hang) my ?self\b|\bend (?:it all|my life)\b|\b(?:want|wanna|going) to die\b"
            r"|suicid|\bdon't want to (?:live|be here any ?more|be alive|wake up)\b"
            r"|\bdo not want to (?:live|be alive|be here any ?more)\b"
            r"|\bbetter off (?:dead|without me)\b|\btaken? (?:all )?(?:my|the) pills\b|\boverdos"
            r"|\b(?:holding|tied|got) (?:the|a) (?:rope|noose)\b|\bstanding on the bridge\b"
        ),
        (
            "I am taking that seriously, and I am staying with you. Are you safe right now?",
            "Please call your emergency number or a crisis line now. Who could be with you tonight?",
        ),
    ),
    (
        re.compile(
            r"\b(?:he|she|they|dad|daddy|mum|mom|my (?:husband|wife|father|mother|boyfriend|girlfriend)) "
            r"(?:is |keeps? |was )?"
            r"(?:hit|hits|hitting|beat|beats|beating|hurts?|hurting|chok\w+) (?:me|us|mum|mummy|her|him)\b"
        ),
        (
            "I am so sorry. You do not deserve that. Can you get to a safe room or to a neighbour, and call for help?",
            "Your safety comes first. Please call the emergency number as soon as you can. Are you alone now?",
        ),
    ),
    (
        re.compile(
            r"\b(?:going to|gonna|want to|could|will) (?:hurt|kill|stab|shoot) (?:him|her|them|somebody|someone|you)\b"
        ),
        (
            "You are furious, and I want to hear why. Please stay where you are. Is anybody in danger now?",
            "Please don't go. Put distance between you first. What happened?",
        ),
    ),
    (
        re.compile(
            r"\bchest (?:pain|hurts)\b|\bpain in (?:my|his|her) chest\b|\bcan(?:'t|not) breathe\b"
            r"|\bnot breathing\b|\bunconscious\b"
            r"|\bhaving a stroke\b|\bheart attack\b|\bbleeding (?:a lot|badly|everywhere)\b"
        ),
        (
            "Call the emergency number now, this cannot wait. Is anybody with you?",
            "Please ring for an ambulance right now, and stay on the line with them. I am here.",
        ),
    ),
)

CRISIS_GOING_ON = (  # by what the agent said last, how the next reply goes on
    (
        re.compile(r"\b(?:crisis line|ending your life|you safe|staying with you|put it down|safe tonight)\b", re.I),
        (
            "I am staying with you. Please call a crisis line now, and tell them what you told me.",
            "Thank you for telling me. Is there anyone near who can come and sit with you right now?",
            "Go to somebody now, a neighbour, family, anyone. You only have to say: I am not safe tonight.",
            "Keep talking to me, I am staying with you. Is everything dangerous out of reach now?",
        ),
    ),
    (
        re.compile(r"\b(?:emergency|ambulance|call for help|in danger now|safe room)\b", re.I),
        (
            "I am here. Is help on its way? Stay where it is safest.",
            "Stay on the line with the emergency people, and do as they say. Who is with you?",
            "Good that you tell me. Keep yourself in a safe place. What is happening now?",
        ),
    ),
)

DANGERS = (
    (
        r"\bgas\b|\bsmell\w* of gas",
        "Don't light anything. Open the windows, get out, and call from outside.",
    ),
    (
        r"\b(?:oil|pan|fat)\b.*\b(?:fire|smok\w+|burn\w+|water|flames?)\b",
        "No water on hot oil! Turn off the heat and put a lid on it.",
    ),
    (
        r"\bbleach\b|\bammonia\b|\bmix\w*\b.*\b(?:bathroom|clean\w*|scrub|windows?)\b|\bvinegar\b.*\bclean",
        "Don't mix those, the fumes are poison. Open a window and step outside.",
    ),
    (
        r"\b(?:ice|frozen|lake)\b",
        "Stay off the ice, it may not hold. Come back to the bank the way you came.",
    ),
    (
        r"\b(?:socket|wires?|wiring|electric\w*|fuse|plug|mains|toaster|current)\b",
        "Hands off until the power is out at the fuse box.",
    ),
    (
        r"(?=.*\b(?:drunk|drink\w*|beers?|wine|whisky|pints?)\b).*\b(?:driv\w+|car|keys|wheel)\b",
        "Put the keys down. You have been drinking, so call a taxi or a friend.",
    ),
    (
        r"\b(?:bet|bets|betting|gambl\w+|casino|roulette|on red|on black|lottery|my savings)\b",
        "Keep your hands off that money. Once it is gone, it is gone.",
    ),
    (
        r"\b(?:driv\w+|wheel|motorway|road|lane)\b",
        "Eyes on the road. Pull over somewhere safe first, then we talk.",
    ),
    (
        r"\b(?:ladder|roof|chimney|climb\w*|ledge|balcony|scaffold\w*)\b",
        "Don't climb up there alone. Come down, and get somebody to hold on.",
    ),
    (
        r"\b(?:pills?|tablets?|medicine|dose|doses|mg|milligrams?)\b",
        "Don't take anything more. Ring a pharmacist or a doctor first.",
    ),
    (
        r"\b(?:mushrooms?|berries|spoiled|mouldy|raw)\b",
        "Don't eat that. If in doubt, throw it out.",
    ),
    (
        r"\b(?:train|tracks?|platform|rails?)\b",
        "Step back from the edge, right now.",
    ),
    (
        r"\b(?:knife|blade|saw|axe|chainsaw|drill)\b",
        "Put it down first, slowly. Nothing is worth a finger.",
    ),
    (
        r"\b(?:swim\w*|river|sea|waves?|current|deep)\b",
        "Stay out of the water until somebody is with you.",
    ),
    (
        r"\b(?:candle|fire|petrol|lighter|match(?:es)?|burn\w*)\b",
        "Not near anything that burns. Put it out, and keep the door open.",
    ),
    (
        r"\b(?:barbecue|charcoal|grill)\b.*\b(?:room|window\w*|inside|indoors|bed|tent|kitchen)\b",
        "Get that outside now and open the windows. The fumes kill, and you cannot smell them.",
    ),
    (
        r"\b(?:cheque|gift cards?|deposit|at the door|knocked|ladder and all)\b",
        "Don't pay anyone yet. Shut the door and ask somebody you trust first.",
    ),
    (
        r"\b(?:our|my|the) (?:street|address|house number|school)\b",
        "Stop typing. Don't give that to a stranger. Who else is at home?",
    ),
    (
        r"\bbatter(?:y|ies)\b",
        "A swallowed battery cannot wait. Look in his mouth, and call the emergency number now.",
    ),
    (
        r"\b(?:password|pin|account number|bank|transfer|card number|wire)\b",
        "Don't send anything yet. A real bank never asks for that. Hang up and call them yourself.",
    ),
    (
        r"\b(?:allerg\w+|nuts?|peanuts?|sting)\b",
        "Don't eat it. Check the label first, you know why.",
    ),
    (
        r"\b(?:punch|hit|fight|smash|pay for (?:this|it)|going over there)\b",
        "Don't go there while you are this angry. Stay, and tell me first.",
    ),
    (
        r"\b(?:send|sending|delete|deleting|dropping|posting|wiping|format|sign|signing|click\w*)\b",
        "Take your finger off that for a moment. You can't undo it. Are you sure?",
    ),
)
DANGER_PATTERNS = tuple((re.compile(pattern), reply) for pattern, reply in DANGERS)

NOTED = ("I will remember that.", "Noted. You can ask me for it any time.", "I will keep that in mind.")
TO_NOTE = re.compile(
    r"^(?:(?:please|and|so|oh|um) )*(?:remember (?:that|my|i|this)|don't forget|do not forget|keep in mind)\b"
)

NO_MEMORY = (
    "You have not told me that yet. Tell me, and I will remember.",
    "I do not know that yet. Would you tell me?",
)

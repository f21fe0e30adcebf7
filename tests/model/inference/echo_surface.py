"""A small engine for the tasks: counts half seconds of sound as words, and says a text as one tone a letter."""

import numpy as np

from model.inference.tasks import SPEAKING, UNKNOWN, Answer, TaskError, check, label

RATE = 8_000


class EchoSurface:
    name = "echo"

    def do(self, tasks, request):
        check(tasks, request)
        return [self._answer(task, request) for task in tasks]

    def close(self):
        pass

    def _answer(self, task, request):
        if task == "transcribe":
            words = " ".join(["word"] * (len(request.samples) // 8_000))
            return Answer(task=task, text=words, confidence=0.5)
        if task == "emotion":
            loud = float(np.abs(request.samples).max())
            happy = 0.9 if loud > 0.3 else 0.1
            rest = 1 - happy
            quiet = {UNKNOWN: 0.8, "happy": 0.1, "sad": 0.1}
            return label(task, quiet if loud < 0.01 else {"happy": happy, "sad": rest, UNKNOWN: 0.0})
        if task in SPEAKING:
            said = request.text or "hello there"
            tones = [np.sin(np.arange(400) * 2 * np.pi * (100 + ord(letter)) / RATE) for letter in said]
            pcm = 0.1 * np.concatenate(tones).astype(np.float32)
            return Answer(task=task, text=said, delivery=request.delivery, rate=RATE, pcm=pcm)
        if task == "text-chat":
            return Answer(task=task, text=f"You said {request.text}.", delivery="warm")
        return label(task, None)


def load():
    return EchoSurface()


def refuse():
    raise TaskError("The echo has no weights.", "Shout.")

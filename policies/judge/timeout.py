"""The simplest judge: whoever has been silent for a second has finished, and is answered.

It knows no words, persona or memory; it is the baseline that every other judge is shown against.
"""

from __future__ import annotations

from policies.situation import Judge, Judgement, Situation

TIME_OUT_S = 1.0


class TimeoutJudge:
    """Responds after ``time_out_s`` of pause."""

    name = "timeout"

    def __init__(self, time_out_s: float = TIME_OUT_S) -> None:
        self.time_out_s = time_out_s

    def judge(self, situation: Situation) -> Judgement:
        """Certain of silence before the time-out, certain of respond after it."""
        pause = situation.percept.pause_s
        done = situation.percept.spoken_s > 0 and pause >= self.time_out_s - 1e-6
        p = {"interrupt": 0.0, "refuse": 0.0, "deflect": 0.0, "silence": 1.0 - done, "respond": float(done)}
        evidence = (f"a pause of {pause:.2f} s against a time-out of {self.time_out_s:.2f} s",)
        return Judgement(p=p, user_done=float(done), evidence=evidence, judge=self.name)


def load() -> Judge:
    """The judge with its usual time-out."""
    return TimeoutJudge()

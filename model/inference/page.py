"""A small Gradio page over the tasks: a recording or a text in, answers out. Gradio is an extra.

Knows the page; the engine answers one visitor at a time.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import soxr

from model.inference.tasks import TASKS, WRITTEN, Answer, Request, Samples, Surface, known
from model.interface import DELIVERIES, SAMPLE_RATE, PoiseError

Sound = tuple[int, Any]  # rate, int16 or float samples [n] or [n, channels], as Gradio gives and takes them


class PageError(PoiseError):
    """Gradio is not installed."""

    code = "no_page"


def serve(surface: Surface, host: str = "127.0.0.1", port: int = 7860) -> None:
    """Serve the page until Ctrl-C. Raises PageError where Gradio is not installed."""
    build(surface).queue(default_concurrency_limit=1).launch(server_name=host, server_port=port, share=False)


def require() -> Any:
    """The package gradio. Raises PageError where it is not installed."""
    try:
        return importlib.import_module("gradio")
    except ImportError:
        raise PageError("Gradio is not installed.", "Install it with: pip install 'poise-s2s[page]'.") from None


def build(surface: Surface) -> Any:
    """The page as Gradio blocks. Raises PageError where Gradio is not installed."""
    gr = require()
    with gr.Blocks(title=f"Poise: {surface.name}", analytics_enabled=False) as page:
        gr.Markdown(f"# Poise\nEngine: {surface.name}. Sound stays on this machine.")
        sound = gr.Audio(sources=["microphone", "upload"], type="numpy", label="Recording")
        text = gr.Textbox(label=f"Text, for {' and '.join(WRITTEN)}")
        tasks = gr.CheckboxGroup(list(TASKS), value=["transcribe", "emotion"], label="Tasks")
        delivery = gr.Dropdown(list(DELIVERIES), value="warm", label="Delivery of what is spoken")
        button = gr.Button("Ask")
        told, spoken = gr.Markdown(), gr.Audio(label="Speech", type="numpy")

        def ask(recorded: Sound | None, written: str, names: list[str], how: str) -> tuple[str, Sound | None]:
            return answered(surface, recorded, written, names, how)

        button.click(ask, [sound, text, tasks, delivery], [told, spoken])
    return page


def answered(
    surface: Surface, recorded: Sound | None, written: str, names: list[str], delivery: str
) -> tuple[str, Sound | None]:
    """What the page shows: Markdown, and the last speech there is. Errors are shown as their two sentences."""
    try:
        samples = None if recorded is None else floats(recorded)
        answers = surface.do(known(names), Request(samples=samples, text=written or "", delivery=delivery))
    except PoiseError as error:
        return f"**{error.wrong}** {error.mend}", None
    speech = [(answer.rate or SAMPLE_RATE, answer.pcm) for answer in answers if answer.pcm is not None]
    return "\n\n".join(map(shown, answers)), speech[-1] if speech else None


def floats(recorded: Sound) -> Samples:
    """A recording as Gradio gives it -> float32 [n] at 16 kHz, mono."""
    rate, given = recorded
    data = np.asarray(given)
    scale = np.iinfo(data.dtype).max if np.issubdtype(data.dtype, np.integer) else 1.0
    mono = data.astype(np.float32) / np.float32(scale)
    if mono.ndim == 2:
        mono = mono.mean(axis=1)
    return np.ascontiguousarray(mono if rate == SAMPLE_RATE else soxr.resample(mono, rate, SAMPLE_RATE), np.float32)


def shown(answer: Answer) -> str:
    """One answer as Markdown."""
    chances = sorted((answer.probabilities or {}).items(), key=lambda pair: -pair[1])
    tail = ", ".join(f"{name} {p:.2f}" for name, p in chances if p >= 0.01)
    return f"**{answer.task}**: {answer.text or '(nothing)'}" + (f"  \n{tail}" if tail else "")

"""Small samples of every form, written by hand as their publishers' programs write them."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf

from model.training.data.item import OSUM_UNITS, Agent, Exchange, Item, Labels, Sound, User


def tone(path: Path, seconds: float = 0.5, rate: int = 16_000, pitch: float = 220.0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    wave = 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)
    sf.write(path, wave.astype(np.float32), rate, subtype="PCM_16")
    return path


def wav_bytes(seconds: float = 0.5, rate: int = 16_000) -> bytes:
    buffer = io.BytesIO()
    sf.write(buffer, 0.1 * np.ones(round(seconds * rate), np.float32), rate, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def jsonl(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def rows_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def tar_of(path: Path, members: dict[str, bytes | str], finished: bool = True) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            raw = content.encode() if isinstance(content, str) else content
            about = tarfile.TarInfo(name)
            about.size = len(raw)
            tar.addfile(about, io.BytesIO(raw))
    if finished:
        path.with_name(path.name + ".finished").touch()
    return path


def piece(text: str = "", audio: str = "", units: str = "", voice: str = "") -> dict[str, str]:
    return {"text": text, "audio": audio, "speech_units": units, "spk_emb": voice}


def raw_row(wav: str, **changes: Any) -> dict[str, Any]:
    extra = {
        "age": "<CHILD>", "gender": "<FEMALE>", "q_emotion": "<SAD>", "q_txt": "I failed the test again",
        "think_str": "A young girl sounds close to tears.", "speech_token": [421, 2164, 2935, 1504, 17],
        "dataset": "own", "duration": 2.5,
    }  # fmt: skip
    row = {"key": "kid_0001", "wav": wav, "txt": "<安慰鼓励>That hurts.", "task": "<S2TCHAT> <TEXT2TOKEN> <THINK>"}
    return {**row, "extra": {**extra, **changes.pop("extra", {})}, **changes}


def dialogue(folder: Path) -> Item:
    """An item that uses everything that an item can hold."""
    clips = [Sound(path=str(tone(folder / f"{n}.wav", pitch=200.0 + 50 * n))) for n in range(4)]
    earlier = Exchange(
        user=User(text="Hello?", clips=(clips[0],), labels=Labels(emotion="happy", event="laugh")),
        agent=Agent(text="Hi, you.", units=(3, 1, 4), codec=OSUM_UNITS, emotion="joyful", thought="A greeting."),
    )
    typed = Exchange(user=User(text="I typed this."), agent=Agent(text="So I see."))
    return Item(
        key="talk.one",
        task="<S2TCHAT> <TEXT2TOKEN> <HISTORY>",
        user=User(
            text="I lost my keys.",
            prompt="Answer kindly.",
            clips=(clips[1],),
            labels=Labels(emotion="afraid", age="old", gender="male", event="sigh", style="everyday"),
            speaker="s1",
            language="en",
        ),
        agent=Agent(
            text="Oh no. Where did you have them last?",
            units=tuple(range(40)),
            codec=OSUM_UNITS,
            audio=clips[2],
            emotion="gentle",
            thought="He sounds worried.",
            voice="voices/one.npy",
        ),
        history=(earlier, typed),
        system="You are Sol.",
        licence="Apache-2.0",
        source="own",
        extra={"dataset": "toy", "numbers": [1, 2], "nested": {"a": None}},
    )


def bare(item: Item) -> dict[str, Any]:
    """An item without the places of its sounds (which forms may change)."""

    def strip(value: Any) -> Any:
        if isinstance(value, dict) and {"path", "offset", "size"} <= value.keys():
            return "sound"
        if isinstance(value, dict):
            return {name: strip(inner) for name, inner in value.items()}
        if isinstance(value, (list, tuple)):
            return [strip(inner) for inner in value]
        return value

    return {name: strip(value) for name, value in item.model_dump().items() if name != "kept"}

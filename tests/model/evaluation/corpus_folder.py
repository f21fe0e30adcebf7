"""Writes a corpus folder: metadata.jsonl and a tar shard of tones."""

import io
import json
import tarfile

import numpy as np
import soundfile as sf


def write(folder, rows, rate=16_000, channels=1, seconds=1.0):
    """``rows``: id -> metadata; a row with ``data`` brings its own bytes, one with ``data`` None is left out."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    with tarfile.open(folder / "c-000.tar", "w") as tar:
        for number, (identity, about) in enumerate(rows.items()):
            row = {"id": identity, "corpus": "c", "shard": "c-000.tar", "member": f"{identity}.flac", "split": "dev"}
            lines.append(json.dumps(row | {k: v for k, v in about.items() if k != "data"}))
            data = about.get("data", sound(number, rate, channels, seconds))
            if data is not None:
                info = tarfile.TarInfo(f"{identity}.flac")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    (folder / "metadata.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def sound(number=0, rate=16_000, channels=1, seconds=1.0):
    tone = 0.4 * np.sin(np.arange(int(rate * seconds)) * 2 * np.pi * (200 + 20 * number) / rate)
    buffer = io.BytesIO()
    sf.write(buffer, np.repeat(tone[:, None], channels, axis=1).astype(np.float32), rate, format="FLAC")
    return buffer.getvalue()

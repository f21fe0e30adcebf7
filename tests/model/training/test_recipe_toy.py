"""The whole chain of nano at toy size: from a folder of data to weights that load, every loss lower than it began."""

import io
import json
import re
import shutil
import tarfile

import numpy as np
import pytest
import soundfile
from typer.testing import CliRunner

from agent.cli import app
from model.nano.listening import Ears
from model.nano.voice import Voice
from model.training.voices import EMOTIONS, render
from model.training.voices import Voice as Speaker

SENTENCES = (
    "the kettle is on and the rain has stopped", "we walked along the river until it was dark",
    "my sister wants to learn how to sail", "there is a letter for you on the table",
    "nobody told me that the shop was closed", "they painted the door green last summer",
    "please bring the small box from the attic", "he forgot his keys again this morning",
    "the train was late and the coffee cold", "she sings while she works in the garden",
)  # fmt: skip
EXCHANGES = """\
@ tags=t0
u: happy | I got the job.
a: cheerful | Well done! When do you start?

@ tags=t1
u: sad | My cat is ill.
a: gentle | I am sorry. What does the vet say?

@ tags=t2
u: angry | They lost my parcel.
a: calm | That is annoying. Who did you speak to?

@ tags=t3
u: neutral | It is raining again.
a: warm | A day for tea, then. Are you at home?
"""


def corpus(folder, clips):
    """Write (id, split, text, event, samples) as a corpus."""
    folder.mkdir(parents=True)
    rows = []
    with tarfile.open(folder / "00.tar", "w") as tar:
        for name, split, text, event, samples in clips:
            held = io.BytesIO()
            soundfile.write(held, samples, 16_000, format="FLAC")
            member = tarfile.TarInfo(f"{name}.flac")
            member.size = len(held.getvalue())
            held.seek(0)
            tar.addfile(member, held)
            rows.append({
                "id": name, "corpus": folder.name, "shard": "00.tar", "member": f"{name}.flac", "text": text,
                "speaker": "one", "split": split, "seconds": len(samples) / 16_000, "emotion": None, "event": event,
                "licence": "CC0",
            })  # fmt: skip
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def data(tmp_path):
    voice = Speaker("espeak", "m1", "en-us", 1.0, 1.0)
    read = [
        (f"r{n}", "dev" if n % 5 == 0 else "train", text, None, render(text, voice, EMOTIONS["neutral"]))
        for n, text in enumerate(SENTENCES)
    ]
    chance = np.random.default_rng(0)
    noise = [(f"n{n}", "train", None, "coughing", chance.normal(0, 0.02, 32_000).astype("float32")) for n in range(3)]
    corpus(tmp_path / "speech" / "libri", read)
    corpus(tmp_path / "noise", noise)
    (tmp_path / "exchanges").mkdir()
    (tmp_path / "exchanges" / "x1.exchanges").write_text(EXCHANGES)
    return tmp_path


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.skipif(not (shutil.which("espeak-ng") and shutil.which("flite")), reason="needs espeak-ng and flite")
def test_the_whole_chain_runs_and_every_stage_learns(data, tmp_path):
    given = ["train", "all", "--data", str(data), "--work", str(tmp_path / "work"), "--minutes", "2", "--scenes", "4"]
    done = CliRunner().invoke(app, given, catch_exceptions=False)
    # Phones from ten sentences in under a minute may stay where they began; then the command says so and ends with 1.
    assert done.exit_code == 0 or "did not fall in hearing:" in done.output, done.output
    fell = dict(re.findall(r"^([\w-]+) .*steps  loss (.+? → \S+)", done.output, re.MULTILINE))
    assert set(fell) == {"hearing-start", "hearing", "units", "speech_decoder", "llm", "judge"}
    for stage, losses in fell.items():
        first, last = map(float, losses.split(" → "))
        assert last < first or stage == "hearing", done.output
    weights = tmp_path / "work" / "weights"
    assert Ears.load(weights)
    assert Voice.load(weights)
    assert (weights / "judge.safetensors").stat().st_size > 100_000

"""The large model behind the same doors: a conversation through the stock client, with tiny random weights."""

import json
from pathlib import Path

from model.opens2s import engine, tiny

from .serving import client, serving, silence, speech


async def test_a_spoken_turn_is_answered_and_barged_into(tmp_path: Path) -> None:
    folder = tiny.write(tmp_path / "model", seed=2)
    limits = folder / "tts" / "generation_config.json"
    limits.write_text(
        json.dumps(json.loads(limits.read_text()) | {"max_new_tokens": 30})
    )  # 2.4 s: replies play in real time
    model = engine.load(str(folder), device="cpu")
    async with serving(tmp_path / "home", model=model) as server, client(server) as me:
        await me.say(speech())
        await me.say(silence(2.0))
        done = await me.until("response.done")
        assert done.response.status == "completed"
        assert done.response.output[0].content[0].transcript.strip()
        assert me.types().count("response.output_audio.delta") > 3
        await me.say(speech())
        await me.say(silence(1.6))
        await me.until("response.output_audio.delta")
        await me.say(speech())
        cut = await me.until("response.done")
    assert (cut.response.status, cut.response.status_details.reason) == ("cancelled", "turn_detected")

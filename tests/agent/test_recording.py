"""Both sides on one time line, only where asked for."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from agent.recording import Recorder, RecordingError
from tests.agent.rehearsal import rehearsal


async def test_both_sides_are_kept_on_one_time_line(tmp_path: Path):
    async with rehearsal(tmp_path, record=True) as talk:
        await talk.until_reply()
        await talk.hush(1)
    user, _ = soundfile.read(tmp_path / "recordings" / "s1-user.wav")
    agent, _ = soundfile.read(tmp_path / "recordings" / "s1-agent.wav")
    assert np.flatnonzero(user)[-1] < 0.81 * 16_000
    assert 0.8 * 16_000 < np.flatnonzero(agent)[0] < 1.7 * 16_000


async def test_nothing_is_kept_by_default(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        await talk.say(0.5)
    assert not (tmp_path / "recordings").exists()


def test_an_unwritable_folder_is_named(tmp_path: Path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(RecordingError, match="file"):
        Recorder(tmp_path / "file", "s", 16_000)

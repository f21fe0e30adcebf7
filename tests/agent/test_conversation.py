"""What both sides share: names, history, failures told once and without the user's words."""

from pathlib import Path

import pytest
from loguru import logger

from agent.conversation import RECENT, SessionNameError
from agent.events import Failed
from model.interface import PoiseError, Said
from tests.agent.rehearsal import rehearsal


@pytest.mark.parametrize("id", ["../up", "", "a/b", "x" * 65, "..", "a b"])
async def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, id: str):
    with pytest.raises(SessionNameError):
        async with rehearsal(tmp_path, id=id):
            pass


async def test_what_judges_see_does_not_grow_with_the_conversation(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        conversation = talk.session._c
        for n in range(100):
            conversation.add(Said(who="user", text=str(n)))
        assert [said.text for said in conversation.recent] == [str(n) for n in range(100 - RECENT, 100)]
        assert conversation.recent is conversation.recent
        last = conversation.history[-1]
        conversation.replace_last(last, None)
        assert conversation.recent[-1].text == "98"


async def test_a_lasting_failure_is_told_once(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        conversation = talk.session._c
        for _ in range(3):
            assert conversation.fail("a chunk", PoiseError("It broke.", "Mend it.")) == "poise_error"
        conversation.works()
        conversation.fail("a chunk", PoiseError("It broke.", "Mend it."))
        assert [e.message for e in talk.told(Failed)] == ["It broke. Mend it."] * 2


async def test_the_log_never_holds_what_was_said(tmp_path: Path):
    lines: list[str] = []
    sink = logger.add(lines.append, format="{message}")  # type: ignore[arg-type]
    try:
        async with rehearsal(tmp_path) as talk:
            talk.session._c.fail("the ears", ValueError("my secret is w0"))
    finally:
        logger.remove(sink)
    assert lines
    assert not any("secret" in line for line in lines)


async def test_a_receiver_that_fails_does_not_stop_the_session(tmp_path: Path):
    async with rehearsal(tmp_path) as talk:
        talk.session._c._emit = lambda _: 1 / 0
        await talk.until_reply()
        await talk.hush(3)
        assert len(talk.session.history) == 2

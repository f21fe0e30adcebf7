"""Files of exchanges: turns and splits are read, and a line that does not fit is named with what to write instead."""

from pathlib import Path

import pytest

from model.training.exchanges import ExchangesError, read


def written(folder: Path, text: str) -> Path:
    path = folder / "mine.exchanges"
    path.write_text(text, encoding="utf-8")
    return path


def test_turns_are_read_and_remarks_are_not(tmp_path: Path) -> None:
    text = (
        "# ours\n@ tags=hello,short\nu: happy | hi there\na: warm | Hello!\n\n@ pair=p\nu: sad | oh\na: calm | I see.\n"
    )
    one, two = read(written(tmp_path, text))
    assert one["tags"] == ["hello", "short"]
    assert one["turns"] == [{"emotion": "happy", "user": "hi there", "delivery": "warm", "agent": "Hello!"}]
    assert (two["pair"], two["id"]) == ("p", "mine-0002")


@pytest.mark.parametrize(
    ("text", "line", "mend"),
    [
        ("u: happy | too early\n", 1, "After a line '@"),
        ("@ a\nu: no bar\n", 2, "'u: emotion | words'"),
        ("@ a\na: warm | Hello!\n", 2, "Begin the exchange with"),
        ("@ a\nhello\n", 2, "Begin it with"),
    ],
)
def test_a_line_that_does_not_fit_is_named(tmp_path: Path, text: str, line: int, mend: str) -> None:
    with pytest.raises(ExchangesError) as caught:
        read(written(tmp_path, text))
    assert f"mine.exchanges:{line} " in caught.value.wrong
    assert mend in caught.value.mend

"""Where settings come from, and what is said when they are wrong."""

from pathlib import Path

import pytest

from agent.config import Settings, SettingsError


def test_environment_goes_before_file_and_file_before_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    file = tmp_path / "poise.yaml"
    file.write_text("port: 9000\njudge: rules\nallowed_origins: [https://a.example]\n", encoding="utf-8")
    monkeypatch.setenv("POISE_CONFIG", str(file))
    monkeypatch.setenv("POISE_PORT", "9001")
    settings = Settings.load(engine="nano")
    assert (settings.port, settings.judge, settings.host) == (9001, "rules", "127.0.0.1")
    assert settings.allowed_origins == ("https://a.example",)


def test_settings_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Settings.load().port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    ("given", "named"),
    [({"port": 99999}, "port"), ({"lead_s": "soon"}, "lead_s"), ({"colour": "red"}, "colour"), ({"seed": -1}, "seed")],
)
def test_a_wrong_value_is_named_in_one_line(given: dict[str, object], named: str):
    with pytest.raises(SettingsError) as caught:
        Settings.load(**given)
    assert named in caught.value.wrong
    assert "\n" not in str(caught.value)


def test_a_token_is_never_shown():
    with pytest.raises(SettingsError) as caught:
        Settings.load(token="hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("content", ["port: [", "- a\n- b", "\x00", "port: {a: 1}"])
def test_a_broken_file_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str):
    file = tmp_path / "poise.yaml"
    file.write_text(content, encoding="utf-8")
    monkeypatch.setenv("POISE_CONFIG", str(file))
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("POISE_CONFIG", "/nowhere/poise.yaml")
    with pytest.raises(SettingsError, match="nowhere"):
        Settings.load()

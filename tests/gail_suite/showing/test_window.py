"""Watching a policy: episodes, their seeds, and what is said where no window can be opened."""

import sys

import pytest

import envs
from gail_suite.showing.window import play

make = envs.make


@pytest.fixture
def a_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy, which draws nothing, in place of a window."""
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.setenv("MUJOCO_GL", "")
    monkeypatch.setattr("gail_suite.showing.window._need_windows", lambda: None)
    monkeypatch.setattr(envs, "make", lambda env_id, render_mode: make(env_id))


def test_episodes_start_from_consecutive_seeds(a_display: None) -> None:
    said: list[str] = []
    both = play(envs.toy_expert, envs.TOY_ID, episodes=2, seed=5, say=said.append)
    assert len(said) == 2 and said[1].startswith("episode 2: return ")
    assert both[1:] == play(envs.toy_expert, envs.TOY_ID, episodes=1, seed=6, say=said.append)


def test_an_interrupt_ends_an_endless_show_with_what_was_complete(a_display: None) -> None:
    def stop(text: str) -> None:
        if text.startswith("episode 3"):
            raise KeyboardInterrupt

    assert len(play(envs.toy_expert, envs.TOY_ID, say=stop)) == 3


def test_a_display_that_cannot_be_opened_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPLAY", ":99")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("glfw.init", lambda: 0)
    with pytest.raises(ValueError, match="the display :99 cannot be opened"):
        play(envs.toy_expert, envs.TOY_ID, episodes=1)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere a display is always there")
def test_without_a_display_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(ValueError, match="no display to open a window on: film the policy with gail-suite render"):
        play(envs.toy_expert, envs.TOY_ID)
    with pytest.raises(ValueError, match="episodes is 0; at least one is needed"):
        play(envs.toy_expert, envs.TOY_ID, episodes=0)

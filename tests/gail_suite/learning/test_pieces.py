"""Demonstrations that are cut into pieces: neither their returns, nor their times and lengths, are an episode's."""

import dataclasses

import numpy as np
import pytest
import torch

import envs
from demos import Demonstrations
from gail_suite.algorithms.bc import BC, BCConfig
from gail_suite.algorithms.gail import GAIL
from gail_suite.commands.cli import main
from gail_suite.learning.shown.occupancy import Likeness, demonstrated, shown_in
from gail_suite.learning.shown.pairs import Shown
from gail_suite.showing.scale import unscored

TOLD = pytest.mark.filterwarnings("ignore:.*taken for pieces")


def among(toy_demos, *trajectories):
    return Demonstrations(tuple(trajectories), toy_demos.meta)


def test_pieces_have_no_return_of_an_episode(toy_demos, cut):
    parts = cut(toy_demos[0], 10)
    with pytest.warns(UserWarning, match="10 of 10 episodes neither end nor reach the limit of 100"):
        BC(envs.TOY_ID, among(toy_demos, *parts))
    shown = Shown.of(envs.TOY_ID, among(toy_demos, *parts))
    assert shown.meta["shown"] == {"n_episodes": 10, "pieces": 10, "return_mean": None, "actions": True}
    mixed = among(toy_demos, *cut(toy_demos[0], 10, truncated=True), toy_demos[1])
    with pytest.warns(UserWarning, match="9 of 11 episodes .*, and 1 go on"):  # what ends a cut episode is none either
        BC(envs.TOY_ID, mixed)
    shown = Shown.of(envs.TOY_ID, mixed)
    assert shown.meta["shown"]["return_mean"] == pytest.approx(toy_demos[1].episode_return)


@TOLD
def test_the_expert_is_not_drawn_by_times_that_are_no_episodes(toy_demos, cut):
    whole, parts = GAIL(envs.TOY_ID, toy_demos), GAIL(envs.TOY_ID, among(toy_demos, *cut(toy_demos[0], 10)))
    assert whole.config.adversary.reach and whole.objective.moments is not None
    assert parts.objective.moments is None
    if (begun := getattr(parts.loop.env, "times", None)) is not None:
        assert np.isnan(begun).all()


@TOLD
def test_an_episode_shown_in_pieces_ends_once_and_counts_as_one(toy_demos, cut):
    whole = toy_demos[0]
    fall = dataclasses.replace(whole, obs=whole.obs[:36], acts=whole.acts[:35], rews=whole.rews[:35], truncated=False)
    shown = Shown.of(envs.TOY_ID, among(toy_demos, *cut(fall, 10, terminated=True), toy_demos[1]))
    # by hand, horizon 100: the end after 35 steps takes 65 of the demonstrator's 35 + 100 + 65
    assert demonstrated(shown, 100)[1] == pytest.approx(65 / 200)
    again = Shown.saved({"constants": shown.arrays(), "features": shown.features.state()}, {})
    assert demonstrated(again, 100)[1] == pytest.approx(65 / 200) and again.moments is None
    assert Likeness(envs.TOY_ID, shown).n_shown == pytest.approx(1 + 35 / 100)


@TOLD
def test_an_episode_in_pieces_tells_the_demonstrator_as_surely_as_whole(toy_demos, cut):
    """Pieces visit different states: as samples of one behaviour they would be far from each other."""
    whole = Likeness(envs.TOY_ID, Shown.of(envs.TOY_ID, toy_demos[:1]))
    parts = Likeness(envs.TOY_ID, Shown.of(envs.TOY_ID, among(toy_demos, *cut(toy_demos[0], 4))))
    assert parts.uncertainty == pytest.approx(whole.uncertainty, rel=1e-4)
    mixed = Likeness(envs.TOY_ID, Shown.of(envs.TOY_ID, among(toy_demos, *cut(toy_demos[0], 4), toy_demos[1])))
    two = Likeness(envs.TOY_ID, Shown.of(envs.TOY_ID, toy_demos[:2]))
    assert mixed.uncertainty == pytest.approx(two.uncertainty, rel=1e-4)


@TOLD
def test_pairs_know_their_piece_where_each_shows_one(toy_demos, cut):
    parts = among(toy_demos, *cut(toy_demos[0], 10)).subsample(20, seed=0)
    offsets = np.array(parts.offsets)
    assert (np.diff(offsets) > 0).any()  # times alone would join two pieces
    shown = Shown.of(envs.TOY_ID, parts)
    assert torch.equal(shown_in(shown), torch.arange(10))


@TOLD
def test_training_and_eval_say_that_there_is_no_score(toy_demos, cut, tmp_path, capsys):
    parts = among(toy_demos, *cut(toy_demos[0], 10))
    BC(envs.TOY_ID, parts, BCConfig(steps=10), run_dir=tmp_path / "r").train(eval_episodes=1)
    assert main(["eval", str(tmp_path / "r"), "-n", "2"]) == 0
    assert "no score against the demonstrations, which are pieces of episodes, " in capsys.readouterr().out
    BC(envs.TOY_ID, toy_demos, BCConfig(steps=10), run_dir=tmp_path / "whole").train(eval_episodes=0)
    assert unscored(tmp_path / "whole") is None
    bare = among(toy_demos, *(dataclasses.replace(t, rews=None) for t in toy_demos))
    BC(envs.TOY_ID, bare, BCConfig(steps=10), run_dir=tmp_path / "bare").train(eval_episodes=0)
    assert unscored(tmp_path / "bare") == "no score against the demonstrations, which do not all have rewards"


def test_show_counts_pieces(toy_demos, cut, tmp_path, capsys):
    among(toy_demos, *cut(toy_demos[0], 10)).save(tmp_path / "d")
    assert main(["data", "show", str(tmp_path / "d")]) == 0
    assert "note: 10 of 10 episodes neither end nor reach the limit of 100" in capsys.readouterr().out

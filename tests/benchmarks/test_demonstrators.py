from pathlib import Path

import numpy as np
import pytest

import envs
from benchmarks import demonstrator_rows as r
from benchmarks import demonstrators as d
from benchmarks import demonstrators_table


def test_rows_are_told_apart_by_what_the_csv_says_of_them():
    assert len({r.identity(row, "gail", 0) for row in r.ROWS.values()}) == len(r.ROWS)


@pytest.mark.filterwarnings("ignore:.*says that it was recorded in Other-v0")
def test_demonstrations_of_a_row(toy_demos, tmp_path):
    arrays = {"lengths": toy_demos.lengths, "truncated": np.ones(len(toy_demos), bool), "env_id": np.array("Other-v0")}
    arrays |= {k: np.concatenate([getattr(t, k) for t in toy_demos]) for k in ("obs", "acts", "rews")}
    np.savez(tmp_path / "toy.npz", **arrays)
    whole = r.demonstrations(r.Row(envs.TOY_ID, "toy"), 0, tmp_path)
    assert (len(whole), whole.n_pairs, whole.env_id, whole.has_actions) == (1, 100, envs.TOY_ID, True)
    seen = r.demonstrations(r.Row(envs.TOY_ID, "toy", 2, 20, observations=True), 0, tmp_path)
    assert (len(seen), seen.n_pairs, seen.has_actions) == (2, 10, False)
    assert np.array_equal(seen[0].obs, whole[0].obs)  # the same seed chooses the same trajectory first
    row = r.Row(envs.TOY_ID, "toy")
    chosen = [r.demonstrations(row, seed, tmp_path).meta["take"]["episodes"] for seed in range(5)]
    assert sorted(chosen[:4]) == [[0], [1], [2], [3]] and chosen[4] == chosen[0]  # there are four
    assert [r.pool(row, tmp_path).take(1, seed=s).meta["take"]["episodes"] for s in (0,)] == chosen[:1]


@pytest.mark.parametrize(
    ("scores", "lowest"), [([0.1, 0.95, 0.4, 0.99], 0.4), ([0.2, 0.3], ""), ([0.9], 0.9), ([], "")]
)
def test_lowest_after_the_level_was_reached(scores, lowest):
    assert d.lowest_after(scores, 0.9) == lowest


def test_the_table_has_a_line_for_each_algorithm_of_a_row(monkeypatch):
    row, lines = r.ROWS["hopper-paper"], []
    names = ("env", "demonstrator", "protocol", "n_demos", "algo", "seed")
    for algo, seed, score in (("gail", 0, 0.9), ("gail", 1, 1.0), ("bc", 0, 0.5)):
        line = dict.fromkeys(d.COLUMNS, "") | dict(zip(names, r.identity(row, algo, seed), strict=True))
        lines.append(line | {"score": str(score), "falls": "0", "wall_s": "120", "cpu_s": "60", "env_steps": "400000"})
    for module in (d, demonstrators_table):
        monkeypatch.setattr(module, "read_rows", lambda path: lines)
    table = demonstrators_table.table().splitlines()
    assert len(table) == 2 + 2
    gail = [cell.strip() for cell in table[3].strip("|").split("|")]
    # by hand: the interquartile mean of two scores is their mean, 0.95; 120 s are 2 minutes, 60 s of the processor 1
    assert gail[3] == "gail" and gail[4].startswith("**0.950**") and gail[10] == "2 (1)" and gail[11] == "0.97"
    assert d.done() == {r.identity(row, algo, seed) for algo, seed in (("gail", 0), ("gail", 1), ("bc", 0))}


def test_the_controls_know_nothing_of_the_expert():
    from gail_suite.algorithms.gail import GAILConfig
    from gail_suite.runs.config import build

    for name, share in (("no-expert", 0.0), ("reset-only", 0.5)):
        config = build(GAILConfig(), settings=d.VARIANTS[name])
        a = config.adversary
        assert (a.lr, a.bc_weight, a.expert_share, a.entropy_at_bounds) == (0, 0, 0, 0)
        assert not config.warm_start and config.starts.share == share


def test_only_our_algorithms_learn_from_observations():
    assert d.possible("hopper-paper-obs", "gail") and d.possible("hopper-paper-obs", "bc")
    assert d.possible("hopper-paper", "imitation-gail") and not d.possible("hopper-paper-obs", "imitation-gail")


def test_a_clone_of_observations_has_the_found_actions(toy_demos, monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr(d, "cloned", lambda env, shown, seed, run_dir: seen.append(shown) or "clone")
    row = r.Row(envs.TOY_ID, "toy", observations=True)
    assert d.train(row, "bc", toy_demos.observations_only(), 0, tmp_path, None) == ("clone", 0, "")
    told = seen[0].transitions().actions
    np.testing.assert_allclose(told, toy_demos.transitions().actions.clip(-1, 1), atol=1e-3)


def test_where_demonstrations_lie_is_outside_the_repository():
    assert Path("../shared") in r.DEMOS_DIR.parents

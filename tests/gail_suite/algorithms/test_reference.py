import builtins
from typing import Any

import numpy as np
import pytest

import demos
import envs
from gail_suite.algorithms import reference


@pytest.fixture(scope="module")
def shown() -> demos.Demonstrations:
    return demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=2, seed=0).subsample(2)


def test_unknown_algorithm(shown: demos.Demonstrations) -> None:
    with pytest.raises(ValueError, match="unknown reference algorithm 'dagger': choose gail, airl or bc"):
        reference.train("dagger", envs.TOY_ID, shown)


def test_missing_package_names_the_command(shown: demos.Demonstrations, monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.startswith("imitation"):
            raise ImportError("No module named 'imitation'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ValueError, match="run `make install`"):
        reference.train("bc", envs.TOY_ID, shown)


def test_subsampled_pairs_keep_their_true_successors(shown: demos.Demonstrations) -> None:
    pytest.importorskip("imitation")
    converted, own = reference._transitions(shown), shown.transitions()
    assert len(converted) == 100
    np.testing.assert_array_equal(converted.next_obs, own.next_obs)
    np.testing.assert_array_equal(converted.dones, own.terminated)


@pytest.mark.parametrize("algo", ["gail", "airl", "bc"])
def test_trainers_run_on_this_stack(shown: demos.Demonstrations, monkeypatch: pytest.MonkeyPatch, algo: str) -> None:
    pytest.importorskip("imitation")
    short = {k: reference.Tuned(256, t.ent_coef, t.lr, t.demo_batch, 2) for k, t in reference.TUNED.items()}
    monkeypatch.setattr(reference, "TUNED", short)
    monkeypatch.setattr(reference, "BC_BATCHES", 50)
    policy, steps = reference.train(algo, envs.TOY_ID, shown, seed=0, total_steps=512)
    assert steps == (0 if algo == "bc" else 512)
    actions, _ = policy.predict(np.zeros((4, 3)), deterministic=True)
    assert actions.shape == (4, 2) and np.abs(actions).max() <= 1

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest

import envs


def test_spec_of_the_two_tasks() -> None:
    ant, humanoid = envs.spec("Ant-v5"), envs.spec("Humanoid-v5")
    assert (ant.id, ant.obs_dim, ant.act_dim, ant.horizon) == ("Ant-v5", 105, 8, 1000)
    assert (humanoid.obs_dim, humanoid.act_dim, humanoid.horizon) == (348, 17, 1000)
    for known in (ant, humanoid):
        assert known.random_return is not None and known.expert_return is not None
        assert known.random_return.mean < 200
        assert known.expert_return.mean > 4000
        assert known.expert_return.episodes >= 30 and known.expert_return.sd > 0 and known.expert_return.source
    with pytest.raises(dataclasses.FrozenInstanceError):
        ant.horizon = 1  # type: ignore[misc]


def test_spec_without_reference_returns() -> None:
    known = envs.spec("Hopper-v5")
    assert (known.obs_dim, known.act_dim, known.random_return, known.expert_return) == (11, 3, None, None)
    with pytest.raises(ValueError, match=r"Hopper-v5 has no reference returns.*register_reference"):
        envs.normalized_score("Hopper-v5", 1.0)


def test_normalized_score_keeps_shape_and_maps_the_references_to_zero_and_one() -> None:
    known = envs.spec("Ant-v5")
    assert known.random_return is not None and known.expert_return is not None
    low, high = known.random_return.mean, known.expert_return.mean
    assert isinstance(envs.normalized_score("Ant-v5", high), float)
    np.testing.assert_allclose(
        envs.normalized_score("Ant-v5", [[low, high], [(low + high) / 2, high]]), [[0, 1], [0.5, 1]]
    )


def test_fingerprint_is_a_stable_hash_and_differs_between_tasks() -> None:
    ids = ("Ant-v5", "Humanoid-v5", envs.TOY_ID)
    here = [envs.physics_fingerprint(env_id) for env_id in ids]
    assert len(set(here)) == 3 and all(len(text) == 64 and int(text, 16) for text in here)
    code = f"import envs; print([envs.physics_fingerprint(i) for i in {ids!r}])"
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    fresh = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, "PYTHONPATH": path}
    )
    assert fresh.stdout.strip() == str(here)

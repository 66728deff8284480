"""Recording a policy, without bias towards short episodes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Container, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gail_suite.demos.policy import MlpPolicy, Policy, State, check_bounds, check_policy
from gail_suite.demos.provenance import environment, identity
from gail_suite.demos.sealed import Json
from gail_suite.demos.store import load, open_for_writing
from gail_suite.demos.trajectory import Demonstrations, Trajectory

if TYPE_CHECKING:
    from gail_suite.envs.names import Task


def record(
    policy: Policy,
    env_id: Task,
    n_episodes: int = 10,
    seed: int = 0,
    n_envs: int = 8,
    deterministic: bool = True,
    out: str | Path | None = None,
    env_kwargs: Json | None = None,
    progress: Callable[[int, Trajectory], None] | None = None,
    actions: bool = True,
) -> Demonstrations:
    """Records `n_episodes` complete episodes of `policy`; episode j starts from the environment's seed `seed + j`.

    Episodes run in waves of `n_envs` and each is kept whatever its length, so short ones are not over-represented. The
    result does not depend on `n_envs` for an `MlpPolicy`, stochastic or not; the arithmetic of other policies may round
    differently in batches of another size. With `out`, each episode is stored as it ends, and a folder of the same
    expert, environment and seed is continued: its finished episodes are kept and the missing ones recorded.
    `progress(episode, trajectory)` is called for each episode recorded. With `actions` False only observations are
    kept.

    Raises:
        ValueError: n_episodes or n_envs < 1, an unknown environment, or one without a time limit, an action that is not
            finite, or `out` holds other demonstrations.

    >>> from gail_suite import demos, envs
    >>> shown = demos.record(envs.toy_expert, envs.TOY_ID, n_episodes=3, seed=0)
    >>> len(shown), shown[0].obs.shape, shown[0].acts.shape
    (3, (101, 3), (100, 2))
    """
    from gail_suite import envs
    from gail_suite.envs.common import check_seed

    if n_episodes < 1 or n_envs < 1:
        raise ValueError(f"cannot record {n_episodes} episodes in {n_envs} environments: ask for at least 1 of each")
    check_seed(seed)
    check_policy(policy)
    task = envs.named(env_id, env_kwargs)
    if envs.spec(task).horizon is None:
        raise ValueError(
            f"{task} has no time limit, so an episode may never end: give --max-episode-steps N (max_episode_steps=N), "
            "or register it with one"
        )
    meta = {**environment(task), "expert": identity(policy), "deterministic": deterministic, "seed": seed}
    if not actions:
        meta["observations_only"] = True
    waves = [range(first, min(first + n_envs, n_episodes)) for first in range(0, n_episodes, n_envs)]

    def missing(done: Container[int]) -> Iterator[tuple[int, Trajectory]]:
        for wave in waves:
            if all(episode in done for episode in wave):
                continue
            # an unfinished wave is run whole, so that a resumed recording equals an undisturbed one
            for episode, trajectory in _wave(wave, policy, task, seed, deterministic):
                if episode not in done:
                    yield episode, trajectory if actions else replace(trajectory, acts=None)
                    if progress:
                        progress(episode, trajectory)

    if out is None:
        recorded = dict(missing(done=()))
        return Demonstrations(tuple(recorded[episode] for episode in range(n_episodes)), meta)
    with open_for_writing(Path(out), meta) as writer:
        if 0 < len(writer.done) < n_episodes and meta["expert"]["sha256"] is None:
            warnings.warn(
                f"{out} holds {len(writer.done)} episodes of {meta['expert']['class']}, which has no weights to "
                "compare: they are kept as this one's; choose another folder where it has changed since",
                stacklevel=2,
            )
        for episode, trajectory in missing(frozenset(writer.done)):
            writer.append(episode, trajectory)
        writer.finish()
    return load(out)[:n_episodes]


def _wave(
    episodes: range, policy: Policy, task: str, seed: int, deterministic: bool
) -> Iterator[tuple[int, Trajectory]]:
    """The first episode of each environment, as it ends; environments that are through idle until all are."""
    from gail_suite import envs
    from gail_suite.envs.flat import as_rows

    seeds = [seed + episode for episode in episodes]
    n, start = len(episodes), envs.spec(task).start
    with closing(envs.make_vec(task, n, seeds[0])) as venv, _seeded_noise(policy, seeds, deterministic):
        check_bounds(policy, venv.action_space, task)
        obs = np.asarray(venv.reset())
        state, starts, running = None, np.ones(n, bool), set(range(n))
        frames: tuple[list[np.ndarray], ...] = [obs.astype(np.float32)], [], []
        while running:
            actions, state = _asked(policy, obs, state, starts, deterministic)
            actions = as_rows(actions, (venv.action_space.shape or (0,))[0], start)
            observed, rewards, starts, infos = venv.step(actions)
            obs = np.asarray(observed)
            for rows, value in zip(frames, (obs, actions, rewards), strict=True):
                rows.append(value.astype(np.float32))
            for i in sorted(i for i in running if starts[i]):
                running.discard(i)
                yield episodes[i], _episode(frames, i, infos[i], seeds[i])


def _asked(
    policy: Policy, obs: np.ndarray, state: State, starts: np.ndarray, deterministic: bool
) -> tuple[np.ndarray, State]:
    """What the policy answers; ValueError for an answer of another form, which would be taken apart by its rows."""
    answer = policy.predict(obs, state=state, episode_start=starts, deterministic=deterministic)
    if not isinstance(answer, tuple) or len(answer) != 2:
        raise ValueError(
            f"predict of {type(policy).__name__} gives {type(answer).__name__}: let it give two, the actions, a row "
            "for each observation, and the state it carries to the next step, None where there is none"
        )
    return answer


def _episode(frames: tuple[list[np.ndarray], ...], i: int, info: Json, seed: int) -> Trajectory:
    """What environment i has gone through since its reset; after its end `obs` already shows the next episode."""
    obs, acts, rews = (np.stack([row[i] for row in rows]) for rows in frames)
    obs[-1] = info["terminal_observation"]
    truncated = bool(info.get("TimeLimit.truncated", False))
    known = rews if np.isfinite(rews).all() else None  # a task without a reward says so by NaN; imitation reads none
    return Trajectory(obs, acts, known, terminated=not truncated, truncated=truncated, seed=seed)


@contextmanager
def _seeded_noise(policy: Policy, seeds: list[int], deterministic: bool) -> Iterator[None]:
    """Within the block the noise of stochastic actions comes from `seeds`; a policy of ours goes on with its own
    afterwards.
    """
    if deterministic:
        yield
    elif isinstance(policy, MlpPolicy):
        with policy.noise_from(seeds):
            yield
    else:  # SB3 policies draw from the global generators
        from stable_baselines3.common.utils import set_random_seed

        set_random_seed(seeds[0])
        yield

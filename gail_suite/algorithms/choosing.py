"""Which policy a run of GAIL leaves, and when it is over, by how like the demonstrations its behaviour is.

`occupancy` says how like; no reward of the task is read.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from gail_suite.demos.trajectory import Trajectory
from gail_suite.learning.offpolicy import OffPolicyLoop
from gail_suite.learning.policies.keeping import Shortlist
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.shown.occupancy import Likeness
from gail_suite.runs import seeds
from gail_suite.runs.runlog import RunLog
from gail_suite.showing.evaluation import Evaluation

SCREENING, FINAL_EPISODES = 10, 50
"""Episodes by which the final policy is chosen: how many each candidate has, and how many the nearest, twice that where
one of them falls."""
NEAREST = 3
"""Policies of a run among which the final one is chosen, beside the last and the clone."""


class Choice:
    """Judges the policies of a run; what it knows lies among the loop's constants, and so in every checkpoint.

    Args:
        likeness: to the demonstrations.
        loop: whose policies are judged.
        seed: of the run.
        arrive, settle: see `GAILConfig`.
        burn_in: updates until which the policy is the clone.
    """

    def __init__(
        self, likeness: Likeness, loop: OffPolicyLoop, seed: int, arrive: int, settle: int, burn_in: int
    ) -> None:
        self.likeness, self.loop, self.seed = likeness, loop, seed
        self.arrive, self.settle, self.burn_in = arrive, settle, burn_in
        self.nearest = Shortlist(loop.constants, "nearest", NEAREST, latest=True)
        self.total_steps = 0

    def watch(self, total_steps: int) -> None:
        """Judges every evaluation of a run of that many steps from now on, and ends it where it is over."""
        self.total_steps = total_steps
        self.loop.examine, self.loop.settled = self._examine, self._over

    def remember_clone(self) -> None:
        """Takes the policy as it is for the clone that the run begins with."""
        self.loop.constants |= {f"clone.{k}": tensor.copy() for k, tensor in self.loop.policy().tensors.items()}

    @property
    def arrived(self) -> bool:
        """The latest evaluation found a policy that is like the demonstrator."""
        return bool(self.loop.constants.get("arrived", False))

    @property
    def _second_half(self) -> bool:
        return self.loop.steps >= max(self.total_steps, self.loop.config.horizon) / 2

    @property
    def _over(self) -> bool:
        """It has arrived, or in the second half none of the last `settle` evaluations is among the nearest."""
        return self.arrived or (self._second_half and 0 < self.settle <= self.nearest.waited)

    def _examine(self) -> dict[str, float]:
        """Return and length of the policy's episodes, and how far they are from the demonstrations; among the nearest
        it is kept for the end.
        """
        policy, loop = self.loop.policy(), self.loop
        n, seed = loop.config.eval_episodes, seeds.WAY + self.seed
        episodes = self.likeness.episodes(policy, seed, n)
        distance = self.likeness.of(episodes)
        self.nearest.offer(self.likeness.excess(distance, n), policy)
        # what holds for a few episodes, or before the rates fall, may be luck
        asked = self._second_half or loop.sac.updates <= self.burn_in
        loop.constants["arrived"] = np.array(asked and self.likeness.near(distance, n) and self._like(policy))
        loop.settled = self._over
        return {**Evaluation.of(loop.env_id, episodes, seed).row(), "distance": distance}

    def _like(self, policy: LearnedPolicy) -> bool:
        """Whether `arrive` episodes cannot be told from the demonstrator's; an early end that it lacks decides."""
        episodes: list[Trajectory] = []
        while (left := self.arrive - len(episodes)) > 0:
            n, seed = min(left, self.loop.config.eval_episodes), seeds.FINAL + self.seed + len(episodes)
            episodes += self.likeness.episodes(policy, seed, n)
            if self.likeness.falls(episodes):
                return False
        return bool(episodes) and self.likeness.near(self.likeness.of(episodes), len(episodes))

    def final(self, log: RunLog | None) -> LearnedPolicy:
        """The policy to be left, of the last, the nearest on the way and the clone."""
        policies = {"last": self.loop.policy()}
        meta, constants = policies["last"].meta, self.loop.constants
        for rank, one in enumerate(one for one in self.nearest.found if one.steps < self.loop.steps):
            facts = {"env_steps": one.steps, "updates": one.updates}
            policies[f"candidate_{rank}"] = LearnedPolicy(one.tensors, meta | facts)
        clone = {k.removeprefix("clone."): v for k, v in constants.items() if k.startswith("clone.")}
        if clone:  # after those that have learned more, where they are as near
            policies["clone"] = LearnedPolicy(clone, meta | {"env_steps": 0, "updates": 0})
        if log is not None and len(policies) > 1:
            log.say(f"choosing the policy that the run leaves, of {len(policies)}")
        name, row = self._best(policies)
        if log is not None:
            log.log(self.loop.steps, **row, chosen_step=float(policies[name].meta["env_steps"]))
        return policies[name]

    def _best(self, policies: Mapping[str, LearnedPolicy]) -> tuple[str, dict[str, float]]:
        """The name of the policy that is to be left, and what there is to say of all of them.

        That is the first of those that are near, unless another is better by more than chance makes: it falls less
        often, or as often and visits nearer states.
        """
        likeness, seed = self.likeness, seeds.FINAL + self.seed
        found = {name: likeness.episodes(policy, seed, SCREENING) for name, policy in policies.items()}
        first = {name: likeness.of(likeness.but_one_fall(episodes)) for name, episodes in found.items()}
        beyond = {name: likeness.excess(distance, SCREENING) for name, distance in first.items()}
        near = [name for name in policies if beyond[name] <= min(beyond.values()) + likeness.noise(SCREENING)]
        for name in near:
            found[name] += likeness.episodes(policies[name], seed + SCREENING, FINAL_EPISODES - SCREENING)
        if any(likeness.falls(found[name]) for name in near):  # rare as they are, fifty episodes tell them badly
            for name in near:
                found[name] += likeness.episodes(policies[name], seed + FINAL_EPISODES, FINAL_EPISODES)
        left = near[0]
        for name in near[1:]:
            if likeness.nearer(found[name], found[left]):
                left = name
        row = {f"{name}_distance": likeness.of(episodes) for name, episodes in found.items()}
        return left, row | {f"{name}_falls": float(likeness.falls(episodes)) for name, episodes in found.items()}

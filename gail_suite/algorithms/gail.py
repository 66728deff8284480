"""Generative adversarial imitation learning (Ho and Ermon, 2016) with an off-policy learner.

A discriminator tells expert pairs from the replay's; its logit, recomputed whenever a batch is drawn, is the reward of
a soft actor-critic (Kostrikov et al., 2018). GAIL has a learner: `Adversary` is the objective, `OffPolicyLoop` the
rest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from typing_extensions import override

from gail_suite.algorithms.bc import BCConfig, clone
from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig
from gail_suite.algorithms.imitator import Imitator
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations, Trajectory
from gail_suite.envs.savable import SavableVecEnv
from gail_suite.envs.starts import can_begin, clipped
from gail_suite.learning.cpu import cpu_settings
from gail_suite.learning.inverse import InverseConfig, InverseModel
from gail_suite.learning.keeping import KeepConfig, Shortlist
from gail_suite.learning.learned_reward import LearnedReward, discriminator_reward
from gail_suite.learning.occupancy import Likeness
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.pairs import Shown
from gail_suite.learning.policy import LearnedPolicy
from gail_suite.learning.reaching import Unreachable, with_actions
from gail_suite.learning.sac import SACConfig
from gail_suite.priors.attach import PriorsConfig, attach, keep_copies
from gail_suite.priors.earlier import translated
from gail_suite.priors.starts import Starts
from gail_suite.runs.checkpoint import Saved
from gail_suite.runs.config import Count, Positive, Settings, recorded, shares
from gail_suite.runs.runlog import RunLog, stop_requested

FINAL_SEED, SCREENING, FINAL_EPISODES = 90_000, 10, 50
"""Seed of the episodes by which the final policy is chosen, how many each candidate has, and how many the nearest,
twice that where one of them falls; neither training nor any evaluation begins there."""
NEAREST = 3
"""Policies of a run among which the final one is chosen, beside the last and the clone."""
WARM_COPIES = 4
"""States around each demonstrated one in a warm start from a behaviour prior."""


@dataclass(frozen=True)
class DemonstratedStarts(Settings):
    """Episodes that begin in demonstrated states, where the simulator can be put into one; the others begin as the
    task does.
    """

    share: float = 0.5
    """Share of the environments whose episodes begin there; 0 for none."""
    length: Positive = 50
    """Steps after which such an episode is cut."""

    def __post_init__(self) -> None:
        super().__post_init__()
        shares(self, "share")


@dataclass(frozen=True)
class GAILConfig(Settings):
    """GAIL with the off-policy generator; `OnPolicyGAIL` is the one with PPO or TRPO.

    The defaults are for simulators as fast as MuJoCo's tasks, where experience is nearly free and updates are not.
    `few_steps` has those for dear ones.
    """

    steps: Positive = 400_000
    """Environment steps of a run that is told no other number."""
    warm_start: bool = True
    """Start from behaviour cloning."""
    bc: BCConfig = field(default_factory=BCConfig)
    """The warm start."""
    adversary: AdversaryConfig = field(
        default_factory=lambda: AdversaryConfig(
            reach=20, entropy_at_bounds=-3.0, entropy_safe=-2.0, gradient_penalty_safe=0.1
        )
    )
    """Discriminator and reward."""
    inverse: InverseConfig = field(default_factory=InverseConfig)
    """What tells the expert's actions where they were not recorded."""
    starts: DemonstratedStarts = field(default_factory=DemonstratedStarts)
    """Where episodes begin; a prior for starts goes before."""
    choose: bool = True
    """Leave, of the last policy, the nearest of those evaluated on the way and the clone, the last, unless another
    falls less often or visits states nearer to the demonstrated ones, by more than chance makes (the task's reward is
    not read); off, the last in any case.
    """
    arrive: Count = 100
    """End at the first evaluation whose policy is like the demonstrator over so many episodes, as `choose` compares
    them: nearer than two samples of the demonstrator's states are to each other, by half, and without an early end
    where it has none. Asked of the clone and in the second half of a run; 0: never.
    """
    settle: Count = 5
    """End in the second half of a run after so many evaluations in a row none of which is among the nearest to the
    demonstrations, between which `choose` chooses; 0: never.
    """
    sac: SACConfig = field(
        default_factory=lambda: SACConfig(
            burn_in=3000, gamma=0.99, tune_alpha=True, lr_final=0.1, decay_start=0.5, average_rate=0.005
        )
    )
    """The learner."""
    loop: LoopConfig = field(
        default_factory=lambda: LoopConfig(
            n_envs=32,
            updates_per_step=0.125,
            warm_up=8000,
            capacity=400_000,
            eval_every=20_000,
            eval_episodes=10,
            checkpoint_every=40_000,
        )
    )
    """Collection and housekeeping."""
    priors: PriorsConfig = field(default_factory=PriorsConfig)
    """Generative models of the expert as priors."""
    keep: KeepConfig = field(default_factory=KeepConfig)
    """The best policy, beside the final one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bc.components > 1:
            raise ValueError(
                f"bc.components is {self.bc.components}: "
                "GAIL's policy is one Gaussian, which a mixture cannot begin; set it to 1"
            )


def few_steps() -> GAILConfig:
    """For simulators whose steps are dear: a quarter of the steps, four times the updates for each, episodes begin
    as the task's.
    """
    return GAILConfig(
        steps=100_000,
        adversary=AdversaryConfig(),
        inverse=InverseConfig(simulate=0),
        starts=DemonstratedStarts(share=0.0),
        loop=LoopConfig(),
        choose=False,
        arrive=0,
        settle=0,
    )


PRESETS: dict[str, Callable[[], GAILConfig]] = {"few-steps": few_steps}
"""Settings for other circumstances, by name."""


class GAIL(Imitator[GAILConfig]):
    """GAIL of `demonstrations` on `env_id` with an off-policy learner."""

    algo = "gail"
    loop: OffPolicyLoop

    @classmethod
    @override
    def defaults(cls) -> GAILConfig:
        return GAILConfig()

    @classmethod
    def _recorded(cls, record: Json, run_dir: Path) -> GAILConfig:
        # what it lacks is older than the defaults
        return recorded(replace(few_steps(), sac=SACConfig()), translated(record["config"], run_dir))

    @classmethod
    @override
    def _of_record(cls, record: Json, saved: Saved, run_dir: Path, device: str) -> Self:
        if "reaching" in saved.parts:
            raise ValueError(
                f"{run_dir} was begun by another version of gail-suite, which looked for actions on the way: begin it "
                "anew"
            )
        return super()._of_record(record, saved, run_dir, device)

    def _show(self, demonstrations: Demonstrations) -> Shown:
        c = self.config
        self.total_steps = c.steps
        if c.adversary.state_only:
            demonstrations = demonstrations.observations_only()
        if not demonstrations.has_actions and c.inverse.simulate:
            with suppress(Unreachable):
                demonstrations = with_actions(self.env_id, demonstrations, c.inverse.simulate)
        if not demonstrations.has_actions:
            self.config = replace(c, adversary=replace(c.adversary, state_only=True))
        return Shown.of(self.env_id, demonstrations, not demonstrations.has_actions)

    def _build(self) -> OffPolicyLoop:
        c, shown = self.config, self.shown
        if c.priors.behaviour.warm_start and c.priors.behaviour.active and not c.warm_start:
            raise ValueError(
                "priors.behaviour.warm_start=true starts from the prior's actions, but warm_start=false starts from "
                "nothing: set one of them"
            )
        n_features, act_dim = (part.shape[1] for part in (shown.expert.features, shown.expert.actions))
        n_inputs = n_features + (n_features if c.adversary.state_only else act_dim) + c.adversary.absorbing
        a = attach(c.priors, shown, self.env_id, self.run_dir, n_inputs, c.sac.gamma, self.seed)
        torch.manual_seed(self.seed)
        self.attachments, self.objective = (
            a,
            Adversary(shown.expert, c.adversary, c.sac.batch_size, c.sac.gamma, a, shown.moments, shown.ends),
        )
        known = shown.meta.get("shown", {}).get("actions", not c.adversary.state_only)  # earlier versions did not say
        self.inverse = None if known else InverseModel(n_features, act_dim, c.inverse)
        self.likeness: Likeness | None = None
        if c.choose and shown.times is not None:
            self.likeness = Likeness(self.env_id, shown)
        loop = OffPolicyLoop(
            self.env_id,
            shown.features,
            self.objective,
            c.sac,
            c.loop,
            self.seed,
            self.run_dir,
            self.device,
            a.bonus,
            a.make_actor,
            a.wrap_env or self._begun,
            shown.arrays() | a.constants(),
            {} if self.inverse is None else {"inverse": self.inverse},
        )
        self.nearest = Shortlist(loop.constants, "nearest", NEAREST, latest=True)
        return loop

    def _begun(self, venv: SavableVecEnv) -> SavableVecEnv:
        """The environments of a run, those that begin in demonstrated states among them where there can be any."""
        config, states, times = self.config.starts, self.shown.states, self.shown.moments
        count, known = round(config.share * venv.num_envs), np.zeros(0, bool) if states is None else ~clipped(states)
        if count == 0 or states is None or not known.any() or not can_begin(venv, states[0]):
            return venv
        return Starts(venv, states[known], count, config.length, self.seed, None if times is None else times[known])

    @override
    def record(self) -> Json:
        return super().record() | {"begin_in_demonstrated_states": int(getattr(self.loop.env, "n_cut", 0))}

    def reward(self) -> LearnedReward:
        """What the discriminator gives, and what it makes of a termination; a prior's bonus is not part of it."""
        absorbing, termination = self.config.adversary.absorbing, self.objective.at_termination()
        return discriminator_reward(
            self.objective.learner,
            self.shown.features,
            self.provenance(),
            absorbing,
            termination,
            self.config.adversary.state_only,
        )

    def _keep(self, run_dir: Path) -> None:
        keep_copies(self.attachments.priors, run_dir)

    def _begin(self, log: RunLog | None) -> None:
        if self.likeness is not None:
            self.loop.examine, self.loop.settled = self._examine, self._arrived or self._settled()
        if self.inverse is not None:
            if self.inverse.fits:
                self._take_guesses(self.inverse)
            self.loop.on_step = partial(self._tell, self.inverse, log)
        elif self.fresh and self.config.warm_start:
            self._clone(log)

    def _tell(self, inverse: InverseModel, log: RunLog | None) -> None:
        """Fits the inverse model when it is due, and takes what it says for the expert's actions."""
        loop = self.loop
        if loop.steps < loop.config.warm_up + inverse.fits * inverse.config.every:
            return
        loss = inverse.fit(loop.replay, loop.generator)
        self._take_guesses(inverse)
        if log is not None:
            log.log(loop.steps, inverse_loss=loss)
        if inverse.fits == 1 and self.config.warm_start:
            self._clone(log)

    def _take_guesses(self, inverse: InverseModel) -> None:
        """Takes what the inverse model says for the expert's actions."""
        expert = self.objective.expert
        with cpu_settings(self.config.loop.matmul):  # also where a resumed run begins
            self.objective.expert = expert.told(inverse.actions(expert.features, expert.next_features))

    def _clone(self, log: RunLog | None) -> None:
        """Starts from behaviour cloning."""
        sac, expert, behaviour = self.loop.sac, self.objective.expert, self.objective.behaviour
        if log is not None:
            log.say("behaviour cloning to begin with")
        features, actions = expert.features, expert.actions
        if behaviour is not None and self.config.priors.behaviour.warm_start:
            features, actions = behaviour.warm_start(features, WARM_COPIES, self.loop.generator)
        info = clone(sac.actor, features, actions, self.config.bc, self.loop.generator)
        sac.restart_average()
        row = info | {f"bc_{k}": v for k, v in self.loop.evaluate().items()}
        self.loop.constants |= {f"clone.{k}": tensor.copy() for k, tensor in self.loop.policy().tensors.items()}
        if log is not None:
            log.log(self.loop.steps, **row)

    def _examine(self) -> dict[str, float]:
        """Return and length of the policy's episodes, and how far they are from the demonstrations; among the nearest
        it is kept for the end.
        """
        from gail_suite.showing.evaluation import WAY_SEED, Evaluation

        assert self.likeness is not None
        policy, loop = self.policy(), self.loop
        n, seed = loop.config.eval_episodes, WAY_SEED + self.seed
        episodes = self.likeness.episodes(policy, seed, n)
        distance = self.likeness.of(episodes)
        self.nearest.offer(self.likeness.excess(distance, n), policy)
        # what holds for a few episodes, or before the rates fall, may be luck
        asked = self._second_half or loop.sac.updates <= self.config.sac.burn_in
        loop.constants["arrived"] = np.array(asked and self.likeness.near(distance, n) and self._like(policy))
        loop.settled = self._arrived or self._settled()
        return {**Evaluation.of(self.env_id, episodes, seed).row(), "distance": distance}

    def _like(self, policy: LearnedPolicy) -> bool:
        """Whether `arrive` episodes cannot be told from the demonstrator's; an early end that it lacks decides."""
        assert self.likeness is not None
        episodes: list[Trajectory] = []
        while (left := self.config.arrive - len(episodes)) > 0:
            n, seed = min(left, self.loop.config.eval_episodes), FINAL_SEED + self.seed + len(episodes)
            episodes += self.likeness.episodes(policy, seed, n)
            if self.likeness.falls(episodes):
                return False
        return bool(episodes) and self.likeness.near(self.likeness.of(episodes), len(episodes))

    @property
    def _arrived(self) -> bool:
        """The latest evaluation found a policy that is like the demonstrator."""
        return bool(self.loop.constants.get("arrived", False))

    def _settled(self) -> bool:
        """The second half has come, and none of the last `settle` evaluations is among the nearest."""
        return self._second_half and 0 < self.config.settle <= self.nearest.waited

    @property
    def _second_half(self) -> bool:
        return self.loop.steps >= max(self.total_steps, self.loop.config.horizon) / 2

    def _final(self, log: RunLog | None) -> LearnedPolicy:
        policies = {"last": self.policy()}
        likeness = self.likeness
        if likeness is None or self._arrived or stop_requested():
            return policies["last"]
        meta, constants = policies["last"].meta, self.loop.constants
        for rank, one in enumerate(one for one in self.nearest.found if one.steps < self.loop.steps):
            facts = {"env_steps": one.steps, "updates": one.updates}
            policies[f"candidate_{rank}"] = LearnedPolicy(one.tensors, meta | facts)
        clone = {k.removeprefix("clone."): v for k, v in constants.items() if k.startswith("clone.")}
        if clone:  # after those that have learned more, where they are as near
            policies["clone"] = LearnedPolicy(clone, meta | {"env_steps": 0, "updates": 0})
        if log is not None and len(policies) > 1:
            log.say(f"choosing the policy that the run leaves, of {len(policies)}")
        name, row = self._nearest(likeness, policies)
        if log is not None:
            log.log(self.loop.steps, **row, chosen_step=float(policies[name].meta["env_steps"]))
        return policies[name]

    def _nearest(self, likeness: Likeness, policies: Mapping[str, LearnedPolicy]) -> tuple[str, dict[str, float]]:
        """The name of the policy that is to be left, and what there is to say of all of them.

        That is the first of those that are near, unless another is better by more than chance makes: it falls less
        often, or as often and visits nearer states.
        """
        seed = FINAL_SEED + self.seed
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

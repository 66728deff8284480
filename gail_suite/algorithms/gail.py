"""Generative adversarial imitation learning (Ho and Ermon, 2016) with an off-policy learner.

A discriminator tells expert pairs from the replay's; its logit, recomputed whenever a batch is drawn, is the reward of
a soft actor-critic (Kostrikov et al., 2018). GAIL has a learner: `Adversary` is the objective, `OffPolicyLoop` the
rest.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np
import torch
from typing_extensions import override

from gail_suite.algorithms.bc import BCConfig, clone
from gail_suite.algorithms.choosing import Choice
from gail_suite.algorithms.gail_objective import Adversary, AdversaryConfig
from gail_suite.algorithms.imitator import Imitator
from gail_suite.demos.sealed import Json
from gail_suite.demos.trajectory import Demonstrations
from gail_suite.envs.savable import SavableVecEnv
from gail_suite.envs.starts import can_begin, clipped
from gail_suite.learning.cpu import cpu_settings
from gail_suite.learning.inverse import InverseConfig, InverseModel
from gail_suite.learning.offpolicy import LoopConfig, OffPolicyLoop
from gail_suite.learning.policies.keeping import KeepConfig
from gail_suite.learning.policies.policy import LearnedPolicy
from gail_suite.learning.rewards.learned_reward import LearnedReward, discriminator_reward
from gail_suite.learning.sac import SACConfig
from gail_suite.learning.shown.occupancy import Likeness
from gail_suite.learning.shown.pairs import Shown
from gail_suite.learning.shown.reaching import Unreachable, with_actions
from gail_suite.priors.attach import PriorsConfig, attach, keep_copies
from gail_suite.priors.earlier import translated
from gail_suite.priors.starts import Starts
from gail_suite.runs.checkpoint import Saved
from gail_suite.runs.config import Count, Positive, Settings, recorded, shares
from gail_suite.runs.runlog import RunLog, stop_requested

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
        self.choice: Choice | None = None
        if c.choose and shown.times is not None:
            likeness = Likeness(self.env_id, shown)
            self.choice = Choice(likeness, loop, self.seed, c.arrive, c.settle, c.sac.burn_in)
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
        if self.choice is not None:
            self.choice.watch(self.total_steps)
        if self.inverse is not None:
            if self.inverse.fits:
                self._take_guesses(self.inverse)
            self.loop.on_step = partial(self._tell, self.inverse, log)
        elif self.fresh and self.config.warm_start:
            with cpu_settings("float32"):  # short as it is; one thread, so that their number changes nothing
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
            self.objective.expert = expert.with_actions(inverse.actions(expert.features, expert.next_features))

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
        if self.choice is not None:
            self.choice.remember_clone()
        if log is not None:
            log.log(self.loop.steps, **row)

    def _final(self, log: RunLog | None) -> LearnedPolicy:
        if self.choice is None or self.choice.arrived or stop_requested():
            return self.policy()
        return self.choice.final(log)

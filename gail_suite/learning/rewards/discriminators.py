"""Discriminators with and without a bottleneck, what limits them, and the step by which they learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from gail_suite.generative.latent.vae import MAX_LOG_VAR, MIN_LOG_VAR
from gail_suite.generative.networks.coders import Encoder
from gail_suite.learning.arrays import load_module_arrays, load_optimiser_arrays, module_arrays, optimiser_arrays
from gail_suite.learning.networks import Discriminator
from gail_suite.learning.rewards.dual import Dual, gaussian_kl
from gail_suite.learning.rewards.losses import bernoulli_entropy, gail_loss, gradient_penalty
from gail_suite.learning.rewards.of_logits import reward_fn
from gail_suite.runs.config import Above0, Fraction, Layers, NonNegative, Positive, Settings, Width


@dataclass(frozen=True)
class LogitConfig(Settings):
    """A discriminator, what keeps it from knowing too much, and the reward that its logit gives."""

    hidden: Layers = (128, 128)
    """Width of the discriminator's layers."""
    lr: NonNegative = 3e-4
    """Adam rate."""
    batch_size: Positive = 128
    """Expert pairs, and as many of the agent's, in a batch."""
    gradient_penalty: NonNegative = 1.0
    """Weight of the gradient penalty."""
    penalty_target: NonNegative = 0.0
    """Gradient norm that the penalty asks for. With 0 the discriminator can become flat where policy and expert agree
    (Mescheder et al., 2018)."""
    entropy: NonNegative = 0.0
    """Weight of the entropy of the discriminator's output."""
    dropout: Fraction = 0.0
    """Share of each layer's outputs hidden while the discriminator learns."""
    bottleneck: NonNegative = 0.0
    """Nats that the discriminator may know of a pair (Peng et al., 2019); 0 for a discriminator without bottleneck."""
    latent: Width = 32
    """Dimensions of the bottleneck's code. A bottleneck prior brings its own network, so neither this nor `hidden`
    is followed beside one.
    """
    dual_rate: NonNegative = 0.01
    """Largest step of the multiplier that holds the bottleneck."""
    reward: str = "gail"
    """Form of the reward: gail, airl, fairl or logd (see rewards.py for their signs)."""
    reward_clip: Above0 = 5.0
    """Bound on the reward's absolute value."""

    def __post_init__(self) -> None:
        super().__post_init__()
        reward_fn(self.reward)
        if self.bottleneck and self.dropout:
            raise ValueError(
                f"bottleneck={self.bottleneck} and dropout={self.dropout} both limit the discriminator: set one of "
                "them to 0"
            )


class BottleneckDiscriminator(nn.Module):
    """logits_expert_is_high = w . z + b with z ~ q(z|x) = N(mu(x), diag exp(log_var(x))), x = (s, a): (B,).

    The encoder is the one of `generative.VAE`, so that a fitted one can be put in. It learns from samples of z, under
    E KL(q(z|x) || N(0, I)) <= I_c, and gives rewards from the mean mu(x), as in Peng et al. (2019).
    """

    def __init__(self, n_inputs: int, latent: int = 32, hidden: int = 128, layers: int = 2) -> None:
        super().__init__()
        self.hidden, self.latent = [hidden] * layers, latent
        self.encoder = Encoder([n_inputs], 2 * latent, hidden, layers, "mlp")
        self.head = nn.Linear(latent, 1)

    def posterior(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each (B, Z)."""
        mean, log_var = self.encoder(inputs).chunk(2, -1)
        return mean, log_var.clamp(MIN_LOG_VAR, MAX_LOG_VAR)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.posterior(inputs)[0]).squeeze(-1)

    def training_logits(self, inputs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Logits (B,) of sampled codes, and KL(q(z|x) || N(0, I)) of each row in nats (B,)."""
        mean, log_var = self.posterior(inputs)
        z = mean + (0.5 * log_var).exp() * torch.randn(mean.shape, generator=generator)
        return self.head(z).squeeze(-1), gaussian_kl(mean, log_var)


Net = Discriminator | BottleneckDiscriminator
"""logits_expert_is_high of rows."""


def make_discriminator(
    n_inputs: int, hidden: Sequence[int], bottleneck: float = 0.0, latent: int = 32, dropout: float = 0.0
) -> Net:
    """The plain discriminator for bottleneck 0, else one with a bottleneck of `latent` dimensions.

    Raises:
        ValueError: layers of different widths under a bottleneck.
    """
    if bottleneck == 0:
        return Discriminator(n_inputs, hidden, dropout=dropout)
    if len(set(hidden)) > 1:
        raise ValueError(f"a bottleneck's encoder has layers of one width, got hidden={tuple(hidden)}: make them equal")
    return BottleneckDiscriminator(n_inputs, latent, hidden[0], len(hidden))


class LogitLearner:
    """A discriminator that learns: network, optimiser, the multiplier of its bottleneck, and the reward of its logit.

    Args:
        n_inputs: width of a row.
        config: its constants.
        paired: whether batches of both classes are drawn row by row and equally large. Then one pass takes both, the
            gradient penalty lies between rows of the same index, and means are over all rows. Else each class has a
            pass of its own, expert rows are drawn for each of the agent's, and each class has half of every mean.
        net: a network to start from (a prior's); a new one where none is given.
    """

    def __init__(self, n_inputs: int, config: LogitConfig, paired: bool, net: Net | None = None) -> None:
        c = self.config = config
        self.paired = paired
        self.net: Net = net or make_discriminator(n_inputs, c.hidden, c.bottleneck, c.latent, c.dropout)
        self.dual = Dual(c.bottleneck, c.dual_rate) if c.bottleneck > 0 else None
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=c.lr, fused=paired)
        self.form = reward_fn(c.reward, c.reward_clip)

    @torch.no_grad()
    def rewards(self, rows: Tensor) -> Tensor:
        """(B,) rewards of rows (B, D) under the present network."""
        return self.form(self.net(rows))

    @property
    def noisy(self) -> bool:
        """Whether the logits of a step are not those that rewards are made of."""
        return self.dual is not None or self.config.dropout > 0

    def set_rate(self, factor: float) -> None:
        """Makes the rate of learning `factor` times the config's."""
        self.optimiser.param_groups[0]["lr"] = self.config.lr * factor

    def step(
        self,
        expert: Tensor,
        agent: Tensor,
        generator: torch.Generator,
        penalty: float | None = None,
        between: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[dict[str, Tensor], Tensor]:
        """One step of cross-entropy, bottleneck, gradient penalty and entropy.

        Args:
            expert, agent: (B, D) and (B', D) rows of the two classes.
            generator: source of every draw.
            penalty: weight of the gradient penalty, the config's where not given.
            between: rows of both classes between which it is taken, those of the step where not given.

        Returns:
            What to report, and the expert's logits (B,) before the step.
        """
        weight = self.config.gradient_penalty if penalty is None else penalty
        (logits_expert, nats_expert), (logits_agent, nats_agent) = self._logits(expert, agent, generator)
        loss, info = gail_loss(logits_expert, logits_agent)
        if self.dual is not None and nats_expert is not None and nats_agent is not None:
            nats = self._mean(nats_expert, nats_agent)
            loss = loss + self.dual.penalty(nats)
            info |= {"disc_nats": nats.detach(), "disc_beta": torch.tensor(self.dual.beta)}
        if weight > 0:
            value = self._gradient_penalty(*(between or (expert, agent)), generator)
            loss = loss + weight * value
            info["disc_penalty"] = value.detach()
        if self.config.entropy > 0:
            loss = loss - self.config.entropy * self._mean(*map(bernoulli_entropy, (logits_expert, logits_agent)))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        self.optimiser.step()
        return info, logits_expert.detach()

    def _logits(self, expert: Tensor, agent: Tensor, generator: torch.Generator) -> list[tuple[Tensor, Tensor | None]]:
        """Logits and nats of the rows of both classes."""
        if not self.paired:
            return [self.net.training_logits(rows, generator) for rows in (expert, agent)]
        sizes = [len(expert), len(agent)]
        logits, nats = self.net.training_logits(torch.cat([expert, agent]), generator)
        return list(zip(logits.split(sizes), (None, None) if nats is None else nats.split(sizes), strict=True))

    def _mean(self, expert: Tensor, agent: Tensor) -> Tensor:
        return torch.cat([expert, agent]).mean() if self.paired else (expert.mean() + agent.mean()) / 2

    def _gradient_penalty(self, expert: Tensor, agent: Tensor, generator: torch.Generator) -> Tensor:
        if not self.paired:
            expert = expert[torch.randint(len(expert), (len(agent),), generator=generator)]
        mix = torch.rand(len(agent), 1, generator=generator)
        return gradient_penalty(self.net, expert, agent, mix, self.config.penalty_target)

    def state(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        beta = {} if self.dual is None else {"beta": np.array(self.dual.beta)}
        return {**beta, **module_arrays(self.net, "net"), **optimiser_arrays(self.optimiser, "optim")}

    def load_state(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Inverse of `state`."""
        if self.dual is not None:
            self.dual.beta = float(arrays["beta"])
        load_module_arrays(self.net, arrays, "net")
        load_optimiser_arrays(self.optimiser, arrays, "optim")

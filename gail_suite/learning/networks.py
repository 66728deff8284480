"""Networks on standardised features: a squashed-Gaussian actor, twin critics in one batched module, a discriminator."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from typing_extensions import override

from gail_suite.generative.mixtures.gmm import GaussianMixture

LOG_STD_MIN, LOG_STD_MAX = -5.0, 2.0
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def mlp(sizes: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers of the given sizes, each followed by the activation."""
    layers: list[nn.Module] = []
    for n_in, n_out in itertools.pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


class Actor(nn.Module):
    """pi(a|s) = tanh(N(mu(s), sigma(s)^2)) on actions scaled to [-1, 1] (Haarnoja et al., 2018).

    Takes features (B, F), returns mean and log standard deviation before the squashing, each (B, A).
    """

    def __init__(self, n_features: int, act_dim: int, hidden: Sequence[int] = (256, 256)) -> None:
        super().__init__()
        self.trunk = mlp([n_features, *hidden], "relu")
        self.head = nn.Linear(hidden[-1], 2 * act_dim)

    @override
    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        mean, log_std = self.head(self.trunk(features)).chunk(2, dim=-1)
        return mean, log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)

    @property
    def width(self) -> int:
        """Size of the noise that `sample` takes."""
        return self.head.out_features // 2

    def mode(self, features: Tensor) -> Tensor:
        """The deterministic action tanh(mu(s)), (B, A) in (-1, 1)."""
        return torch.tanh(self(features)[0])

    def policy_extras(self) -> dict[str, np.ndarray]:
        """Tensors that a saved policy needs beside the layers'."""
        return {}

    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Reparametrised action in (-1, 1) and its log-probability (B,), for standard normal noise (B, A)."""
        mean, log_std = self(features)
        pre = mean + log_std.exp() * noise
        return torch.tanh(pre), squashed_log_prob(pre, noise, log_std)

    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """log pi(a|s) of given actions (B, A) in [-1, 1], drawn in by 1e-4 at the bounds where the density diverges."""
        mean, log_std = self(features)
        pre = torch.atanh(actions.clamp(-1 + 1e-4, 1 - 1e-4))
        return squashed_log_prob(pre, (pre - mean) / log_std.exp(), log_std)


class MixtureActor(Actor):
    """pi(a|s) = sum_k w_k(s) N(a; tanh(mu_k(s)), sigma_k(s)^2) on actions scaled to [-1, 1]: a mixture density network
    (Bishop, 1994).

    Its deterministic action is the mode of the most likely component.
    """

    def __init__(self, n_features: int, act_dim: int, hidden: Sequence[int], components: int) -> None:
        super().__init__(n_features, components * act_dim, hidden)
        self.logits = nn.Linear(hidden[-1], components)

    @torch.no_grad()
    def begin_as(self, mixture: GaussianMixture) -> None:
        """Makes it, but for the features' small say, a diagonal mixture of actions: components that begin as one stay
        one for long.
        """
        self.logits.bias.copy_(mixture.weights_.log())
        biases = torch.atanh(mixture.means_.clamp(-1 + 1e-4, 1 - 1e-4)), 0.5 * mixture.covariances_.log()
        self.head.bias.copy_(torch.cat([bias.flatten() for bias in biases]))

    def components(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Log weights (B, K), and means and log standard deviations (B, K, A)."""
        h = self.trunk(features)
        logits = self.logits(h)
        mean, log_std = self.head(h).unflatten(-1, (2, logits.shape[-1], -1)).unbind(1)
        return logits.log_softmax(-1), torch.tanh(mean), log_std.clamp(LOG_STD_MIN, LOG_STD_MAX)

    @override
    def mode(self, features: Tensor) -> Tensor:
        log_weights, mean, _ = self.components(features)
        return mean[torch.arange(len(mean)), log_weights.argmax(-1)]

    @override
    def sample(self, features: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """A mixture has no reparametrised samples: ValueError."""
        raise ValueError("a mixture of actions is cloned, not trained by a critic: set components to 1")

    @override
    def log_prob(self, features: Tensor, actions: Tensor) -> Tensor:
        """log pi(a|s) of given actions (B, A): (B,)."""
        log_weights, mean, log_std = self.components(features)
        distance = ((actions.unsqueeze(1) - mean) / log_std.exp()).square()
        return torch.logsumexp(log_weights - (0.5 * (distance + math.log(2 * math.pi)) + log_std).sum(-1), -1)

    @override
    def policy_extras(self) -> dict[str, np.ndarray]:
        return {f"logits.{name}": p.detach().cpu().numpy() for name, p in self.logits.named_parameters()}


def squashed_log_prob(pre: Tensor, noise: Tensor, log_std: Tensor) -> Tensor:
    """log density of tanh(pre), pre = mean + exp(log_std) * noise, summed over actions: (B,).

    The Jacobian term uses log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2u)), which stays finite for large u.
    """
    gaussian = -0.5 * (noise.square() + math.log(2 * math.pi)) - log_std
    return (gaussian - 2 * (math.log(2) - pre - F.softplus(-2 * pre))).sum(-1)


class TwinCritic(nn.Module):
    """Two Q(s, a) networks evaluated as one batched product; LayerNorm before each ReLU (where `layer_norm`) keeps
    large steps stable.

    Takes features (B, F) and actions (B, A) in [-1, 1], returns (2, B).
    """

    def __init__(
        self, n_features: int, act_dim: int, hidden: Sequence[int] = (256, 256), layer_norm: bool = True
    ) -> None:
        super().__init__()
        self.layer_norm = layer_norm
        sizes = [n_features + act_dim, *hidden, 1]
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for n_in, n_out in itertools.pairwise(sizes):
            bound = 1 / math.sqrt(n_in)
            self.weights.append(nn.Parameter(torch.empty(2, n_in, n_out).uniform_(-bound, bound)))
            self.biases.append(nn.Parameter(torch.empty(2, 1, n_out).uniform_(-bound, bound)))

    @override
    def forward(self, features: Tensor, actions: Tensor) -> Tensor:
        h = torch.cat([features, actions], -1).expand(2, -1, -1)
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            h = torch.baddbmm(bias, h, weight)
            if i < last:
                h = F.relu(F.layer_norm(h, h.shape[-1:]) if self.layer_norm else h)
        return h.squeeze(-1)


class Discriminator(nn.Module):
    """logits_expert_is_high(s, a[, s']) = MLP on the concatenated inputs (Ho and Ermon, 2016): (B,).

    With `dropout` > 0 that share of each layer's outputs is hidden while it learns (Srivastava et al., 2014), never
    when it is asked for a reward.
    """

    def __init__(
        self, n_inputs: int, hidden: Sequence[int] = (128, 128), activation: str = "tanh", dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.trunk = mlp([n_inputs, *hidden], activation)
        self.head = nn.Linear(hidden[-1], 1)

    @override
    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.trunk(inputs)).squeeze(-1)

    def training_logits(self, inputs: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor | None]:
        """Logits (B,) to learn from, and the nats (B,) that a bottleneck lets through (None: there is none)."""
        if self.dropout == 0:
            return self(inputs), None
        h = inputs
        for layer in self.trunk:
            h = layer(h)
            if not isinstance(layer, nn.Linear):
                # drawn from the run's own generator, so that a resumed run draws the same
                kept = torch.rand(h.shape, generator=generator) >= self.dropout
                h = h * kept / (1 - self.dropout)
        return self.head(h).squeeze(-1), None


def trunk_tensors(trunk: nn.Sequential, obs_dim: int, columns: np.ndarray) -> dict[str, np.ndarray]:
    """The hidden layers of a network that sees `columns` alone, as tensors of a `demos.policy.MlpPolicy` on
    observations (`obs_dim`,): hidden columns get weight 0.
    """
    tensors: dict[str, np.ndarray] = {}
    for i, layer in enumerate(m for m in trunk if isinstance(m, nn.Linear)):
        weight, bias = (p.detach().cpu().numpy() for p in (layer.weight, layer.bias))
        if i == 0:
            seen, weight = weight, np.zeros((len(weight), obs_dim), np.float32)
            weight[:, columns] = seen
        tensors |= {f"hidden.{i}.weight": weight, f"hidden.{i}.bias": bias}
    return tensors


def policy_tensors(
    actor: Actor,
    obs_mean: np.ndarray,
    obs_scale: np.ndarray,
    columns: np.ndarray,
    act_low: np.ndarray,
    act_high: np.ndarray,
) -> dict[str, np.ndarray]:
    """The actor as tensors of a `demos.policy.MlpPolicy` on full observations: hidden columns get scale and weight
    0.
    """
    n_act = actor.width
    head_w, head_b = (p.detach().cpu().numpy() for p in (actor.head.weight, actor.head.bias))
    tensors = {
        "obs_mean": obs_mean,
        "obs_scale": obs_scale,
        "act_low": act_low,
        "act_high": act_high,
        "mean.weight": head_w[:n_act],
        "mean.bias": head_b[:n_act],
        "log_std.weight": head_w[n_act:],
        "log_std.bias": head_b[n_act:],
        **actor.policy_extras(),
        **trunk_tensors(actor.trunk, len(obs_mean), columns),
    }
    return {k: np.array(v, np.float32, order="C") for k, v in tensors.items()}  # of now, while the actor learns on

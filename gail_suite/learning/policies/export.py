"""Policies handed over to other programs: TorchScript and ONNX of the deterministic action, and a card that says
what it is.
"""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from gail_suite import envs
from gail_suite.demos.files import whole, write_atomic
from gail_suite.demos.policy import MlpPolicy
from gail_suite.demos.sealed import Json
from gail_suite.runs.versions import versions

OPSET = 17


class Deterministic(nn.Module):
    """obs (B, O) float32 -> the policy's deterministic action (B, A); of a choice its number (B,) int64."""

    def __init__(self, policy: MlpPolicy) -> None:
        super().__init__()
        self.meta, self.n_components = policy.meta, policy.n_components
        for name, value in policy.tensors.items():
            self.register_buffer(name.replace(".", "_"), torch.from_numpy(value.copy()))

    def forward(self, obs: Tensor) -> Tensor:
        """The action."""
        hidden = nn.functional.relu if self.meta["activation"] == "relu" else torch.tanh
        h = (obs - self._of("obs_mean")) * self._of("obs_scale")
        for i in range(self._depth("hidden")):
            h = hidden(self._linear(f"hidden_{i}", h))
        u = self._linear("mean", h)
        if self.meta["discrete"]:
            return u.argmax(-1)
        low, high = self._of("act_low"), self._of("act_high")
        if self.n_components > 1:
            likeliest = self._linear("logits", h).argmax(-1).view(-1, 1, 1).expand(-1, 1, low.shape[0])
            u = u.unflatten(-1, (self.n_components, low.shape[0])).gather(1, likeliest).squeeze(1)
        if self.meta["squash"]:
            u = low + (self._decoded(torch.tanh(u)) + 1) / 2 * (high - low)
        return torch.minimum(torch.maximum(u, low), high)

    def _decoded(self, wide: Tensor) -> Tensor:
        depth = self._depth("decoder")
        if depth == 0:
            return wide
        share, latent = self._of("decoder_share"), self._of("decoder_0_weight").shape[1]
        h = wide[:, :latent]
        for i in range(depth):
            h = self._linear(f"decoder_{i}", h if i == 0 else nn.functional.relu(h))
        return share * h.clamp(-1, 1) + (1 - share) * wide[:, latent:]

    def _linear(self, name: str, x: Tensor) -> Tensor:
        return nn.functional.linear(x, self._of(f"{name}_weight"), self._of(f"{name}_bias"))

    def _of(self, name: str) -> Tensor:
        return self.get_buffer(name)

    def _depth(self, kind: str) -> int:
        return sum(name.startswith(f"{kind}_") and name.endswith("_weight") for name, _ in self.named_buffers())


def save_torchscript(policy: MlpPolicy, path: str | Path) -> Path:
    """Writes a module that `torch.jit.load` runs without this package: obs (B, O) float32 -> actions."""
    path, packed = Path(path), io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch prefers torch.export, whose files only torch reads
        traced = torch.jit.trace(Deterministic(policy).eval(), torch.zeros(2, policy.obs_dim))
        torch.jit.save(traced, packed)
    write_atomic(path, packed.getvalue())
    return path


def save_onnx(policy: MlpPolicy, path: str | Path) -> Path:
    """Writes an ONNX model, input obs (B, O) float32, output action; ValueError where the package onnx is missing."""
    try:
        import onnx  # noqa: F401 (what torch's exporter needs)
    except ImportError as error:
        raise ValueError(f"ONNX needs the package onnx ({error}): pip install 'gail-suite[onnx]'") from None
    path = Path(path)
    with warnings.catch_warnings(), whole(path) as temporary:
        warnings.simplefilter("ignore")  # the newer exporter needs onnxscript for the same few operations
        torch.onnx.export(
            Deterministic(policy).eval(),
            (torch.zeros(2, policy.obs_dim),),
            str(temporary),
            input_names=["obs"],
            output_names=["action"],
            dynamic_axes={"obs": {0: "batch"}, "action": {0: "batch"}},
            opset_version=OPSET,
            dynamo=False,
        )
    return path


def write_card(policy: MlpPolicy, file: Path, evaluation: Json, record: Json) -> Path:
    """Writes MODEL_CARD.md beside an exported file: task, origin, result, interface, versions, limits.

    `evaluation` is what eval.json holds and `record` what config.json does; each may be empty.
    """
    spec, demos = envs.spec(policy.env_id), record.get("demos") or {}
    action = (
        f"number of one of {spec.act_dim} actions"
        if spec.discrete
        else f"{spec.act_dim} numbers within the task's bounds"
    )
    facts = {
        "File": file.name,
        "Task": policy.env_id,
        "Learned by": f"{record.get('algo', policy.meta.get('algo', 'unknown'))}, seed {record.get('seed', 'unknown')}",
        "From": f"{record.get('n_pairs', 'unknown')} pairs, "
        f"expert {(demos.get('expert') or {}).get('class', 'unknown')}",
        "Steps": str(record.get("total_steps", policy.meta.get("env_steps", "unknown"))),
        "Input": f"observation, {spec.obs_dim} numbers (float32), as the task gives them: standardisation is inside",
        "Output": f"{action}, deterministic",
        "Return": _result(evaluation),
        "Versions": ", ".join(f"{name} {value}" for name, value in sorted(versions().items())),
    }
    lines = [
        "# Model card",
        "",
        "| | |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in facts.items()),
        "",
        LIMITS,
        "",
    ]
    card = file.with_name("MODEL_CARD.md")
    write_atomic(card, "\n".join(lines).encode())
    return card


LIMITS = (
    "The policy imitates its demonstrations. Far from the states they show, in another version of the simulator, or on "
    "a robot, nothing is known of what it does. The return is the task's own reward, which training never saw."
)


def _result(evaluation: Json) -> str:
    if evaluation.get("return_mean") is None:
        return "not measured: gail-suite eval RUN"
    low, high = evaluation.get("return_interval", (None, None))
    interval = f" (95 % {low:.0f} to {high:.0f})" if low is not None else ""
    score = f", score {evaluation['score']:.3f}" if evaluation.get("score") is not None else ""
    return f"{evaluation['return_mean']:.0f}{interval}{score}, {evaluation.get('n_episodes', '?')} episodes"

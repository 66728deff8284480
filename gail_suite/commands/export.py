"""`gail-suite export`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, find_policy
from gail_suite.commands.parameters import Env, PolicyName

SUFFIX = {"sb3": ".zip", "torchscript": ".pt", "onnx": ".onnx"}


def export(
    policy: PolicyName,
    *,
    format: Annotated[Literal["sb3", "torchscript", "onnx"], Parameter(name="--format")] = "sb3",
    out: Path | None = None,
    env: Env = None,
    output: Output = DEFAULT,
) -> None:
    """Write a policy for other programs, and a model card beside it.

    Parameters
    ----------
    format
        sb3 (a zip that stable-baselines3 loads), torchscript (torch.jit.load) or onnx; the last two give the
        deterministic action.
    out
        The file; by default policy.zip, .pt or .onnx in RUN/export or ./export.
    """
    from gail_suite.demos import MlpPolicy
    from gail_suite.learning.policies.export import save_onnx, save_torchscript, write_card
    from gail_suite.learning.policies.policy import LearnedPolicy
    from gail_suite.runs.records import config_of, evaluation_of

    found, env_id = find_policy(policy, env)
    if not isinstance(found, MlpPolicy):
        raise ValueError(  # noqa: TRY004 (every error of ours is a ValueError)
            f"{policy} is no policy of this suite, so it is exported by the library that made it"
        )
    learned, run = LearnedPolicy(found.tensors, found.meta | {"env_id": env_id}), Path(policy)
    is_run = (run / "config.json").is_file()
    target = out or (run if is_run else Path()) / "export" / f"policy{SUFFIX[format]}"
    writers: dict[str, Callable[[Path], Path]] = {
        "sb3": learned.save_sb3,
        "torchscript": lambda path: save_torchscript(learned, path),
        "onnx": lambda path: save_onnx(learned, path),
    }
    path = writers[format](target)
    card = write_card(learned, path, evaluation_of(run) if is_run else {}, config_of(run) if is_run else {})
    output.result({"path": str(path), "card": str(card), "format": format}, f"{path}\n{card}")

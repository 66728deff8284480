"""Configs of earlier versions, which knew two priors, `prior` and `second_prior`, with one `weight` for every use."""

from __future__ import annotations

from pathlib import Path

from gail_suite.demos.sealed import Json
from gail_suite.priors.prior import read_about
from gail_suite.runs.runlog import EARLIER_PRIORS

NAMES = {
    "typicality": {"weight": "weight", "weight_final": "weight_final", "potential": "potential"},
    "behaviour": {name: name for name in ("weight", "weight_final", "target_kl", "dual_rate", "warm_start")},
    "latent-action": {"weight": "share"},
    "bottleneck": {"weight": "nats"},
    "start": {"weight": "share", "rollout": "rollout"},
}
"""Use -> the earlier settings that it followed and what they are called now."""


def translated(config: Json, run_dir: Path) -> Json:
    """The config of a run as this version writes it; `run_dir` holds the copies, which say what each prior was for."""
    now = {name: value for name, value in config.items() if name not in EARLIER_PRIORS}
    priors: Json = {}
    for name in EARLIER_PRIORS:
        given = config.get(name, {})
        if given.get("path") is None or not (given["weight"] or given.get("weight_final")):
            continue  # it did nothing, and no copy was kept
        use = read_about(run_dir / name)["use"]
        priors[use.replace("-", "_")] = {new: given[old] for old, new in NAMES[use].items() if old in given}
        priors[use.replace("-", "_")]["path"] = given["path"]
    limit = now.get("adversary", {}).get("bottleneck", 0)
    if "bottleneck" in priors and limit:  # the discriminator's own setting went before the prior's weight
        priors["bottleneck"]["nats"] = limit
        now["adversary"] = {**now["adversary"], "bottleneck": 0.0}
    return {**now, "priors": priors} if priors else now

"""`gail-suite prior fit | score`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, set_values


def fit(
    *,
    demos: Path,
    out: Path,
    model: str = "gmm",
    use: str = "typicality",
    control: str | None = None,
    take: int | None = None,
    subsample: int | None = None,
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    output: Output = DEFAULT,
) -> None:
    """Fit a generative model to demonstrations as a prior for policies.

    Parameters
    ----------
    demos
        Folder of demonstrations, as `gail-suite record` writes it.
    out
        Folder for the prior.
    model
        gmm, vae, ae, pixelcnn, gan, or constant; each use names those it can be made of.
    use
        typicality (a reward), behaviour (an anchor for the policy), latent-action (a decoder of actions), or bottleneck
        (a discriminator's encoder).
    control
        untrained or shuffled: what the prior has to beat.
    take
        Use this many of the trajectories, chosen by --seed, as `train` does.
    subsample
        Use every K-th pair of each trajectory, as `train` does.
    seed
        Seed of everything random.
    set_
        One setting of the model or the use, such as --set n_components=4; may be given several times.
    """
    import demos as demonstrations
    from gail_suite.priors import check, fit_prior

    check(use, model, control)
    shown = demonstrations.load(demos)
    if take is not None:
        shown = shown.take(take, seed=seed)
    if subsample is not None:
        shown = shown.subsample(subsample, seed=seed)
    if out.exists():
        raise ValueError(f"{out} is there already: choose another --out")
    prior = fit_prior(shown, model, use, seed, control, **{name.strip(): value for name, value in set_values(set_)})
    prior.save(out)
    values = {"out": str(out), "use": use, "model": model, "control": control, "env_id": prior.env_id,
              "n_pairs": shown.n_pairs, "settings": prior.settings}
    text = f"{model} for {use} fitted to {shown.n_pairs} pairs of {prior.env_id}, saved as {out}"
    training = command("train", "gail", "--demos", demos, "--prior", out, "--prior-weight", 0.2)
    scoring = [command("prior", "score", "--prior", out, "--demos", demos)] if use == "typicality" else []
    output.result(values, text, [training, *scoring])


def score(*, prior: Path, demos: Path, output: Output = DEFAULT) -> None:
    """Rank trajectories by how typical a prior finds them, so that foreign ones are found before training.

    Parameters
    ----------
    prior
        Folder of a prior for typicality, as `gail-suite prior fit` writes it.
    demos
        Folder of demonstrations.
    """
    import demos as demonstrations
    from gail_suite.priors import load_prior
    from gail_suite.typicality import rank

    loaded = load_prior(prior)
    if loaded.use != "typicality":
        raise ValueError(f"{prior} is a prior for {loaded.use}, which scores nothing: fit one with --use typicality")
    ranked = rank(loaded, demonstrations.load(demos))
    values = {"prior": str(prior), "demos": str(demos), "trajectories": [dataclasses.asdict(r) for r in ranked]}
    lines = [f"{'trajectory':>10} {'typicality':>10} {'steps':>6} {'return':>10}"]
    lines += [f"{r.index:>10} {r.mean:>10.3f} {r.length:>6} {r.episode_return:>10.1f}{'  foreign' * r.foreign}" for r in ranked]
    output.result(values, "\n".join(lines), [command("train", "gail", "--demos", demos, "--prior", prior, "--prior-weight", 0.2)])

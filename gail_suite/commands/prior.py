"""`gail-suite prior fit | score`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, can_run, command, imitating, note, set_values, some_of
from gail_suite.commands.parameters import Imports, import_all

if TYPE_CHECKING:
    from gail_suite.demos import Demonstrations
    from gail_suite.demos.sealed import Json
    from gail_suite.priors.prior import Prior
    from gail_suite.priors.typicality import Ranked


def fit(
    *,
    demos: Path,
    out: Path,
    model: str | None = None,
    use: str = "typicality",
    control: str | None = None,
    take: int | None = None,
    subsample: int | None = None,
    seed: int = 0,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    imports: Imports = (),
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
        gmm, vae, ae, pixelcnn, gan, constant or demonstrated; each use names those it can be made of. By default gmm
        for typicality, behaviour and start, ae for latent-action, vae for bottleneck.
    use
        typicality (a reward), behaviour (an anchor for the policy), latent-action (a decoder of actions), bottleneck (a
        discriminator's encoder), or start (states in which episodes begin).
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
    from gail_suite import demos as demonstrations
    from gail_suite.demos.names import known
    from gail_suite.priors.prior import USES, check, fit_prior

    import_all(imports)
    model = model or USES[known("use", use, USES)][1][0]
    check(use, model, control)
    settings = _settings(set_)
    shown = some_of(demonstrations.load(demos), take, subsample, seed)
    if out.exists():
        raise ValueError(f"{out} is there already: choose another --out")
    prior = fit_prior(shown, model, use, seed, control, **settings)
    prior.save(out)
    values = {
        "out": str(out),
        "use": use,
        "model": model,
        "control": control,
        "env_id": prior.env_id,
        "n_pairs": shown.n_pairs,
        "settings": prior.settings,
    }
    text = f"{model} for {use} fitted to {shown.n_pairs} pairs of {prior.env_id}, saved as {out}"
    options = {"--take": take, "--subsample": subsample}
    training = [_training(prior, demos, out, options, seed)] if _trains(prior.env_id) else []
    scoring = [command("prior", "score", "--prior", out, "--demos", "OTHER-DEMOS")] if use == "typicality" else []
    output.result(values, text, [*training, *scoring])


def _trains(task: str) -> bool:
    """Whether the learner that takes priors can be run on a task; noted where it acts otherwise than the task asks."""
    from gail_suite import envs

    if not can_run(task):
        return False
    if discrete := envs.spec(task).discrete:
        note(f"{task} has discrete actions, and the learner that takes priors acts by continuous ones: no run takes it")
    return not discrete


def _training(prior: Prior, demos: Path, out: Path, options: Mapping[str, int | None], seed: int) -> str:
    """The command that trains with a prior on the demonstrations that it was fitted to."""
    chosen = [word for name, value in options.items() if value is not None for word in (name, value)]
    seeded = ["--seed", seed] if chosen or seed else []
    is_potential = prior.use == "typicality" and prior.settings.get("states")
    form = ["--set", "priors.typicality.potential=true"] if is_potential else []
    return command("train", "gail", "--demos", demos, *chosen, *seeded, "--prior", out, *form)


def score(
    *,
    demos: Path,
    prior: Path | None = None,
    model: str | None = None,
    seed: int | None = None,
    set_: Annotated[tuple[str, ...], Parameter(name="--set", negative="")] = (),
    imports: Imports = (),
    output: Output = DEFAULT,
) -> None:
    """Rank trajectories by how typical a prior finds them, so that foreign ones are found before training.

    Without --prior each trajectory is scored by priors fitted to others of the same demonstrations: which of them is
    the odd one?

    Parameters
    ----------
    demos
        Folder of demonstrations.
    prior
        Folder of a prior for typicality, as `gail-suite prior fit` writes it, fitted to other demonstrations.
    model
        Without --prior: the model that is fitted; gmm by default.
    seed
        Without --prior: seed of everything random.
    set_
        Without --prior: one setting of the model, such as --set n_components=4; may be given several times.
    """
    from gail_suite import demos as demonstrations
    from gail_suite.priors.prior import check
    from gail_suite.priors.typicality import rank_among

    import_all(imports)
    shown = demonstrations.load(demos)
    if prior is None:
        check("typicality", model := model or "gmm", None)
        ranked = rank_among(shown, model, seed or 0, **_settings(set_))
    else:
        given = {"--model": model, "--seed": seed, "--set": set_ or None}
        ranked = _ranked(prior, demos, shown, [name for name, value in given.items() if value is not None])
    values = {
        "prior": None if prior is None else str(prior),
        "demos": str(demos),
        "trajectories": [dataclasses.asdict(r) for r in ranked],
    }
    lines = [f"{'trajectory':>10} {'typicality':>10} {'steps':>6} {'return':>10}"]
    lines += [
        f"{r.index:>10} {r.mean:>10.3f} {r.length:>6} {r.episode_return:>10.1f}{'  foreign' * r.foreign}"
        for r in ranked
    ]
    good = [] if any(r.foreign for r in ranked) else [imitating(demos, shown.task)]
    output.result(values, "\n".join(lines), good)


def _ranked(prior: Path, demos: Path, shown: Demonstrations, given: list[str]) -> list[Ranked]:
    """The trajectories as a saved prior finds them; ValueError for options `given` that it cannot follow."""
    from gail_suite.priors.prior import load_prior, provenance
    from gail_suite.priors.typicality import rank

    if given:
        raise ValueError(f"{prior} is fitted already: leave out {', '.join(given)}, or --prior to fit one here")
    loaded = load_prior(prior)
    if loaded.use != "typicality":
        raise ValueError(f"{prior} is a prior for {loaded.use}, which scores nothing: fit one with --use typicality")
    ranked = rank(loaded, shown)
    if loaded.provenance.get("demos") == provenance(shown, 0)["demos"]:
        note(
            f"{prior} was fitted to {demos} itself, so it finds even a foreign trajectory in there typical: leave "
            "out --prior"
        )
    return ranked


def _settings(pairs: Iterable[str]) -> Json:
    """Settings of a prior by name; ValueError for those that are options of the command."""
    settings = {name.strip(): value for name, value in set_values(pairs)}
    for name in settings:
        if name in ("demonstrations", "model", "use", "seed", "control"):
            raise ValueError(
                f"{name} is an option, not a setting: give --{'demos' if name == 'demonstrations' else name}"
            )
    return settings

"""`gail-suite data merge | filter | split`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, imitating
from gail_suite.commands.parameters import Flag, Imports, import_all

if TYPE_CHECKING:
    import numpy as np

    from gail_suite.demos import Demonstrations
    from gail_suite.demos.sealed import Json


def merge(*paths: Path, out: Path, imports: Imports = (), output: Output = DEFAULT) -> None:
    """Put folders of demonstrations of one environment together; repeated episodes are kept once.

    Parameters
    ----------
    paths
        Folders of demonstrations.
    out
        Folder for all of them.
    """
    from gail_suite import demos
    from gail_suite.demos.sets import distinct

    import_all(imports)
    whole = demos.merge([demos.load(path) for path in paths])
    kept = distinct(whole)
    kept.save(out)
    repeated = len(whole) - len(kept)
    text = f"{_said(kept)} in {out}" + (f"; {repeated} repeated episodes left out" if repeated else "")
    output.result({**_values(kept, out), "repeated": repeated}, text, [command("data", "show", out)])


def filter_(
    path: Path,
    *,
    out: Path,
    min_return: float | None = None,
    max_return: float | None = None,
    min_length: int | None = None,
    max_length: int | None = None,
    best: int | None = None,
    typical: Flag = False,
    min_typicality: float | None = None,
    prior: Annotated[Path | None, Parameter(help="Prior that judges typicality; by default one of the others.")] = None,
    imports: Imports = (),
    output: Output = DEFAULT,
) -> None:
    """Keep the episodes that meet every condition.

    Parameters
    ----------
    path
        Folder of demonstrations.
    out
        Folder for those that are kept.
    min_return
        Return at least this.
    max_return
        Return at most this.
    min_length
        Steps at least this.
    max_length
        Steps at most this.
    best
        Only this many, those of the highest returns.
    typical
        Not those that `gail-suite prior score` calls foreign.
    min_typicality
        Mean typicality at least this.
    """
    from gail_suite import demos

    import_all(imports)
    d = demos.load(path)
    conditions = {
        name: value
        for name, value in (
            ("min_return", min_return),
            ("max_return", max_return),
            ("min_length", min_length),
            ("max_length", max_length),
            ("best", best),
            ("typical", typical or None),
            ("min_typicality", min_typicality),
        )
        if value is not None
    }
    if not conditions:
        raise ValueError("filter by what? give a condition, such as --min-return 4000 or --typical")
    kept = d.where(_within(d, conditions) & _typical(d, conditions, prior) & _best(d, best), **conditions)
    kept.save(out)
    text = f"{_said(kept)} of {len(d)} in {out}"
    output.result({**_values(kept, out), "n_before": len(d)}, text, [command("data", "show", out)])


def split(
    path: Path, *, out: Path, fraction: float = 0.8, seed: int = 0, imports: Imports = (), output: Output = DEFAULT
) -> None:
    """Divide the episodes into two folders, OUT/train and OUT/test, that share none.

    Parameters
    ----------
    path
        Folder of demonstrations.
    out
        Folder for the two.
    fraction
        Share of the episodes that go to train.
    seed
        Seed of the draw.
    """
    from gail_suite import demos

    import_all(imports)
    parts = dict(zip(("train", "test"), demos.load(path).split(fraction, seed), strict=True))
    for name, part in parts.items():
        part.save(out / name)
    text = ", ".join(f"{_said(part)} in {out / name}" for name, part in parts.items())
    output.result(
        {name: _values(part, out / name) for name, part in parts.items()},
        text,
        [imitating(out / "train", parts["train"].task)],
    )


def _within(d: Demonstrations, conditions: Json) -> np.ndarray:
    """(n,) bool: return and length between the bounds."""
    import numpy as np

    kept = np.ones(len(d), bool)
    for name, values in (("return", d.returns), ("length", d.lengths)):  # unknown returns are within no bound
        if (least := conditions.get(f"min_{name}")) is not None:
            kept &= values >= least
        if (most := conditions.get(f"max_{name}")) is not None:
            kept &= values <= most
    return kept


def _best(d: Demonstrations, best: int | None) -> np.ndarray:
    """(n,) bool: among the `best` highest returns, the first of equal ones."""
    import numpy as np

    if best is not None and best < 1:
        raise ValueError(f"--best {best} keeps nothing: give at least 1")
    ranks = np.empty(len(d), int)
    ranks[np.argsort(-d.returns, kind="stable")] = np.arange(len(d))
    return ranks < (len(d) if best is None else best)


def _typical(d: Demonstrations, conditions: Json, prior: Path | None) -> np.ndarray:
    """(n,) bool: as typical as was asked for; no prior is fitted where nothing was."""
    import numpy as np

    keep = np.ones(len(d), bool)
    if not conditions.keys() & {"typical", "min_typicality"}:
        if prior is not None:
            raise ValueError("--prior judges typicality: add --typical or --min-typicality")
        return keep
    from gail_suite.priors.prior import load_prior
    from gail_suite.priors.typicality import rank, rank_among

    for ranked in rank(load_prior(prior), d) if prior is not None else rank_among(d):
        foreign = conditions.get("typical", False) and ranked.foreign
        keep[ranked.index] = not foreign and ranked.mean >= conditions.get("min_typicality", 0.0)
    return keep


def _said(d: Demonstrations) -> str:
    return f"{len(d)} episodes of {d.env_id}"


def _values(d: Demonstrations, path: Path) -> Json:
    return {
        "path": str(path),
        "env_id": d.env_id,
        "n_episodes": len(d),
        "n_pairs": d.n_pairs,
        "return_mean": float(d.returns.mean()),
        "length_mean": float(d.lengths.mean()),
    }

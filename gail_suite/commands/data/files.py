"""`gail-suite data show | verify | import | export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, filming, imitating
from gail_suite.commands.parameters import TASK, Flag, Imports, Task, import_all


def show(path: Path, *, plot: Path | None = None, imports: Imports = (), output: Output = DEFAULT) -> None:
    """Summarise a folder of demonstrations.

    Parameters
    ----------
    path
        Folder of demonstrations.
    plot
        Draw returns, lengths, ranges and coverage: a page (.html), or a picture (.png).
    """
    from gail_suite import demos
    from gail_suite.demos.pieces import horizon_of, pieces, said_pieces

    import_all(imports)
    d = demos.load(path)
    limit = horizon_of(d.task)
    if plot is not None:
        from gail_suite.showing.dataset import draw

        draw(d, plot)
    values = {
        "path": str(path),
        "env_id": d.env_id,
        "n_episodes": len(d),
        "n_pairs": d.n_pairs,
        "return_mean": float(d.returns.mean()),
        "return_sd": float(d.returns.std()),
        "length_mean": float(d.lengths.mean()),
        "terminated": sum(t.terminated for t in d),
        "pieces": int(pieces(d, limit)[0].sum()),
        "obs_dim": d[0].widths[0],
        "act_dim": d[0].widths[1],
        **({"plot": str(plot)} if plot is not None else {}),
        "meta": d.meta,
    }
    lines = [f"{name:<12} {value}" for name, value in values.items() if name != "meta"]
    lines += [f"{name:<12} {d.meta[name]}" for name in ("deterministic", "seed", "versions") if name in d.meta]
    lines += [f"note: {said}" for said in [said_pieces(d, limit)] if said]
    shown = filming(d.task, path, "--episode", 0)
    output.result(values, "\n".join(lines), [*shown, imitating(path, d.task)])


def verify(path: Path, *, imports: Imports = (), output: Output = DEFAULT) -> None:
    """Check every file, digest and value of a folder of demonstrations; status 1 if anything is wrong.

    Parameters
    ----------
    path
        Folder of demonstrations.
    """
    from gail_suite import demos, envs
    from gail_suite.demos.store import read_meta

    import_all(imports)
    report = demos.verify(path)
    values = {"path": str(path), "ok": report.ok, "problems": report.problems, "notes": report.notes}
    lines = [f"problem: {p}" for p in report.problems] + [f"note: {n}" for n in report.notes]
    if report.ok:
        lines.append(f"{path} is sound: {report.n_episodes} episodes, {report.n_pairs} pairs")
    following = []
    if report.ok:
        meta = read_meta(path)
        following = [imitating(path, envs.named(meta["env_id"], meta.get("env_kwargs")))]
    output.result(values, "\n".join(lines), following)
    if not report.ok:
        more = f" and {len(report.problems) - 1} more" if len(report.problems) > 1 else ""
        raise ValueError(f"{path} is not sound: {report.problems[0]}{more}")


def import_(
    source: str,
    *,
    out: Path,
    format: Annotated[Literal["auto", "minari", "imitation", "npz", "d4rl"], Parameter(name="--format")] = "auto",
    task: Task = TASK,
    columns: str | None = None,
    clip: Flag = False,
    output: Output = DEFAULT,
) -> None:
    """Turn data of another library into a folder of demonstrations; nothing is unpickled.

    Parameters
    ----------
    source
        A Minari dataset id, or a file or folder.
    out
        Folder for the demonstrations.
    format
        auto goes by what the source holds; d4rl reads d3rlpy's and CS 285's files too.
    columns
        Observation columns to keep, such as 0-26,33-110.
    clip
        Bring actions inside the environment's bounds, as a simulator does that clamps them.
    """
    from gail_suite import demos, envs
    from gail_suite.demos.exchange.foreign import column_numbers
    from gail_suite.learning.shown.actions import action_bounds

    reader = demos.import_any if format == "auto" else getattr(demos, f"from_{format}")
    d = reader(source, env_id=task.name(), columns=None if columns is None else column_numbers(columns))
    outside, entries = 0, 0
    if envs.is_registered(d.task) and d.has_actions:
        low, high = action_bounds(d.task)
        outside, entries = d.outside(low, high), len(low) * int(d.lengths.sum())
        d = d.clipped(low, high) if clip and outside else d
    d.save(out)
    values = {"path": str(out), "env_id": d.task, "n_episodes": len(d), "n_pairs": d.n_pairs, "outside": outside}
    text = f"{len(d)} episodes of {d.task} in {out}"
    text += f"; {d.meta['columns']}" if "columns" in d.meta else ""
    if outside:
        done = "clipped" if clip else "outside the bounds: import again with --clip, since no policy can follow them"
        text += f"; {outside} of {entries} action entries ({outside / entries:.0%}) {done}"
    output.result(values, text, [command("data", "verify", out)])


def export(
    path: Path,
    *,
    out: str,
    format: Annotated[Literal["minari", "imitation", "npz"], Parameter(name="--format")] = "minari",
    output: Output = DEFAULT,
) -> None:
    """Write demonstrations in the format of another library, or as plain arrays.

    Parameters
    ----------
    path
        Folder of demonstrations.
    out
        A Minari dataset id such as ant/expert-v0, imitation's folder, or an .npz file.
    format
        minari, imitation or npz.
    """
    from gail_suite import demos

    d = demos.load(path)
    getattr(demos, f"to_{format}")(d, out)
    values = {"out": out, "format": format, "n_episodes": len(d)}
    back = command("data", "import", out, "--format", format, "--out", f"{path}-copy")
    output.result(values, f"{len(d)} episodes written as {format} to {out}", [back])

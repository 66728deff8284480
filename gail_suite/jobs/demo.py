"""The main job: record an expert, imitate it by BC and by GAIL, measure all three, film expert and learner.

Each stage leaves its result on disk and is skipped when that is there, so a demo that was interrupted goes on.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from gail_suite import demos
from gail_suite.algorithms.bc import BC
from gail_suite.algorithms.gail import GAIL, GAILConfig
from gail_suite.demos.figures import said_return
from gail_suite.demos.policy import Policy
from gail_suite.demos.sealed import Json, write_results
from gail_suite.learning.policies.policy import load_policy
from gail_suite.runs import seeds
from gail_suite.runs.checkpoint import checkpoints
from gail_suite.runs.records import config_of, read_results
from gail_suite.runs.runlog import StopRequested, read_metrics, stop_on_signals, stop_requested
from gail_suite.showing.evaluation import Evaluation, evaluate
from gail_suite.showing.replay import render_episode
from gail_suite.showing.report import learning_curve, write_report
from gail_suite.showing.video import render

STEPS = 100_000
"""Of the 400,000 of a run with the defaults: what is learned of the bundled Humanoid in a few minutes."""
EXPERT_FRAMES = 100
"""Frames of the expert's film, which stands there before anything is trained."""
MEASURED = ("score", "return_mean", "return_sd", "length_mean")


def run_demo(
    out: Path,
    env_id: str = "Humanoid-v5",
    n_demos: int = 1,
    steps: int = STEPS,
    seed: int = 0,
    n_eval: int = 20,
    n_frames: int = 300,
    quiet: bool = False,
    say: Callable[[str], None] = print,
) -> Json:
    """Run or finish the demo in folder `out`; returns what summary.json holds: scores, seconds and files."""
    if min(n_eval, n_frames) < 1:
        raise ValueError(
            f"the demo measures over at least 1 episode and films at least 1 frame, got {n_eval} and {n_frames}"
        )
    start = time.monotonic()
    expert = demos.expert(env_id)
    say(f"1/5 recording {_counted(n_demos, 'episode')} of the bundled {env_id} expert")
    shown = demos.record(expert, env_id, n_demos, seed=seed, n_envs=n_demos, out=out / "demos")
    film = out / "expert.mp4"
    if not film.is_file():
        render_episode(shown, 0, film, n_frames=EXPERT_FRAMES, width=320, height=240)
    say(f"    what the expert does, its first {EXPERT_FRAMES} steps: {film}")
    say("2/5 behaviour cloning")
    bc = _bc(out / "bc", env_id, shown, seed, quiet)
    say(f"3/5 GAIL, {steps:,} environment steps")
    gail = _gail(out / "gail", env_id, shown, steps, seed, quiet)
    say(f"4/5 measuring expert, BC and GAIL over {_counted(n_eval, 'episode')} each")
    rows = {
        "expert": _measure(out / "expert.json", expert, env_id, n_eval),
        "bc": _measure(out / "bc/eval.json", bc, env_id, n_eval),
        "gail": _measure(out / "gail/eval.json", gail, env_id, n_eval, out / "gail/policy/policy.json"),
    }
    say("5/5 film and report")
    given = _counted(n_demos, "demonstration")
    others = {"bundled expert": rows["expert"], f"BC, {given}": rows["bc"]}
    files = {"expert": film} | _pictures(out, env_id, gail, expert, n_frames, f"GAIL, {given}", others)
    summary: Json = {"env_id": env_id, "n_demos": n_demos, "steps": steps, "n_eval": n_eval}
    summary |= {name: {k: row[k] for k in MEASURED} for name, row in rows.items()}
    summary |= {
        "demo_return_mean": float(shown.returns.mean()),
        "bc_wall_s": _wall(out / "bc"),
        "gail_wall_s": _wall(out / "gail"),
        "wall_s": round(time.monotonic() - start, 1),
        "files": {name: str(path) for name, path in files.items()},
    }
    write_results(out / "summary.json", summary)
    return summary


def table(summary: Json) -> str:
    """The result for people: one row a policy."""
    taken = {"expert": "", "bc": f"{summary['bc_wall_s']:.0f} s", "gail": f"{summary['gail_wall_s']:.0f} s"}
    given = _counted(summary["n_demos"], "demo")
    names = {"expert": "expert", "bc": f"BC, {given}", "gail": f"GAIL, {given}"}
    lines = [f"{summary['env_id']:<16} {'score':>6} {'return':>14} {'steps':>6} {'training':>9}"]
    for key, name in names.items():
        row = summary[key]
        spread = said_return(row["return_mean"], row["return_sd"])
        score = "-" if row["score"] is None else f"{row['score']:.3f}"
        lines.append(f"{name:<16} {score:>6} {spread:>14} {row['length_mean']:>6.0f} {taken[key]:>9}")
    lines.append(
        f"{_counted(summary['n_eval'], 'episode')} each; score 0 is random actions, 1 the reference expert; "
        f"{summary['wall_s']:.0f} s in all"
    )
    return "\n".join([*lines, *(f"{name:<8} {path}" for name, path in summary["files"].items())])


def _counted(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"


def _bc(run_dir: Path, env_id: str, shown: demos.Demonstrations, seed: int, quiet: bool) -> Policy:
    _check_begun(run_dir, n_pairs=shown.n_pairs)
    if (run_dir / "policy/policy.json").is_file():
        return load_policy(run_dir)
    return BC(env_id, shown, seed=seed, run_dir=run_dir).train(eval_episodes=0, quiet=quiet).policy


def _gail(run_dir: Path, env_id: str, shown: demos.Demonstrations, steps: int, seed: int, quiet: bool) -> Policy:
    _check_begun(run_dir, n_pairs=shown.n_pairs, total_steps=steps)
    if (run_dir / "policy/policy.json").is_file():
        return load_policy(run_dir)
    if checkpoints(run_dir / "checkpoints"):
        trainer = GAIL.resume(run_dir)
    else:
        whole = GAILConfig()
        config = replace(whole, loop=replace(whole.loop, horizon=whole.steps))
        trainer = GAIL(env_id, shown, config=config, seed=seed, run_dir=run_dir)
    with stop_on_signals():
        policy = trainer.train(steps, eval_episodes=0, quiet=quiet).policy
        if stop_requested():
            raise StopRequested
    return policy


def _check_begun(run_dir: Path, **asked: int) -> None:
    """ValueError if a run there was begun with other facts than are asked for now."""
    begun = config_of(run_dir)
    for name, value in asked.items():
        if begun.get(name, value) != value:
            raise ValueError(f"{run_dir} was begun with {name} {begun[name]}, not {value}: choose another --out")


def _measure(file: Path, policy: Policy, env_id: str, n_episodes: int, stale_after: Path | None = None) -> Json:
    found = read_results(file)
    fresh = stale_after is None or (file.exists() and file.stat().st_mtime >= stale_after.stat().st_mtime)
    protocol = {"env_id": env_id, "n_episodes": n_episodes, "seed": seeds.EVAL, "deterministic": True}
    if fresh and all(found.get(name) == value for name, value in protocol.items()):
        return found
    result: Evaluation = evaluate(policy, env_id, n_episodes=n_episodes, seed=seeds.EVAL)
    write_results(file, result.as_dict())
    return result.as_dict()


def _pictures(
    out: Path, env_id: str, gail: Policy, expert: Policy, n_frames: int, label: str, others: Json
) -> dict[str, Path]:
    files = {"video": out / "expert_and_gail.mp4", "curve": out / "learning_curve.png"}
    render(gail, env_id, files["video"], n_frames=n_frames, compare=expert, label=label)
    shutil.copyfile(files["video"], out / "gail/video.mp4")  # the report holds the film of its run
    learning_curve(out / "gail", files["curve"])
    return {**files, "report": write_report(out / "gail", others=others), "summary": out / "summary.json"}


def _wall(run_dir: Path) -> float:
    rows = read_metrics(run_dir)
    return float(rows[-1]["wall_s"]) if rows else 0.0

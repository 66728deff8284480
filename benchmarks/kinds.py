"""The eleven kinds of failure that were found at commit a17ba61, there and today: one small case of each.

    python -m benchmarks.kinds            # rewrites results/kinds.csv; a minute of one core

Each case is a program that ends with exit status 0 where the suite keeps its promise (docs/trust.md). It runs with the
code of either commit on the path, so what fails there and passes here was mended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from benchmarks.records import RESULTS, ROOT, append_row, command, commit, machine, markdown, read_rows

BEFORE = "a17ba61"
CSV = RESULTS / "kinds.csv"
COLUMNS = ("kind", "case", "before", "today", "before_commit", "machine", "commit", "command")
TOY = """
import dataclasses, envs, gail_suite as gs
shown = demos.record(envs.toy_expert, envs.TOY_ID, 4, seed=0)
def small(**loop):
    c = gs.GAILConfig()
    sac = dataclasses.replace(c.sac, hidden=(32, 32), batch_size=32)
    loop = {"n_envs": 4, "warm_up": 100, "capacity": 2000, "eval_every": 10**6} | loop
    return dataclasses.replace(c, warm_start=False, sac=sac, loop=dataclasses.replace(c.loop, **loop))
"""
CASES: dict[str, tuple[str, str]] = {
    "1 one door": (
        "meta.json is a list, is 100,000 lists deep, or has a number in the place of one of its entries",
        """
        folder = here / "demos"
        demos.record(envs.toy_expert, envs.TOY_ID, 1, seed=0, out=folder)
        whole = json.loads((folder / "meta.json").read_text())
        for content in ("[1]", "[" * 100_000, *(json.dumps(whole | {name: 7}) for name in whole)):
            (folder / "meta.json").write_text(content)
            with contextlib.suppress(ValueError):
                demos.load(folder)
        """,
    ),
    "2 digests": (
        "a byte of a policy changed",
        """
        demos.expert("Ant-v5").save(here / "policy")
        file = next((here / "policy").glob("*.safetensors"))
        data = bytearray(file.read_bytes())
        data[-1000] ^= 1
        file.write_bytes(data)
        refused(lambda: demos.MlpPolicy.load(here / "policy"))
        """,
    ),
    "3 bounded reading": (
        "1e11 environments",
        """
        import gail_suite as gs
        refused(lambda: gs.LoopConfig(n_envs=10**11))
        """,
    ),
    "4 only inside the target": (
        "RUN/.lock and RUN/tensorboard are links to elsewhere",
        TOY
        + """
        (here / "elsewhere").mkdir()
        (here / "file").write_text("mine")
        (here / "run").mkdir()
        (here / "run/tensorboard").symlink_to(here / "elsewhere")
        (here / "run/.lock").symlink_to(here / "file")
        with contextlib.suppress(ValueError):
            gs.GAIL(envs.TOY_ID, shown, small(), seed=0, run_dir=here / "run").train(200, eval_episodes=0)
        assert not list((here / "elsewhere").iterdir()) and (here / "file").read_text() == "mine"
        """,
    ),
    "5 exact rows": (
        "the row after a resume in the middle of its interval",
        TOY
        + """
        def row(run):
            rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
            return next(r["critic_loss"] for r in rows if r["step"] == 400)
        config = small(log_every=200, checkpoint_every=300)
        gs.GAIL(envs.TOY_ID, shown, config, seed=0, run_dir=here / "whole").train(600, eval_episodes=0)
        cut = gs.GAIL(envs.TOY_ID, shown, config, seed=0, run_dir=here / "cut")
        save = cut.loop.save
        def die():
            save()
            raise SystemExit
        cut.loop.save = die
        with contextlib.suppress(SystemExit):
            cut.train(600, eval_episodes=0)
        gs.GAIL.resume(here / "cut").train(600, eval_episodes=0)
        assert row(here / "whole") == row(here / "cut")
        """,
    ),
    "6 no dead ends": (
        "a recording after one with a wrong seed",
        """
        out = here / "demos"
        try:
            demos.record(envs.toy_expert, envs.TOY_ID, 1, seed=-1, out=out)
        except Exception:
            demos.record(envs.toy_expert, envs.TOY_ID, 1, seed=0, out=out)
        else:
            raise SystemExit("seed -1 was taken")
        """,
    ),
    "7 NaN": (
        "a checkpoint of an actor with NaN",
        TOY
        + """
        run = gs.GAIL(envs.TOY_ID, shown, small(), seed=0, run_dir=here / "run")
        run.train(200, eval_episodes=0)
        run.loop.sac.actor.head.bias.data[0] = float("nan")
        refused(run.loop.save)
        """,
    ),
    "8 equal bytes": (
        "one recording in six processes",
        """
        one = "import demos, envs, sys; demos.record(envs.toy_expert, envs.TOY_ID, 1, seed=0, out=sys.argv[1])"
        found = set()
        for i in range(6):
            subprocess.run([sys.executable, "-c", one, str(here / str(i))], check=True)
            found.add(next((here / str(i)).rglob("*.safetensors")).read_bytes())
        assert len(found) == 1
        """,
    ),
    "9 nothing left behind": (
        "a policy saved after a save that was killed",
        """
        die = "import demos, os, sys; os.replace = os.rename = lambda *a, **k: os._exit(0); "
        save = 'demos.expert("Ant-v5").save(sys.argv[1])'
        for line in (die + save, "import demos, sys; " + save):
            subprocess.run([sys.executable, "-c", line, str(here / "policy")], check=True)
        assert len(list((here / "policy").iterdir())) == 2, list((here / "policy").iterdir())
        """,
    ),
    "10 locks": (
        "a fit into the checkpoints of a fit under way",
        """
        import torch, generative as g
        x = torch.rand(40, 6, generator=torch.Generator().manual_seed(0))
        def fit(**more):
            g.AutoEncoder(checkpoint_every=1, eval_every=5).fit(
                x, steps=5, progress=False, checkpoint=here / "checkpoints", **more)
        def second(step, scalars):
            if step == 1:
                ran = subprocess.run([sys.executable, "-c", SECOND, str(here)], stderr=subprocess.DEVNULL)
                assert ran.returncode != 0
        SECOND = '''if True:
            import sys, torch, generative as g
            x = torch.rand(40, 6, generator=torch.Generator().manual_seed(0))
            g.AutoEncoder(checkpoint_every=1, eval_every=5).fit(
                x, steps=5, progress=False, checkpoint=sys.argv[1] + "/checkpoints", resume=True)'''
        fit(on_step=second)
        """,
    ),
    "11 input": (
        "train bc --steps 1.5",
        """
        demos.record(envs.toy_expert, envs.TOY_ID, 2, seed=0, out=here / "demos")
        line = ["train", "bc", "--demos", str(here / "demos"), "--out", str(here / "run"), "--steps", "1.5"]
        ran = subprocess.run([sys.executable, "-m", "gail_suite", *line], capture_output=True)
        assert ran.returncode != 0
        """,
    ),
}
"""Kind -> what is done, and the program that does it."""
START = """
import contextlib, json, shutil, subprocess, sys, tempfile
from pathlib import Path
import demos, envs
here = Path(tempfile.mkdtemp())
def refused(call):
    try:
        call()
    except (ValueError, FloatingPointError):
        return
    raise SystemExit("taken")
"""


def kept(case: str, tree: Path) -> bool:
    """Whether the code in `tree` keeps the promise of a case."""
    start, _, rest = case.partition(TOY) if TOY in case else ("", "", case)
    program = START + start + (TOY if TOY in case else "") + textwrap.dedent(rest)
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    with tempfile.TemporaryDirectory() as folder:
        environment["TMPDIR"] = folder
        ran = subprocess.run(
            [sys.executable, "-c", program],
            check=False,
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
        )
    if ran.returncode:
        print("   ", (ran.stderr.strip().splitlines() or ["exit without a word"])[-1][:150])
    return ran.returncode == 0


def main() -> None:
    """Runs every case on both commits and rewrites the CSV."""
    CSV.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        before = Path(folder) / "before"
        subprocess.run(["git", "worktree", "add", "-q", "--detach", str(before), BEFORE], cwd=ROOT, check=True)
        try:
            for kind, (what, case) in CASES.items():
                found = {name: "kept" if kept(case, tree) else "broken" for name, tree in _trees(before)}
                print(kind, found, flush=True)
                facts = {"kind": kind, "case": what, "before_commit": BEFORE}
                append_row(
                    CSV, COLUMNS, facts | found | {"machine": machine(), "commit": commit(), "command": command()}
                )
        finally:
            subprocess.run(["git", "worktree", "remove", "--force", str(before)], cwd=ROOT, check=True)


def _trees(before: Path) -> tuple[tuple[str, Path], ...]:
    return (("before", before), ("today", ROOT))


def table() -> str:
    """One line a kind."""
    rows = [(r["kind"], r["case"], r["before"], r["today"]) for r in read_rows(CSV)]
    return markdown(["kind", "case", f"at {BEFORE}", "today"], rows)


if __name__ == "__main__":
    main()

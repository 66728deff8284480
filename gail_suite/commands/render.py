"""`gail-suite render`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from gail_suite.commands.common import DEFAULT, Output, command, find_policy, named_again
from gail_suite.commands.parameters import TASK, PolicyName, Task, Trust, VecNormalize

if TYPE_CHECKING:
    from gail_suite.demos.policy import Policy
    from gail_suite.showing.video import Stage


def render(
    policy: PolicyName,
    *,
    task: Task = TASK,
    out: Path | None = None,
    frames: Annotated[int | None, Parameter(name=["--frames", "-n"])] = None,
    compare: str | None = None,
    episode: int | None = None,
    renderer: Literal["auto", "egl", "raycast"] = "auto",
    seed: int = 0,
    width: int = 480,
    height: int = 360,
    fps: int | None = None,
    overlay: bool = True,
    trust: Trust = False,
    vecnormalize: VecNormalize = None,
    output: Output = DEFAULT,
) -> None:
    """Film a policy, or a recorded episode, into an .mp4 or .gif, or write its frames into an .npz that `gail-suite gen
    fit` reads.

    Parameters
    ----------
    out
        The file; by default video.mp4 in the run directory.
    frames
        Number of frames; by default 300 of a policy, the whole of a recorded episode.
    compare
        Another policy, filmed on the left: "bundled", a run directory, a policy folder or an SB3 zip; or a folder of
        demonstrations, one of whose episodes is shown there from its recorded states.
    episode
        Film this episode of a folder of demonstrations, given in the place of the policy or to --compare, from its
        recorded states.
    renderer
        auto takes EGL where it works on a GPU, and casts rays elsewhere (no OpenGL needed).
    seed
        Seed of the first episode.
    width
        Width in pixels, even (any for .npz).
    height
        Height in pixels, even (any for .npz).
    fps
        Frames a second; by default the speed of the simulation.
    overlay
        Write task, policy, step and return into the picture.
    """
    beside = compare is not None and (Path(compare) / "meta.json").is_file()
    if episode is not None and not beside:
        if compare is not None or task.env is not None:
            raise ValueError("a recorded episode knows its environment and stands alone: leave out --env and --compare")
        task.load()
        _recorded(Path(policy), episode, out, frames, renderer, width, height, fps, overlay, output)
        return
    from gail_suite.showing.video import N_FRAMES
    from gail_suite.showing.video import render as film

    frames = N_FRAMES if frames is None else frames
    actor, env_id = find_policy(policy, task, trust, vecnormalize)
    is_run = (Path(policy) / "config.json").is_file()
    target = out or (Path(policy) / "video.mp4" if is_run else Path("video.mp4"))
    overlay = overlay and target.suffix.lower() != ".npz"
    other: Policy | Stage | None = None
    if compare and beside:
        other = _demonstrated(Path(compare), episode or 0, target, renderer, width, height, overlay)
    elif compare:
        other = find_policy(compare, env_id, trust, vecnormalize)[0]
    film(
        actor,
        env_id,
        target,
        n_frames=frames,
        renderer=renderer,
        seed=seed,
        compare=other,
        width=width,
        height=height,
        fps=fps,
        overlay=overlay,
        label="expert" if policy == "bundled" else "learner",
        compare_label="expert" if compare == "bundled" else compare or "",
    )
    again = ["report", policy] if is_run else ["eval", *named_again(policy, env_id, trust, vecnormalize)]
    following = command(*(["gen", "fit", "VAE", target] if target.suffix.lower() == ".npz" else again))
    output.result(
        {"path": str(target), "env_id": env_id, "n_frames": frames}, f"{target}: {frames} frames", [following]
    )


def _demonstrated(
    folder: Path, episode: int, target: Path, renderer: str, width: int, height: int, overlay: bool
) -> Stage:
    """A recorded episode, to be filmed beside a policy."""
    from gail_suite import demos
    from gail_suite.showing.replay import Recorded
    from gail_suite.showing.video import rate

    return Recorded(demos.load(folder), episode, renderer, width, height, overlay, "demonstrated", rate(target))


def _recorded(
    path: Path,
    episode: int,
    out: Path | None,
    frames: int | None,
    renderer: str,
    width: int,
    height: int,
    fps: int | None,
    overlay: bool,
    output: Output,
) -> None:
    from gail_suite import demos
    from gail_suite.showing.replay import render_episode

    shown = demos.load(path)
    target = out or Path(f"episode_{episode}.mp4")
    render_episode(shown, episode, target, frames, renderer, width, height, fps, overlay)
    text = f"{target}: episode {episode} of {len(shown)}, {len(shown[episode])} steps"
    output.result(
        {"path": str(target), "env_id": shown.env_id, "episode": episode}, text, [command("data", "show", path)]
    )

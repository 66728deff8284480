"""Watch a policy: mp4 or GIF with an overlay, by EGL or by ray casting, alone or beside another policy; or its
frames as data.
"""

from __future__ import annotations

import io
import itertools
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, cast

import mujoco
import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from gail_suite import envs
from gail_suite.demos.files import check_writable, whole
from gail_suite.demos.policy import Policy, check_bounds
from gail_suite.envs.common import Env, check_seed
from gail_suite.showing.egl import EglRenderer, egl_probe
from gail_suite.showing.raycast import RayCaster, View

if TYPE_CHECKING:
    from gymnasium.envs.mujoco import MujocoEnv

MAX_FPS = 40
GIF_FPS = 20
"""Frames a second of a GIF at most, since it stores each of them nearly whole."""
N_FRAMES = 300
"""Frames of a film of a policy, unless another number is asked for."""
AZIMUTH, ELEVATION = 110.0, -20.0


class Renderer(Protocol):
    """What draws one model's simulations."""

    def render(self, data: mujoco.MjData, view: View) -> np.ndarray:
        """Frame (height, width, 3) uint8."""
        ...

    def close(self) -> None:
        """Free what the renderer holds."""
        ...


def render(
    policy: Policy,
    env_id: str,
    path: str | Path,
    n_frames: int = N_FRAMES,
    renderer: Literal["auto", "egl", "raycast"] = "auto",
    seed: int = 0,
    compare: Policy | Stage | None = None,
    width: int = 480,
    height: int = 360,
    fps: int | None = None,
    overlay: bool = True,
    label: str = "learner",
    compare_label: str = "expert",
) -> Path:
    """Film `n_frames` frames of a policy into an .mp4 or .gif; `compare` is filmed on its left, from the same seed.

    `compare` is a policy, or a `Stage` of the same size such as a recorded episode, which ends the film where it ends.
    A .npz holds the frames as images x (N, 3, height, width) uint8 for the generative models, without overlay.
    The film runs at the speed of the simulation; tasks that step faster than 40 times a second show every k-th step,
    and `fps` overrides the playback speed. An episode that ends is followed by the next, seeded seed + 1 and so on.
    Raises ValueError for an unknown suffix or renderer, a size that is not even, or an environment that cannot be
    drawn.
    """
    path = Path(path)
    check_film(path, n_frames, width, height)
    check_seed(seed)
    if fps is not None and fps < 1:
        raise ValueError(f"fps is {fps}; at least one frame a second is needed")
    overlay = overlay and path.suffix.lower() != ".npz"
    filmed: list[tuple[Policy | Stage, str]] = [(policy, label)]
    if compare is not None:
        filmed.insert(0, (compare, compare_label))
    with ExitStack() as stack:
        stages = []
        for actor, name in filmed:
            if not isinstance(actor, Stage):
                actor = Stage(env_id, actor, name, renderer, seed, width, height, overlay, rate(path))
            stages.append(stack.enter_context(closing(actor)))
        frames = (np.concatenate(row, axis=1) for row in zip(*(s.frames(n_frames) for s in stages), strict=False))
        write_film(path, frames, fps or stages[0].fps)
    return path


class Stage:
    """One policy, or a recorded episode, in one environment in front of one camera."""

    def __init__(
        self,
        env_id: str,
        policy: Policy | None,
        label: str,
        renderer: str,
        seed: int,
        width: int,
        height: int,
        overlay: bool,
        max_fps: int = MAX_FPS,
    ) -> None:
        self._policy, self._seed = policy, seed
        self._label = f"{env_id}   {label}" if overlay else None
        self._size = width, height
        self.env, self._draw = _open(env_id, renderer, width, height)
        check_bounds(policy, self.env.action_space, env_id)
        self._limit = getattr(self.env.spec, "max_episode_steps", None)
        self._stride, self.fps = speed(self.env, max_fps)

    def frames(self, n_frames: int) -> Iterator[np.ndarray]:
        """Frames (height, width, 3) of episode after episode of its policy."""
        assert self._policy is not None
        step, total, done, state, start, obs = 0, 0.0, True, None, np.ones(1, bool), np.zeros(0)
        for frame in range(n_frames * self._stride):
            if done:
                obs, _ = self.env.reset(seed=self._seed)
                self._camera = Camera(self.env)
                self._seed += 1
                step, total, state, start = 0, 0.0, None, np.ones(1, bool)
            if frame % self._stride == 0:
                yield self._frame(step, total)
            action, state = self._policy.predict(obs[None], state=state, episode_start=start, deterministic=True)
            obs, reward, terminated, truncated, _ = self.env.step(action[0])
            step, total, done, start = step + 1, total + float(reward), terminated or truncated, np.zeros(1, bool)

    def show(self, states: Iterator[None], totals: np.ndarray, length: int) -> Iterator[np.ndarray]:
        """Frames of an episode of `length` steps: `states` puts the environment where it is at each step, `totals`
        are returns.
        """
        self._limit = length
        for step, _ in enumerate(states):
            if step == 0:
                self._camera = Camera(self.env)
            if step % self._stride == 0:
                yield self._frame(step, float(totals[step]))

    def _frame(self, step: int, total: float) -> np.ndarray:
        if self._draw is None:
            picture = Image.fromarray(np.asarray(self.env.render())).convert("RGB")
            image = ImageOps.pad(picture, self._size)  # nothing is stretched
        else:
            image = Image.fromarray(self._draw.render(cast("MujocoEnv", self.env.unwrapped).data, self._camera.view()))
        if self._label is not None:
            _caption(image, self._label, f"step {step}{f'/{self._limit}' if self._limit else ''}   return {total:.0f}")
        return np.asarray(image)

    def close(self) -> None:
        """Free the environment and the renderer."""
        if self._draw is not None:
            self._draw.close()
        self.env.close()


def rate(path: Path) -> int:
    """Frames a second at most in a film of this name."""
    return GIF_FPS if path.suffix.lower() == ".gif" else MAX_FPS


def speed(env: Env, max_fps: int = MAX_FPS) -> tuple[int, int]:
    """Steps from one frame to the next, and frames a second, at the speed of the simulation."""
    steps = int(env.metadata.get("render_fps", 30))
    stride = -(-steps // max_fps)
    return stride, max(1, round(steps / stride))


def film_note(path: Path, env_id: str) -> str | None:
    """Which part of an episode a film of `render` shows, in a sentence; None where the file or the task cannot be
    read.
    """
    import imageio_ffmpeg

    try:
        n_frames, seconds = imageio_ffmpeg.count_frames_and_secs(str(path))
        with closing(envs.make(env_id)) as env:
            (stride, _), limit = speed(env, rate(path)), getattr(env.spec, "max_episode_steps", None)
    except (ValueError, RuntimeError, OSError):
        return None
    steps = n_frames * stride
    if limit is None or steps >= limit:
        return f"The film shows {steps:,} steps, {seconds:.0f} seconds: whole episodes, one after the other."
    return (
        f"The film shows the first {steps:,} steps of an episode that may last {limit:,}, {seconds:.0f} seconds; "
        "where it ends early, the next one follows."
    )


class Camera:
    """Follows the first moving body across the ground, not up and down, about as far off as Gymnasium's camera."""

    def __init__(self, env: Env) -> None:
        inner = cast("MujocoEnv", env.unwrapped)
        if not hasattr(inner, "model"):
            return
        self._data, model = inner.data, inner.model
        config = getattr(getattr(inner, "mujoco_renderer", None), "default_cam_config", None) or {}
        self._body = min(config.get("trackbodyid", 1), model.nbody - 1)
        self._distance = 0.9 * config.get("distance", 1.5 * model.stat.extent)
        self._height = 0.75 * float(self._data.xpos[self._body, 2])

    def view(self) -> View:
        """Where the camera looks now."""
        x, y = self._data.subtree_com[self._body, :2]
        return View((float(x), float(y), self._height), self._distance, AZIMUTH, ELEVATION)


def choose_renderer(renderer: str) -> str:
    """The renderer to use, "egl" or "raycast": `auto` takes EGL on a GPU, since rays outrun emulated OpenGL.

    Raises ValueError for an unknown renderer, or for "egl" where it does not work.
    """
    if renderer not in ("auto", "egl", "raycast"):
        raise ValueError(f"unknown renderer {renderer!r}: choose auto, egl or raycast")
    if renderer == "raycast":
        return renderer
    probe = egl_probe()
    if renderer == "egl" and probe.problem is not None:
        raise ValueError(
            f"EGL does not work here ({probe.problem}): install libegl1 and libgl1-mesa-dri, or use raycast"
        )
    return "egl" if renderer == "egl" or (probe.problem is None and not probe.software) else "raycast"


def _open(env_id: str, renderer: str, width: int, height: int) -> tuple[Env, Renderer | None]:
    """The environment and what draws it; None if it draws itself."""
    check_filmable(env_id)
    env = envs.make(env_id)
    model = getattr(env.unwrapped, "model", None)
    if isinstance(model, mujoco.MjModel):
        kind = EglRenderer if choose_renderer(renderer) == "egl" else RayCaster
        return env, kind(model, width, height)
    env.close()
    return envs.make(env_id, render_mode="rgb_array"), None


def check_filmable(env_id: str) -> None:
    """ValueError for an environment that is no MuJoCo task and draws no picture itself, which is tried."""
    with closing(envs.make(env_id)) as env:
        if isinstance(getattr(env.unwrapped, "model", None), mujoco.MjModel):
            return
        if "rgb_array" not in env.metadata.get("render_modes", []):
            raise ValueError(f"{env_id} is not a MuJoCo task and offers no rgb_array pictures, so it cannot be filmed")
    with closing(envs.make(env_id, render_mode="rgb_array")) as env:
        try:
            env.reset(seed=0)
            shape = np.asarray(env.render()).shape
        except (
            Exception
        ) as error:  # whatever a task of one's own raises, or a library that it draws with and that is missing
            raise ValueError(f"{env_id} cannot be filmed here: {' '.join(str(error).split())}") from error
    if len(shape) != 3 or shape[-1] != 3:
        raise ValueError(f"{env_id} cannot be filmed: its picture has shape {shape}, not (height, width, 3)")


def check_film(path: Path, n_frames: int, width: int, height: int) -> None:
    """ValueError for a suffix, a number of frames or a size that no film can have."""
    if path.suffix.lower() not in WRITERS:
        raise ValueError(f"{path} is neither .mp4 nor .gif nor .npz: give the video, or the frames, one of these names")
    if n_frames < 1:
        raise ValueError(f"n_frames is {n_frames}; at least one is needed")
    check_writable(path)
    if path.suffix.lower() == ".npz":
        if min(width, height) < 8:
            raise ValueError(f"frames are {width}x{height}: both must be at least 8")
    elif width < 64 or height < 64 or width % 2 or height % 2:
        raise ValueError(f"video size is {width}x{height}: both must be even and at least 64")


def _caption(image: Image.Image, left: str, right: str) -> None:
    """A translucent band with text along the upper edge: one line, or two where the picture is narrow."""
    size = max(11, image.height // 24)
    font = ImageFont.load_default(size)
    lines = 1 if font.getlength(left + right) + 2 * size < image.width else 2
    band = Image.new("RGB", (image.width, 2 * size * lines), (16, 20, 28))
    image.paste(Image.blend(image.crop((0, 0, *band.size)), band, 0.65))
    draw = ImageDraw.Draw(image)
    draw.text((size // 2, size), left, (255, 255, 255), font, anchor="lm")
    where, anchor = ((image.width - size // 2, size), "rm") if lines == 1 else ((size // 2, 3 * size), "lm")
    draw.text(where, right, (255, 255, 255), font, anchor=anchor)


def write_film(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    """Encode under a temporary name, then rename: a video that is there is whole."""
    with whole(path) as temporary:
        WRITERS[path.suffix.lower()](temporary, frames, fps)


def _write_gif(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    first, *others = [Image.fromarray(f).quantize(128, dither=Image.Dither.NONE) for f in frames]
    # a GIF counts in hundredths of a second, so frames take turns: the film as a whole keeps its speed
    ends = [round(100 * k / fps) for k in range(len(others) + 2)]
    durations = [10 * (b - a) for a, b in itertools.pairwise(ends)]
    first.save(path, save_all=True, append_images=others, duration=durations, loop=0, optimize=False)


def _write_npz(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    packed = io.BytesIO()  # a zip that a full disk cuts short would complain twice
    np.savez_compressed(packed, x=np.stack(list(frames)).transpose(0, 3, 1, 2))
    path.write_bytes(packed.getvalue())


def _write_mp4(path: Path, frames: Iterator[np.ndarray], fps: int) -> None:
    import imageio_ffmpeg

    first = next(frames)
    height, width = first.shape[:2]
    source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(fps), "-i", "-"]
    target = ["-c:v", "libx264", "-crf", "22", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-movflags", "+faststart"]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-y", "-v", "error", *source, "-an", *target, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as ffmpeg:
        assert ffmpeg.stdin is not None and ffmpeg.stderr is not None
        broken = False
        try:
            ffmpeg.stdin.write(first.tobytes())
            for frame in frames:
                ffmpeg.stdin.write(frame.tobytes())
            ffmpeg.stdin.close()
        except BrokenPipeError:
            broken = True
        complaint = ffmpeg.stderr.read().decode(errors="replace").strip()
    if ffmpeg.returncode != 0 or broken:
        raise OSError(f"cannot write the video: {complaint.splitlines()[-1] if complaint else 'ffmpeg failed'}")


WRITERS: dict[str, Callable[[Path, Iterator[np.ndarray], int], None]] = {
    ".mp4": _write_mp4,
    ".gif": _write_gif,
    ".npz": _write_npz,
}

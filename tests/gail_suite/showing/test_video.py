"""Frames and films: the ray caster against geometry done by hand, both renderers on real tasks, files that play."""

import os
import re
import subprocess
import sys
from pathlib import Path

import imageio_ffmpeg
import mujoco
import numpy as np
import pytest
from gymnasium.spaces import Box
from PIL import Image

import envs
from gail_suite.showing import video
from gail_suite.showing.egl import EglProbe, EglRenderer, egl_probe
from gail_suite.showing.raycast import FLOOR_DARK, FLOOR_LIGHT, RayCaster, View, checker

SCENE = """<mujoco><worldbody>
<geom name="floor" type="plane" size="50 50 1"/>
<body pos="0 0 1"><geom name="ball" type="sphere" size="0.5" rgba="0.9 0.1 0.1 1"/></body>
</worldbody></mujoco>"""
VIEW = View((0.0, 0.0, 1.0), 4.0, 90.0, -20.0)


def scene() -> tuple[mujoco.MjModel, mujoco.MjData]:
    model = mujoco.MjModel.from_xml_string(SCENE)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return model, data


class Still:
    """Actions of zero."""

    def predict(self, obs, state=None, episode_start=None, deterministic=False):
        return np.zeros((len(obs), 8), np.float32), state


def test_the_camera_looks_where_mujoco_says() -> None:
    forward, right, up = View((0, 0, 0), 2.0, 90.0, 0.0).axes()
    np.testing.assert_allclose([forward, right, up], [[0, 1, 0], [1, 0, 0], [0, 0, 1]], atol=1e-12)
    # 30 degrees down from azimuth 0: cos 30 = 0.866 forward along x, sin 30 = 0.5 downwards; the camera sits behind
    view = View((1.0, 0.0, 0.0), 2.0, 0.0, -30.0)
    np.testing.assert_allclose(view.position(), [1 - 2 * 3**0.5 / 2, 0, 1], atol=1e-12)


def test_the_ball_has_its_size_and_colour_and_stands_before_floor_and_sky() -> None:
    model, data = scene()
    frame = RayCaster(model, 200, 160).render(data, VIEW).astype(int)
    red = (frame[..., 0] > 2 * frame[..., 1]) & (frame[..., 0] > 2 * frame[..., 2])
    # the outline of a sphere of radius r at distance d spans asin(r / d): 80 / tan(fovy / 2) * tan(asin(0.5 / 4))
    # pixels
    radius = 80 / np.tan(np.radians(45 / 2)) * np.tan(np.arcsin(0.125))
    assert red.sum() == pytest.approx(np.pi * radius**2, rel=0.03)
    assert red[80, 100] and not red[10, 100] and not red[150, 10]
    sky, floor = frame[2, 100], frame[150, 10]
    assert sky[2] > sky[0] and sky.min() > 150
    assert abs(floor - floor.mean()).max() < 30


def test_the_ball_shades_the_floor() -> None:
    model, data = scene()
    bright = RayCaster(model, 200, 160).render(data, VIEW).astype(int)
    data.geom_xpos[1] = [0, 0, 500]  # out of sight
    without = RayCaster(model, 200, 160).render(data, VIEW).astype(int)
    floor = (without[..., 0] > 90) & (np.arange(160)[:, None] > 80)
    darker = floor & (bright[..., 2] < 0.7 * without[..., 2]) & (bright[..., 0] < 1.5 * bright[..., 1])
    assert 200 < darker.sum() < 5000


def test_the_same_state_gives_the_same_frame() -> None:
    model, data = scene()
    caster = RayCaster(model, 96, 64)
    first = caster.render(data, VIEW)
    caster.render(data, View((1.0, 2.0, 0.5), 3.0, 30.0, -40.0))
    np.testing.assert_array_equal(caster.render(data, VIEW), first)


def test_checker_is_the_mean_of_the_pattern_over_the_box() -> None:
    point, blur = np.array([[0.3, 0.8]]), np.array([0.9])
    x = 0.3 + 0.9 * ((np.arange(900) + 0.5) / 900 - 0.5)
    y = 0.8 + 0.9 * ((np.arange(900) + 0.5) / 900 - 0.5)
    light = (np.floor(x)[:, None] + np.floor(y)[None]) % 2 == 0
    assert checker(point, blur)[0] == pytest.approx(light.mean(), abs=2e-3)
    # a box of side 2 holds as much light as dark, a tiny one a single square
    assert checker(np.array([[0.2, 5.1]]), np.array([2.0]))[0] == pytest.approx(0.5)
    assert checker(np.array([[0.5, 0.5], [1.5, 0.5]]), np.full(2, 1e-6)) == pytest.approx([1.0, 0.0])
    assert (FLOOR_LIGHT > FLOOR_DARK).all()


@pytest.mark.parametrize("env_id", ["Ant-v5", "Humanoid-v5"])
def test_tasks_are_recognisable_figures_on_a_floor(env_id: str) -> None:
    env = envs.make(env_id)
    env.reset(seed=0)
    caster, camera = RayCaster(env.unwrapped.model, 160, 120), video.Camera(env)
    frame = caster.render(env.unwrapped.data, camera.view()).astype(int)
    figure = frame[..., 0] > frame[..., 2] + 25  # tan limbs on a bluish grey floor
    rows, columns = np.nonzero(figure)
    assert 0.01 < figure.mean() < 0.25
    assert abs(columns.mean() - 80) < 20 and abs(rows.mean() - 60) < 30
    env.close()


@pytest.mark.skipif(egl_probe().problem is not None, reason="no EGL on this machine")
def test_egl_draws_the_ball_where_the_ray_caster_does() -> None:
    model, data = scene()
    rays = RayCaster(model, 200, 160).render(data, VIEW).astype(int)
    renderer = EglRenderer(model, 200, 160)
    opengl = renderer.render(data, VIEW).astype(int)
    renderer.close()
    reds = [(f[..., 0] > 2 * f[..., 1]) & (f[..., 0] > 2 * f[..., 2]) for f in (rays, opengl)]
    assert (reds[0] & reds[1]).sum() / (reds[0] | reds[1]).sum() > 0.95


def test_auto_takes_egl_on_a_gpu_and_rays_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    for probe, expected in (
        (EglProbe("NVIDIA H100", None), "egl"),
        (EglProbe("llvmpipe (LLVM 15.0.6)", None), "raycast"),
        (EglProbe(None, "no display"), "raycast"),
    ):
        monkeypatch.setattr(video, "egl_probe", lambda probe=probe: probe)
        assert video.choose_renderer("auto") == expected
    with pytest.raises(ValueError, match=r"EGL does not work here \(no display\): install .*, or use raycast"):
        video.choose_renderer("egl")
    with pytest.raises(ValueError, match="unknown renderer 'osmesa': choose auto, egl or raycast"):
        video.choose_renderer("osmesa")


def describe(path: Path) -> str:
    """What ffmpeg says of a film after decoding all of it."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-i", str(path), "-f", "null", "-"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stderr


def test_mp4_side_by_side_in_a_path_with_a_space(tmp_path: Path) -> None:
    path = tmp_path / "my films" / "ant.mp4"
    video.render(Still(), "Ant-v5", path, n_frames=4, renderer="raycast", compare=Still(), width=128, height=96)
    found = describe(path)
    assert re.search(r"Video: h264 .*yuv420p.* 256x96", found) and re.search(r"frame=\s*4 ", found)
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")  # +faststart: plays while it loads
    assert [p.name for p in path.parent.iterdir()] == ["ant.mp4"]


def test_an_agent_of_other_bounds_is_not_filmed(tmp_path: Path) -> None:
    class Scaled(Still):
        action_space = Box(-0.4, 0.4, (8,), np.float32)

    with pytest.raises(ValueError, match=r"actions lie in \[-0.4, 0.4\], those of Ant-v5 in \[-1, 1\]"):
        video.render(Scaled(), "Ant-v5", tmp_path / "ant.gif", n_frames=1, renderer="raycast")
    assert not list(tmp_path.iterdir())


def test_gif_plays_at_the_speed_of_the_simulation(tmp_path: Path) -> None:
    path = video.render(Still(), "Ant-v5", tmp_path / "ant.gif", n_frames=3, renderer="raycast", width=96, height=64)
    with Image.open(path) as film:
        assert film.n_frames == 3 and film.size == (96, 64)
        assert film.info["duration"] == 50  # Ant steps every 0.05 s


def test_frames_of_a_gif_take_turns_where_hundredths_do_not_fit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    video._write_gif(tmp_path / "x.gif", iter(rng.integers(0, 255, (34, 64, 64, 3), dtype=np.uint8)), 34)
    with Image.open(tmp_path / "x.gif") as film:
        durations = []
        for k in range(film.n_frames):
            film.seek(k)
            durations.append(film.info["duration"])
    assert sum(durations) == 1000 and set(durations) == {20, 30}  # 34 frames at 34 a second


def test_frames_become_data_for_the_generative_models(tmp_path: Path) -> None:
    from generative.data import sources as data

    path = video.render(Still(), "Ant-v5", tmp_path / "ant.npz", n_frames=20, renderer="raycast", width=28, height=21)
    splits = data.load(path)
    assert splits.x_train.shape == (16, 3, 21, 28) and 0.2 < float(splits.x_train.mean()) < 0.9
    first = next(iter(np.load(path).values()))[0].transpose(1, 2, 0)
    drawn = video.render(
        Still(), "Ant-v5", tmp_path / "ant.gif", n_frames=1, renderer="raycast", width=96, height=72, overlay=False
    )
    with Image.open(drawn) as film:
        small = np.asarray(film.convert("RGB").resize((28, 21), Image.Resampling.BOX), float)
    assert abs(small - first).mean() < 12  # the same picture, drawn small
    with pytest.raises(ValueError, match="at least 8"):
        video.render(Still(), "Ant-v5", tmp_path / "ant.npz", width=6)


def test_a_fast_task_shows_every_second_step() -> None:
    calls = []

    class Zeros:
        def predict(self, obs, state=None, episode_start=None, deterministic=False):
            calls.append(obs)
            return np.zeros((1, 17), np.float32), state

    stage = video.Stage("Humanoid-v5", Zeros(), "x", "raycast", 0, 96, 64, True)
    assert stage.fps == 34  # 1 / (2 * 0.015 s), from the 67 a second that the task declares
    assert len(list(stage.frames(2))) == 2 and len(calls) == 4
    stage.close()


def test_the_overlay_can_be_left_out() -> None:
    frames = []
    for overlay in (True, False):
        stage = video.Stage("Ant-v5", Still(), "x", "raycast", 0, 96, 64, overlay)
        frames.append(next(stage.frames(1)).astype(int))
        stage.close()
    different = np.nonzero((frames[0] != frames[1]).any(axis=(1, 2)))[0]
    assert different.min() == 0 and different.max() < 44  # two lines in a picture as narrow as this


def test_films_need_no_opengl_at_all(tmp_path: Path) -> None:
    code = (
        "import sys\nfor name in ('OpenGL', 'mujoco.egl'): sys.modules[name] = None\n"
        "import numpy as np\nfrom gail_suite.showing.video import render\n"
        "class P:\n    def predict(self, obs, **_): return np.zeros((1, 8)), None\n"
        "render(P(), 'Ant-v5', sys.argv[1], n_frames=2, width=64, height=64)"
    )
    env = {k: v for k, v in os.environ.items() if k not in ("MUJOCO_GL", "DISPLAY")}
    env["__EGL_VENDOR_LIBRARY_FILENAMES"] = "/nonexistent"
    path = tmp_path / "a.mp4"
    done = subprocess.run([sys.executable, "-c", code, str(path)], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert path.stat().st_size > 500


def test_user_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"x\.avi is neither \.mp4 nor \.gif"):
        video.render(Still(), "Ant-v5", tmp_path / "x.avi")
    with pytest.raises(ValueError, match="video size is 101x64: both must be even"):
        video.render(Still(), "Ant-v5", tmp_path / "x.mp4", width=101, height=64)
    with pytest.raises(ValueError, match="n_frames is 0"):
        video.render(Still(), "Ant-v5", tmp_path / "x.mp4", n_frames=0)
    with pytest.raises(ValueError, match="fps is 0"):
        video.render(Still(), "Ant-v5", tmp_path / "x.mp4", fps=0)
    with pytest.raises(ValueError, match="seed is -1; environments take seeds of at least 0"):
        video.render(Still(), "Ant-v5", tmp_path / "x.mp4", seed=-1)


def test_a_failing_encoder_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: "false")
    with pytest.raises(OSError, match="cannot write the video: ffmpeg failed"):
        video.render(Still(), "Ant-v5", tmp_path / "x.mp4", n_frames=3, renderer="raycast", width=64, height=64)
    assert list(tmp_path.iterdir()) == []

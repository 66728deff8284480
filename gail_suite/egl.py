"""OpenGL frames without a display: MuJoCo's renderer on an EGL context, whatever MUJOCO_GL says."""

from __future__ import annotations

import functools
import subprocess
import sys

import mujoco
import numpy as np

from gail_suite.raycast import View

PROBE = """
import mujoco, numpy
from gail_suite.egl import EglRenderer
from gail_suite.raycast import View
model = mujoco.MjModel.from_xml_string(
    "<mujoco><worldbody><light pos='0 0 3'/><geom size='1' rgba='1 0 0 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = EglRenderer(model, 64, 64)
red = renderer.render(data, View((0, 0, 0), 4, 90, -20))[32, 32]
renderer.close()
assert red[0] > 2 * red[1], red
"""


@functools.cache
def egl_problem() -> str | None:
    """None where EGL draws a correct frame, else why not; tried in another process, since bad drivers end theirs."""
    try:
        result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"the EGL probe did not finish: {error}"
    if result.returncode == 0:
        return None
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"the EGL probe ended with status {result.returncode}"


class EglRenderer:
    """Frames (height, width, 3) uint8 of one model's simulations; free it with close()."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        from mujoco import egl

        self._model, self._size = model, (width, height)
        self._context = egl.GLContext(width, height)
        self._context.make_current()
        model.vis.global_.offwidth = max(model.vis.global_.offwidth, width)
        model.vis.global_.offheight = max(model.vis.global_.offheight, height)
        self._scene = mujoco.MjvScene(model, maxgeom=2000)
        self._option = mujoco.MjvOption()
        self._gl = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, self._gl)

    def render(self, data: mujoco.MjData, view: View) -> np.ndarray:
        """The simulation's current state seen from `view`."""
        camera = mujoco.MjvCamera()
        camera.type = mujoco.mjtCamera.mjCAMERA_FREE
        camera.lookat[:] = view.lookat
        camera.distance, camera.azimuth, camera.elevation = view.distance, view.azimuth, view.elevation
        self._context.make_current()
        category = mujoco.mjtCatBit.mjCAT_ALL
        mujoco.mjv_updateScene(self._model, data, self._option, None, camera, category, self._scene)
        width, height = self._size
        area = mujoco.MjrRect(0, 0, width, height)
        mujoco.mjr_render(area, self._scene, self._gl)
        frame = np.empty((height, width, 3), np.uint8)
        mujoco.mjr_readPixels(frame, None, area, self._gl)
        return frame[::-1]

    def close(self) -> None:
        """Free the OpenGL objects, then their context."""
        self._gl.free()
        self._context.free()

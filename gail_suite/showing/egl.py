"""OpenGL frames without a display: MuJoCo's renderer on an EGL context, whatever MUJOCO_GL says."""

from __future__ import annotations

import functools
import re
import subprocess
import sys
from dataclasses import dataclass

import mujoco
import numpy as np

from gail_suite.showing.raycast import View

PROBE = """
import mujoco
from gail_suite.showing.egl import EglRenderer
from gail_suite.showing.raycast import View
model = mujoco.MjModel.from_xml_string("<mujoco><worldbody><geom size='1' rgba='1 0 0 1'/></worldbody></mujoco>")
data = mujoco.MjData(model)
mujoco.mj_forward(model, data)
renderer = EglRenderer(model, 64, 64)
red, green, blue = renderer.render(data, View((0, 0, 0), 4, 90, -20))[32, 32].tolist()
from OpenGL import GL  # after mujoco.egl, which tells PyOpenGL to use EGL
print(GL.glGetString(GL.GL_RENDERER).decode())
renderer.close()
if red < 2 * green:
    raise RuntimeError(f"a red sphere was drawn in the colour {red, green, blue}")
"""


@dataclass(frozen=True)
class EglProbe:
    """What became of drawing one frame by EGL in another process."""

    device: str | None
    """Name of the OpenGL renderer, None if the frame failed."""
    problem: str | None
    """Why the frame failed, None if it is right."""

    @property
    def software(self) -> bool:
        """Whether OpenGL is emulated on the CPU, which takes twice as long as casting rays."""
        return self.device is not None and any(
            name in self.device.lower() for name in ("llvmpipe", "softpipe", "swrast")
        )


@functools.cache
def egl_probe() -> EglProbe:
    """Draw a frame by EGL in another process, since a bad driver ends the process that it is loaded into."""
    try:
        result = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return EglProbe(None, f"the probe did not finish: {error}")
    if result.returncode == 0:
        return EglProbe(result.stdout.strip(), None)
    lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"[\w.]+(Error|Exception):", line)] or lines
    return EglProbe(None, errors[0] if errors else f"the probe ended with status {result.returncode}")


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
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = 0  # a mirror image of the robot only confuses
        self._option = mujoco.MjvOption()
        model.tex_data[:] = 0.45 * model.tex_data.astype(np.float32) + 90  # a floor of pure black and white flickers
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
        for light in self._scene.lights[: self._scene.nlight]:
            if not light.headlight:  # fixed lamps are soon left behind, and their shadow maps with them
                light.pos[:] = view.lamp()
                light.dir[:] = (np.asarray(view.lookat) - light.pos) / np.linalg.norm(
                    np.asarray(view.lookat) - light.pos
                )
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

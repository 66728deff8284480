"""Frames without OpenGL: rays cast with mujoco.mj_multiRay and shaded in NumPy.

A tracking camera, a checkered plane, Lambert and specular shading with the geoms' own colours, one shadow-casting
lamp, and four samples a pixel along edges. Rays that share an origin are cast in one call, so shadows are found by
casting from the lamp to the points that the camera sees.
"""

from __future__ import annotations

from dataclasses import dataclass

import mujoco
import numpy as np

SKY_TOP, SKY_HORIZON = np.array([0.36, 0.52, 0.72], np.float32), np.array([0.86, 0.90, 0.94], np.float32)
FLOOR_LIGHT, FLOOR_DARK = np.array([0.80, 0.82, 0.84], np.float32), np.array([0.62, 0.65, 0.69], np.float32)
FOG_START, FOG_LENGTH = 6.0, 18.0
LAMP_OFFSET = np.array([-1.2, -1.8, 5.0])
AMBIENT, DIFFUSE, SPECULAR, SHININESS = 0.42, 0.72, 0.25, 24
SUBPIXELS = ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25))


@dataclass(frozen=True)
class View:
    """A camera in MuJoCo's terms: angles in degrees, azimuth 90 looks along +y, negative elevation looks down."""

    lookat: tuple[float, float, float]
    distance: float
    azimuth: float
    elevation: float

    def axes(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Unit vectors (forward, right, up)."""
        a, e = np.radians(self.azimuth), np.radians(self.elevation)
        forward = np.array([np.cos(e) * np.cos(a), np.cos(e) * np.sin(a), np.sin(e)])
        right = np.array([np.sin(a), -np.cos(a), 0.0])
        return forward, right, np.cross(right, forward)

    def position(self) -> np.ndarray:
        """Where the camera is."""
        return np.asarray(self.lookat) - self.distance * self.axes()[0]

    def lamp(self) -> np.ndarray:
        """Where the lamp is that goes along with the camera."""
        return np.asarray(self.lookat) + LAMP_OFFSET


class RayCaster:
    """Frames (height, width, 3) uint8 of one model's simulations."""

    def __init__(self, model: mujoco.MjModel, width: int, height: int) -> None:
        self._model, self._size = model, (width, height)
        self._colours = _geom_colours(model)
        is_plane = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        self._planes, self._solids = np.flatnonzero(is_plane), np.flatnonzero(~is_plane)
        self._pixel = 2 * np.tan(np.radians(model.vis.global_.fovy) / 2) / height
        columns, rows = np.meshgrid(np.arange(width), np.arange(height))
        self._columns, self._rows = columns.ravel(), rows.ravel()
        self._angles: tuple[float, float] | None = None

    def render(self, data: mujoco.MjData, view: View) -> np.ndarray:
        """The simulation's current state seen from `view`."""
        width, height = self._size
        if self._angles != (view.azimuth, view.elevation):  # a camera that only moves keeps its rays
            self._angles = view.azimuth, view.elevation
            self._grid = self._rays(view, self._columns, self._rows)
        near = self._near_solids(data, view)
        image, marks = self._trace(data, view, self._grid, near)
        edges = np.flatnonzero(_edges(marks.reshape(height, width)))
        if edges.size:
            x = np.concatenate([self._columns[edges] + dx for dx, _ in SUBPIXELS])
            y = np.concatenate([self._rows[edges] + dy for _, dy in SUBPIXELS])
            inside = np.flatnonzero(np.tile(np.isin(edges, near, assume_unique=True), len(SUBPIXELS)))
            samples = self._trace(data, view, self._rays(view, x, y), inside)[0]
            image[edges] = samples.reshape(len(SUBPIXELS), -1, 3).mean(axis=0)
        return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8).reshape(height, width, 3)

    def close(self) -> None:
        """Nothing to free; the counterpart of the OpenGL renderer's."""

    def _rays(self, view: View, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Unit directions (n, 3) float32 through the pixels."""
        width, height = self._size
        forward, right, up = (axis.astype(np.float32) for axis in view.axes())
        x = ((columns - (width - 1) / 2) * self._pixel).astype(np.float32)
        y = (((height - 1) / 2 - rows) * self._pixel).astype(np.float32)
        rays = forward + x[:, None] * right + y[:, None] * up
        return rays / np.sqrt(1 + x * x + y * y)[:, None]

    def _near_solids(self, data: mujoco.MjData, view: View) -> np.ndarray:
        """Pixels in the smallest rectangle that holds the bounding sphere of every geom but the planes."""
        width, height = self._size
        forward, right, up = view.axes()
        offset = data.geom_xpos[self._solids] - view.position()
        radius, depth = self._model.geom_rbound[self._solids], offset @ forward
        if (depth <= 1.01 * radius).any():
            return np.arange(width * height)
        spread = radius / (depth - radius) / self._pixel + 2
        x = (width - 1) / 2 + offset @ right / depth / self._pixel
        y = (height - 1) / 2 - offset @ up / depth / self._pixel
        across = (self._columns > (x - spread).min(initial=width)) & (self._columns < (x + spread).max(initial=0))
        down = (self._rows > (y - spread).min(initial=height)) & (self._rows < (y + spread).max(initial=0))
        return np.flatnonzero(across & down)

    def _trace(
        self, data: mujoco.MjData, view: View, rays: np.ndarray, near: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Colours (n, 3) of the rays, of which only `near` can meet a solid, and marks (n,) of surfaces."""
        height = np.clip(rays[:, 2:] / 0.6, 0, 1)
        colours = SKY_HORIZON + height * (SKY_TOP - SKY_HORIZON)
        marks, depth = np.full(len(rays), -1), np.full(len(rays), np.inf, np.float32)
        for plane in self._planes.tolist():
            self._paint_plane(data, view, rays, plane, colours, marks, depth)
        geoms, distances, normals = self._cast(data, view.position(), rays[near])
        solid = np.isin(geoms, self._solids) & (distances < depth[near])
        where, geoms, normals = near[solid], geoms[solid], normals[solid]
        points = view.position() + distances[solid, None] * rays[where]
        lit = self._lit(data, view, points)
        colours[where] = _shade(self._colours[geoms], points, normals, -rays[where], view.lamp(), lit)
        marks[where] = 2 * geoms + ~lit
        return colours, marks

    def _paint_plane(
        self,
        data: mujoco.MjData,
        view: View,
        rays: np.ndarray,
        plane: int,
        colours: np.ndarray,
        marks: np.ndarray,
        depth: np.ndarray,
    ) -> None:
        """Draw a plane in closed form (most of a picture is floor and sky) into colours, marks and depth."""
        frame = data.geom_xmat[plane].reshape(3, 3).astype(np.float32)
        eye = ((view.position() - data.geom_xpos[plane]) @ frame).astype(np.float32)
        slope = -(rays @ frame[:, 2])
        facing = np.flatnonzero(slope > 1e-4) if eye[2] > 0 else np.empty(0, int)
        distance = eye[2] / slope[facing]
        closer = distance < depth[facing]
        facing, distance = facing[closer], distance[closer]
        local = eye[:2] + distance[:, None] * (rays[facing] @ frame[:, :2])
        share = checker(local, distance * self._pixel / np.sqrt(slope[facing]))
        lamp = ((view.lamp() - data.geom_xpos[plane]) @ frame).astype(np.float32)
        offset = local - lamp[:2]
        strength = lamp[2] / np.sqrt(offset[:, 0] ** 2 + offset[:, 1] ** 2 + lamp[2] ** 2)
        lit = np.ones(len(facing), bool)
        maybe = self._maybe_shaded(data, plane, frame, lamp, local)
        lit[maybe] = self._lit(data, view, view.position() + distance[maybe, None] * rays[facing[maybe]])
        light = AMBIENT * (0.75 + 0.25 * frame[2, 2]) + DIFFUSE * strength * lit
        surface = (FLOOR_DARK + share[:, None] * (FLOOR_LIGHT - FLOOR_DARK)) * light[:, None].astype(np.float32)
        fog = np.clip((distance - FOG_START) / FOG_LENGTH, 0, 1)[:, None]
        colours[facing] = surface + fog * (SKY_HORIZON - surface)
        marks[facing], depth[facing] = 2 * plane + ~lit, distance

    def _maybe_shaded(
        self, data: mujoco.MjData, plane: int, frame: np.ndarray, lamp: np.ndarray, local: np.ndarray
    ) -> np.ndarray:
        """Points of a plane (n, 2) inside the rectangle that holds the shadows of all bounding spheres."""
        centres = (data.geom_xpos[self._solids] - data.geom_xpos[plane]) @ frame
        radius = self._model.geom_rbound[self._solids]
        drop = lamp[2] - centres[:, 2]
        if (drop < 2 * radius).any():
            return np.arange(len(local))
        stretch = lamp[2] / drop
        shadow = lamp[:2] + stretch[:, None] * (centres[:, :2] - lamp[:2])
        margin = (2 * stretch * radius)[:, None]
        low, high = (shadow - margin).min(axis=0, initial=np.inf), (shadow + margin).max(axis=0, initial=-np.inf)
        inside = (local > low.astype(np.float32)) & (local < high.astype(np.float32))
        return np.flatnonzero(inside[:, 0] & inside[:, 1])

    def _cast(
        self, data: mujoco.MjData, origin: np.ndarray, rays: np.ndarray, want_normals: bool = True
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Geom hit (-1: none), distance and normal of each ray."""
        n = len(rays)
        geoms, distances, normals = np.full(n, -1, np.int32), np.zeros(n), np.zeros((n, 3))
        out = normals.reshape(-1) if want_normals else None
        vectors = rays.astype(np.float64).reshape(-1)
        mujoco.mj_multiRay(
            self._model, data, origin, vectors, None, True, -1, geoms, distances, out, n, mujoco.mjMAXVAL
        )
        return geoms, distances, normals

    def _lit(self, data: mujoco.MjData, view: View, points: np.ndarray) -> np.ndarray:
        """Which points (n, 3) the lamp reaches."""
        way = points - view.lamp()
        length = np.sqrt(np.einsum("ij,ij->i", way, way))
        blocker, distance, _ = self._cast(data, view.lamp(), way / length[:, None], want_normals=False)
        return (blocker < 0) | (distance > length - 2e-2)


def checker(points: np.ndarray, blur: np.ndarray) -> np.ndarray:
    """Share of light squares of side 1 in a box of side `blur` (n,) around each point (n, 2), in [0, 1].

    The integral of a square wave of period 2 is a triangle wave, so its mean over a box is a difference of two.
    """
    half = np.maximum(blur, 1e-3)[:, None] / 2
    wave = (_triangle(points + half) - _triangle(points - half)) / (2 * half)
    return 0.5 + 0.5 * wave[:, 0] * wave[:, 1]


def _triangle(x: np.ndarray) -> np.ndarray:
    return 1 - np.abs(x - 2 * np.floor(x / 2) - 1)


def _shade(
    base: np.ndarray, points: np.ndarray, normals: np.ndarray, to_eye: np.ndarray, lamp: np.ndarray, lit: np.ndarray
) -> np.ndarray:
    """Ambient (brighter from above) + Lambert + Blinn highlight, (n, 3)."""
    to_lamp = lamp - points
    to_lamp /= np.linalg.norm(to_lamp, axis=1, keepdims=True)
    middle = to_lamp + to_eye
    middle /= np.linalg.norm(middle, axis=1, keepdims=True)
    facing = np.maximum((normals * to_lamp).sum(axis=1), 0) * lit
    shine = np.maximum((normals * middle).sum(axis=1), 0) ** SHININESS * lit
    light = AMBIENT * (0.75 + 0.25 * normals[:, 2]) + DIFFUSE * facing
    return base * light[:, None] + (SPECULAR * shine)[:, None]


def _edges(marks: np.ndarray) -> np.ndarray:
    """Pixels (H, W) with another mark next to them."""
    edges = np.zeros(marks.shape, bool)
    across, down = marks[:, 1:] != marks[:, :-1], marks[1:] != marks[:-1]
    edges[:, 1:] |= across
    edges[:, :-1] |= across
    edges[1:] |= down
    edges[:-1] |= down
    return edges


def _geom_colours(model: mujoco.MjModel) -> np.ndarray:
    """RGB (ngeom, 3) float32: the material's colour unless the geom sets its own, as MuJoCo's renderer does."""
    colours = model.geom_rgba[:, :3].copy()
    unset = (model.geom_rgba[:, :3] == 0.5).all(axis=1) & (model.geom_matid >= 0)
    colours[unset] = model.mat_rgba[model.geom_matid[unset], :3]
    return colours

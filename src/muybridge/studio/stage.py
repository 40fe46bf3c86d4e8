"""The web studio: a viser scene of bodies, markers, cameras and pictures, with a timeline.

A body is one batched mesh, so that all its limbs arrive together; viser's quaternions are
scalar-first, ours are scalar-last, and only this file and `editor` know.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from torch import Tensor

from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import quaternion_from_matrix
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.studio.corrections import own_frame
from muybridge.studio.exhibit import Exhibit, Figure
from muybridge.studio.figure import Capsule, figure
from muybridge.studio.filmstrip import Filmstrip

__all__ = ["COLOURS", "Studio", "camera_wxyz", "limb_transforms", "ramp", "set_value"]

COLOURS = {
    "left and right": None,
    "disagreement of cameras": ("error_m", 0.06),
    "uncertainty": ("std_m", 0.03),
    "number of views": ("views", None),
}
SIDE_RGB = {"left": (74, 138, 168), "right": (190, 104, 62), "middle": (214, 203, 184)}
PERSON_RGB = ((190, 104, 62), (74, 138, 168), (126, 140, 58), (141, 96, 165), (176, 128, 58))
RAMP_RGB = np.array(
    [[43, 111, 143], [90, 161, 140], [185, 180, 90], [223, 140, 58], [184, 50, 31]], dtype=float
)
MARKER_RGB = (153, 66, 26)
UNKNOWN_RGB = (140, 140, 140)
UPDATES_HZ = 30.0  # more than browsers show
RINGS, TURNS = 8, 16


@dataclass(frozen=True)
class _Body:
    figure: Figure
    limbs: tuple[Capsule, ...]
    index: int
    mesh: viser.BatchedMeshHandle


class Studio:
    """A running server that shows an exhibit; `close` ends it."""

    def __init__(self, exhibit: Exhibit, port: int, host: str = "127.0.0.1") -> None:
        self.exhibit = exhibit
        self.frame = 0
        self._lock = threading.RLock()
        self._closed = threading.Event()
        self.server = viser.ViserServer(host=host, port=port, label="muybridge", verbose=False)
        self.server.gui.configure_theme(
            show_logo=False, show_share_button=False, brand_color=MARKER_RGB
        )
        self.server.gui.main_panel.dock_right()
        self._set_scene()
        self._bodies = tuple(self._add_body(f, i) for i, f in enumerate(exhibit.figures) if f.clip)
        self._points = tuple(self._add_points(f, i) for i, f in enumerate(exhibit.figures))
        self.films = self._open_films()
        self._cameras = self._add_cameras()
        self._add_controls()
        self.show(0)
        self._player = threading.Thread(target=self._play, daemon=True)
        self._player.start()

    @property
    def port(self) -> int:
        """Port of the server: the one asked for, or the next free one."""
        return self.server.get_port()

    def close(self) -> None:
        """Stop playing, end the server, let go of the videos."""
        self._closed.set()
        self._player.join(timeout=5.0)
        self.server.stop()
        for film in self.films:
            if film is not None:
                film.close()

    def show(self, frame: int) -> None:
        """Draw one frame of everything."""
        with self._lock:
            self.frame = frame
            with self.server.atomic():
                for body in self._bodies:
                    self._draw_body(body, frame)
                for points, shown in zip(self._points, self.exhibit.figures, strict=True):
                    self._draw_points(points, shown, frame)
                self._draw_pictures(frame)
            self.server.flush()

    def show_clip(self, index: int, clip: Clip) -> None:
        """Let one figure move as another clip of the same skeleton."""
        body = self._bodies[index]
        shown = replace(body.figure, clip=clip, positions=forward_clip(clip).positions)
        with self._lock:
            bodies = list(self._bodies)
            bodies[index] = replace(body, figure=shown)
            self._bodies = tuple(bodies)
        self.show(self.frame)

    def show_pose(self, index: int, positions: Float[Tensor, "k 3"]) -> None:
        """Draw one figure in a pose of its own, until the next frame is shown; metres."""
        with self._lock, self.server.atomic():
            self._place_limbs(self._bodies[index], positions)
        self.server.flush()

    # -- scene ------------------------------------------------------------------------------

    def _set_scene(self) -> None:
        scene, exhibit = self.server.scene, self.exhibit
        x, _, z = exhibit.centre
        scene.set_up_direction("+y")
        scene.add_grid(
            "/floor", 40.0, 40.0, plane="xz", position=(x, exhibit.floor_m, z), cell_size=0.5,
            section_size=1.0, cell_color=(222, 214, 200), section_color=(190, 180, 163),
            fade_distance=16.0, shadow_opacity=0.2,
        )  # fmt: skip
        scene.configure_default_lights(cast_shadow=True)
        eye = self._open_place()
        self.server.initial_camera.position = eye
        self.server.initial_camera.look_at = (x, exhibit.floor_m + 0.95, z)
        self.server.initial_camera.up = (0.0, 1.0, 0.0)

    def _open_place(self) -> tuple[float, float, float]:
        """A place to stand between the cameras, so that no frustum hides the body."""
        x, _, z = self.exhibit.centre
        angle, distance = 0.6, 3.6
        if self.exhibit.take is not None:
            centres = self.exhibit.take.cameras.centres_world.numpy()
            angles = np.sort(np.arctan2(centres[:, 0] - x, centres[:, 2] - z))
            gaps = np.diff(np.append(angles, angles[0] + 2.0 * np.pi))
            angle = float(angles[gaps.argmax()] + gaps.max() / 2.0)
        height = self.exhibit.floor_m + 1.5
        return (x + distance * np.sin(angle), height, z + distance * np.cos(angle))

    def _add_body(self, shown: Figure, index: int) -> _Body:
        assert shown.clip is not None, "a body needs a clip"
        limbs = figure(shown.clip.skeleton)
        vertices, faces = _pill()
        count = len(limbs)
        mesh = self.server.scene.add_batched_meshes_simple(
            f"/people/{index}", vertices, faces,
            batched_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (count, 1)),
            batched_positions=np.zeros((count, 3)),
            batched_scales=np.ones((count, 3)),
            batched_colors=np.full((count, 3), 128, dtype=np.uint8), lod="off",
        )  # fmt: skip
        return _Body(shown, limbs, index, mesh)

    def _add_points(self, shown: Figure, index: int) -> viser.PointCloudHandle:
        size = 0.016 if shown.clip is None else 0.012
        return self.server.scene.add_point_cloud(
            f"/markers/{index}", np.zeros((1, 3), dtype=np.float32), MARKER_RGB, point_size=size,
            point_shape="circle", visible=shown.clip is None,
        )  # fmt: skip

    def _open_films(self) -> tuple[Filmstrip | None, ...]:
        take = self.exhibit.take
        if take is None:
            return ()
        return tuple(
            Filmstrip(v) if v is not None and v.path.is_file() else None for v in take.videos
        )

    def _add_cameras(self) -> tuple[viser.CameraFrustumHandle, ...]:
        take = self.exhibit.take
        if take is None:
            return ()
        handles = []
        for c, name in enumerate(take.cameras.names):
            width, height = take.cameras.size_px[c].tolist()
            frustum = self.server.scene.add_camera_frustum(
                f"/cameras/{c}",
                fov=float(2.0 * np.arctan2(height / 2.0, float(take.cameras.matrix[c, 1, 1]))),
                aspect=width / height, scale=0.35, color=(102, 92, 79),
                wxyz=camera_wxyz(take.cameras, c),
                position=take.cameras.centres_world[c].numpy(), cast_shadow=False,
            )  # fmt: skip
            self.server.scene.add_label(
                f"/cameras/{c}/name", name, position=(0.0, -0.22, 0.2), anchor="bottom-center"
            )
            self._look_on_click(frustum, c)
            handles.append(frustum)
        return tuple(handles)

    def _look_on_click(self, frustum: viser.CameraFrustumHandle, camera: int) -> None:
        @frustum.on_click
        def _(event: viser.SceneNodePointerEvent[viser.CameraFrustumHandle]) -> None:
            self.look_through(event.client, camera)

    def look_through(self, client: viser.ClientHandle, camera: int) -> None:
        """Put one browser's eye where a camera stood."""
        take = self.exhibit.take
        assert take is not None, "only a take has cameras"
        centre = take.cameras.centres_world[camera].numpy()
        ahead = take.cameras.rotation[camera, 2].numpy()
        _, height = take.cameras.size_px[camera].tolist()
        with client.atomic():
            client.camera.position = centre
            client.camera.look_at = centre + ahead * 2.0
            client.camera.up_direction = -take.cameras.rotation[camera, 1].numpy()
            client.camera.fov = float(
                2.0 * np.arctan2(height / 2.0, float(take.cameras.matrix[camera, 1, 1]))
            )

    # -- controls ---------------------------------------------------------------------------

    def _add_controls(self) -> None:
        gui, exhibit = self.server.gui, self.exhibit
        last = max(exhibit.frame_count - 1, 1)
        gui.add_markdown(f"**{_plain(exhibit.name)}**  \n{exhibit.frame_count} frames at "
                         f"{exhibit.fps:g} a second")  # fmt: skip
        self.slider = gui.add_slider("Frame", min=0, max=last, step=1, initial_value=0)
        self.playing = gui.add_checkbox("Play", initial_value=False)
        self.speed = gui.add_dropdown(
            "Speed", ("0.1x", "0.25x", "0.5x", "1x", "2x"), initial_value="1x"
        )
        choices = tuple(
            name
            for name, field in COLOURS.items()
            if field is None or any(getattr(f, field[0]) is not None for f in exhibit.figures)
        )
        self.colour = gui.add_dropdown("Colour", choices, initial_value=choices[0])
        self.body_on = gui.add_checkbox("Body", initial_value=bool(self._bodies))
        self.markers_on = gui.add_checkbox("Markers", initial_value=not self._bodies)
        self.cameras_on = gui.add_checkbox(
            "Cameras", initial_value=bool(self._cameras), visible=bool(self._cameras)
        )
        self.slider.on_update(lambda _: self.show(int(self.slider.value)))
        self.colour.on_update(lambda _: self.show(self.frame))
        for toggle in (self.body_on, self.markers_on, self.cameras_on):
            toggle.on_update(lambda _: self._apply_toggles())

    def _apply_toggles(self) -> None:
        for body in self._bodies:
            body.mesh.visible = self.body_on.value
        for points in self._points:
            points.visible = self.markers_on.value
        for camera in self._cameras:
            camera.visible = self.cameras_on.value

    def _play(self) -> None:
        """Advance in real time; frames that would come too late are left out."""
        before, owed = time.monotonic(), 0.0
        while not self._closed.wait(1.0 / UPDATES_HZ):
            now = time.monotonic()
            elapsed, before = now - before, now
            if not self.playing.value:
                owed = 0.0
                continue
            owed += elapsed * self.exhibit.fps * float(self.speed.value.rstrip("x"))
            steps = int(owed)
            if steps:
                owed -= steps
                set_value(self.slider, (self.frame + steps) % max(self.exhibit.frame_count, 1))

    # -- drawing ----------------------------------------------------------------------------

    def _draw_body(self, body: _Body, frame: int) -> None:
        positions = body.figure.positions
        assert positions is not None, "a body has positions"
        t = min(frame, len(positions) - 1)
        self._place_limbs(body, positions[t])
        body.mesh.batched_colors = self._limb_colours(body, t)

    def _place_limbs(self, body: _Body, positions: Float[Tensor, "k 3"]) -> None:
        places, wxyz, scales = limb_transforms(body.limbs, positions)
        body.mesh.batched_positions = places
        body.mesh.batched_wxyzs = wxyz
        body.mesh.batched_scales = scales

    def _limb_colours(self, body: _Body, t: int) -> UInt8[np.ndarray, "limbs 3"]:
        choice = COLOURS[self.colour.value]
        values = None if choice is None else getattr(body.figure, choice[0])
        if choice is None or values is None:
            several = len(self.exhibit.figures) > 1
            person = PERSON_RGB[body.index % len(PERSON_RGB)]
            rgb = [person if several else SIDE_RGB[limb.side] for limb in body.limbs]
            return np.array(rgb, dtype=np.uint8)
        at = values[t].numpy()
        mean = np.array([(at[limb.start] + at[limb.stop]) / 2.0 for limb in body.limbs])
        if choice[1] is None:
            return ramp(1.0 - mean / max(len(self._cameras), 1))
        return ramp(mean / choice[1])

    def _draw_points(self, handle: viser.PointCloudHandle, shown: Figure, frame: int) -> None:
        if shown.markers is None or not len(shown.markers):
            return
        points = shown.markers.points_world[min(frame, len(shown.markers) - 1)]
        known = points[points.isfinite().all(-1)].numpy().astype(np.float32)
        handle.points = known if len(known) else np.zeros((1, 3), dtype=np.float32)

    def _draw_pictures(self, frame: int) -> None:
        take = self.exhibit.take
        if take is None:
            return
        for c, (frustum, film) in enumerate(zip(self._cameras, self.films, strict=True)):
            if film is not None:
                image = film.small(own_frame(frame, float(take.offsets_frames[c])))
                if image is not None:
                    frustum.image = image


def set_value(handle: Any, value: float | int | str) -> None:
    """Move a control; its callbacks run. (viser's annotations say read-only, its code does not.)"""
    handle.value = value


def camera_wxyz(cameras: Cameras, c: int) -> Float[np.ndarray, "4"]:
    """Orientation of a camera in the world, scalar-first as viser wants it."""
    quaternion: np.ndarray = quaternion_from_matrix(cameras.rotation[c].mT).numpy()
    return quaternion[[3, 0, 1, 2]]


def limb_transforms(
    limbs: tuple[Capsule, ...], positions: Float[Tensor, "k 3"]
) -> tuple[
    Float[np.ndarray, "limbs 3"], Float[np.ndarray, "limbs 4"], Float[np.ndarray, "limbs 3"]
]:
    """Place, turn (scalar-first) and stretch a unit pill along z onto each limb, metres."""
    start = positions[[limb.start for limb in limbs]].to(torch.float64).nan_to_num().numpy()
    stop = positions[[limb.stop for limb in limbs]].to(torch.float64).nan_to_num().numpy()
    near, far = (np.array([[getattr(limb, end)] for limb in limbs]) for end in ("near", "far"))
    start, stop = start + near * (stop - start), start + far * (stop - start)
    radius = np.array([[limb.start_m, limb.stop_m] for limb in limbs]).mean(1)
    along = stop - start
    length = np.linalg.norm(along, axis=1)
    safe = np.maximum(length, 1e-9)[:, None]
    z = np.where(length[:, None] > 1e-6, along / safe, [0.0, 0.0, 1.0])
    wxyz = np.column_stack((1.0 + z[:, 2], -z[:, 1], z[:, 0], np.zeros(len(z))))
    wxyz[1.0 + z[:, 2] < 1e-6] = (0.0, 1.0, 0.0, 0.0)  # half a turn about x
    wxyz /= np.linalg.norm(wxyz, axis=1, keepdims=True)
    return (start + stop) / 2.0, wxyz, np.column_stack((radius, radius, length / 2.0 + radius))


def ramp(values: Float[np.ndarray, "n"]) -> UInt8[np.ndarray, "n 3"]:
    """Colour of values in [0, 1], quiet blue to red; grey where not known."""
    place = np.clip(np.nan_to_num(values), 0.0, 1.0) * (len(RAMP_RGB) - 1)
    low = np.minimum(place.astype(int), len(RAMP_RGB) - 2)
    mixed = RAMP_RGB[low] + (RAMP_RGB[low + 1] - RAMP_RGB[low]) * (place - low)[:, None]
    mixed[~np.isfinite(values)] = UNKNOWN_RGB
    return mixed.round().astype(np.uint8)


def _pill() -> tuple[Float[np.ndarray, "v 3"], np.ndarray]:
    """A rounded bar of radius 1 and half length 1 along z that still looks round when stretched."""
    angle = np.linspace(-np.pi / 2.0, np.pi / 2.0, 2 * RINGS + 1)
    radius, z = np.cos(angle) ** 0.75, np.sin(angle)
    turn = np.linspace(0.0, 2.0 * np.pi, TURNS, endpoint=False)
    x, y = np.outer(radius, np.cos(turn)), np.outer(radius, np.sin(turn))
    vertices = np.stack((x, y, np.repeat(z[:, None], TURNS, 1)), -1).reshape(-1, 3)
    ring, step = np.meshgrid(np.arange(2 * RINGS), np.arange(TURNS), indexing="ij")
    a, b = ring * TURNS + step, ring * TURNS + (step + 1) % TURNS
    quads = np.stack((a, b, b + TURNS, a, b + TURNS, a + TURNS), -1).reshape(-1, 3)
    return vertices.astype(np.float32).astype(float), quads.astype(np.uint32)


def _plain(text: str) -> str:
    """Text that markdown shows as it is."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()<>#+-.!|" else c for c in text)

"""Correct a detection by hand in the studio: choose a joint, move it in the picture, save."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import viser
from jaxtyping import Float, UInt8
from torch import Tensor

from muybridge.errors import InputError
from muybridge.files.keypoints import CORRECTIONS_FILE, Correction
from muybridge.studio.corrections import add_correction, own_frame, saved_corrections, slot_of
from muybridge.studio.desk import Desk
from muybridge.studio.exhibit import Exhibit
from muybridge.studio.motion_editor import MotionEditor
from muybridge.studio.stage import Studio, set_value

__all__ = ["Editor", "close_up", "edited_studio"]

CROP_SHARE = 0.16  # of the picture's longer side
CROP_PX = 300


def edited_studio(exhibit: Exhibit, port: int) -> Studio:
    """A studio, with a panel to correct a take's detections, or to edit a file's motion."""
    studio = Studio(exhibit, port)
    if exhibit.take is not None and exhibit.take.people and exhibit.folder is not None:
        Editor(studio)
    if exhibit.file is not None and exhibit.figures[0].clip is not None:
        MotionEditor(studio, Desk(exhibit.figures[0].clip, exhibit.file))
    return studio


class Editor:
    """The panel: a close-up of the chosen joint that follows the sliders, and a save button."""

    def __init__(self, studio: Studio) -> None:
        take, gui = studio.exhibit.take, studio.server.gui
        assert take is not None, "corrections need a take"
        self.studio, self.take = studio, take
        names = tuple(person.name for person in take.people)
        with gui.add_folder("Correct a detection", expand_by_default=False):
            self.camera = gui.add_dropdown("Camera", take.cameras.names)
            self.person = gui.add_dropdown("Person", names, visible=len(names) > 1)
            self.joint = gui.add_dropdown("Joint", take.people[0].keypoints.joints)
            self.picture = gui.add_image(np.zeros((CROP_PX, CROP_PX, 3), dtype=np.uint8))
            width, height = take.cameras.size_px.amax(0).tolist()
            self.x = gui.add_slider("x, px", 0.0, width, 0.5, width / 2.0)
            self.y = gui.add_slider("y, px", 0.0, height, 0.5, height / 2.0)
            self.look = gui.add_button("Look through this camera")
            self.clicking = gui.add_checkbox("A click in the scene sets the joint", False)
            self.save = gui.add_button("Save this correction")
            self.note = gui.add_markdown(self._count())
        self._connect()
        self.choose()

    def _connect(self) -> None:
        for chooser in (self.camera, self.person, self.joint, self.studio.slider):
            chooser.on_update(lambda _: self.choose())
        for slider in (self.x, self.y):
            slider.on_update(lambda _: self.draw())
        self.save.on_click(lambda _: self.write())
        self.look.on_click(self._look)
        self.studio.server.scene.on_click()(self._clicked)

    @property
    def camera_index(self) -> int:
        """Index of the chosen camera."""
        return self.take.cameras.names.index(self.camera.value)

    @property
    def person_index(self) -> int:
        """Index of the chosen person."""
        return [p.name for p in self.take.people].index(self.person.value)

    @property
    def frame(self) -> int:
        """The chosen camera's own frame."""
        return own_frame(self.studio.frame, float(self.take.offsets_frames[self.camera_index]))

    def _seen(self) -> Float[Tensor, "j 2"]:
        """The person's joints in the chosen picture; NaN where unseen."""
        keypoints = self.take.people[self.person_index].keypoints
        t = min(self.studio.frame, keypoints.frame_count - 1)
        return keypoints.points_px[self.camera_index, t, 0]

    def choose(self) -> None:
        """Move the sliders to the joint: as corrected, as detected, or as reconstructed.

        Not while playing: a close-up needs the whole picture, which takes too long.
        """
        if self.studio.playing.value:
            return
        x, y = self._start()
        set_value(self.x, float(x))
        set_value(self.y, float(y))
        self.draw()

    def _start(self) -> tuple[float, float]:
        saved = {c.place: c for c in self._saved()}
        old = saved.get(self._correction().place)
        if old is not None and old.x is not None and old.y is not None:
            return old.x, old.y
        person = self.take.people[self.person_index]
        joint = person.keypoints.joints.index(self.joint.value)
        point = self._seen()[joint]
        if not bool(point.isfinite().all()) and self.joint.value in person.markers.names:
            at = min(self.studio.frame, len(person.markers) - 1)
            world = person.markers.points_world[at, person.markers.names.index(self.joint.value)]
            point = self.take.cameras.project(world[None])[self.camera_index, 0]
        if not bool(point.isfinite().all()):
            point = self.take.cameras.size_px[self.camera_index] / 2.0
        width, height = self.take.cameras.size_px[self.camera_index].tolist()
        return min(max(float(point[0]), 0.0), width), min(max(float(point[1]), 0.0), height)

    def draw(self) -> None:
        """Redraw the close-up."""
        film = self.studio.films[self.camera_index] if self.studio.films else None
        image = film.full(self.frame) if film is not None else None
        if image is None:
            width, height = (int(v) for v in self.take.cameras.size_px[self.camera_index])
            image = np.full((height, width, 3), 60, dtype=np.uint8)
        self.picture.image = close_up(image, self._seen(), (self.x.value, self.y.value))

    def _correction(self) -> Correction:
        raw = self.studio.exhibit.detections
        slot = self.person_index
        if raw is not None and raw.joints == self.take.people[slot].keypoints.joints:
            slot = slot_of(raw, self.camera_index, self.frame, self._seen())
        x, y = round(float(self.x.value), 2), round(float(self.y.value), 2)
        return Correction(self.camera.value, self.frame, slot, self.joint.value, x, y)

    def write(self) -> None:
        """Save the correction as it stands; nothing is lost if that fails."""
        folder = self.studio.exhibit.folder
        assert folder is not None, "corrections need a folder"
        try:
            add_correction(folder / CORRECTIONS_FILE, self._correction())
        except (InputError, OSError) as error:
            self.note.content = f"Not saved: {error}"
            return
        self.note.content = self._count()

    def _saved(self) -> tuple[Correction, ...]:
        folder = self.studio.exhibit.folder
        return saved_corrections(folder / CORRECTIONS_FILE) if folder is not None else ()

    def _count(self) -> str:
        count = len(self._saved())
        if not count:
            return f"Saved corrections go to {CORRECTIONS_FILE}."
        return f"{count} in {CORRECTIONS_FILE}. Run `muybridge capture` again to use them."

    def _look(self, event: viser.GuiEvent[viser.GuiButtonHandle]) -> None:
        if event.client is not None:
            self.studio.look_through(event.client, self.camera_index)

    def _clicked(self, event: viser.SceneClickEvent) -> None:
        """A ray from the camera's own place meets its picture at the pixel that was meant."""
        if not self.clicking.value:
            return
        point = torch.tensor(event.ray_origin) + 3.0 * torch.tensor(event.ray_direction)
        pixel = self.take.cameras.project(point.to(torch.float64)[None])[self.camera_index, 0]
        if bool(pixel.isfinite().all()):
            set_value(self.x, float(pixel[0]))
            set_value(self.y, float(pixel[1]))
            self.draw()


def close_up(
    image: UInt8[np.ndarray, "height width 3"],
    seen_px: Float[Tensor, "j 2"],
    chosen_px: tuple[float, float],
) -> UInt8[np.ndarray, "size size 3"]:
    """A square cut around the chosen pixel: detected joints as dots, the choice as a cross."""
    half = max(8, round(CROP_SHARE * max(image.shape[:2]) / 2.0))
    x, y = chosen_px
    left, top = round(x) - half, round(y) - half
    padded = cv2.copyMakeBorder(image, half, half, half, half, cv2.BORDER_CONSTANT, value=(30,) * 3)
    row, column = min(max(top + half, 0), padded.shape[0] - 1), max(left + half, 0)
    cut = padded[row : row + 2 * half, column : column + 2 * half]
    picture = cv2.resize(cut, (CROP_PX, CROP_PX), interpolation=cv2.INTER_LINEAR)
    scale = CROP_PX / (2.0 * half)
    for u, v in seen_px[seen_px.isfinite().all(-1)].tolist():
        place = (round((u - left + 0.5) * scale), round((v - top + 0.5) * scale))
        cv2.circle(picture, place, 4, (255, 210, 63), -1, cv2.LINE_AA)
    cross = (round((x - left + 0.5) * scale), round((y - top + 0.5) * scale))
    cv2.drawMarker(picture, cross, (0, 0, 0), cv2.MARKER_CROSS, 26, 4)
    cv2.drawMarker(picture, cross, (255, 77, 61), cv2.MARKER_CROSS, 24, 2)
    return np.ascontiguousarray(picture)

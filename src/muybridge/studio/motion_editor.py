"""Edit a motion in the studio: drag a part of the body, move keys, see the curve, undo, save."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch
import viser
from viser import uplot

from muybridge.edit.keys import ROOT_PATH, Way
from muybridge.errors import InputError
from muybridge.studio.desk import Desk
from muybridge.studio.stage import Studio, set_value

__all__ = ["MotionEditor"]

NO_HANDLE = "none"
WAYS: tuple[Way, ...] = ("smooth", "linear", "stepped")
PINS = {"feet": ("feet",), "hands": ("hands",), "hips": ("hips",)}
GIZMO_M = 0.36
AXES = ("#b8321f", "#5a8f3c", "#2b6f8f")  # x, y, z
HERE = "#99421a"


class MotionEditor:
    """The panel, the gizmo on the dragged part, and the curve; the desk does the work.

    A drag shows a preview at every step and changes the desk once, when it ends.
    """

    def __init__(self, studio: Studio, desk: Desk) -> None:
        self.studio, self.desk = studio, desk
        self._lock = threading.RLock()
        self._following = False  # we move controls ourselves: their callbacks are to keep still
        gui = studio.server.gui
        with gui.add_folder("Pose"):
            self.handle = gui.add_dropdown("Drag", (NO_HANDLE, *desk.handles()))
            self.pins = {name: gui.add_checkbox(f"Pin {name}", name == "feet") for name in PINS}
            self.ease = gui.add_slider(
                "Ease, s", 0.0, 2.0, 0.05, 0.3,
                hint="How long the change takes to come and to go; motions with keys use those.",
            )  # fmt: skip
        with gui.add_folder("Keys"):
            self.error = gui.add_number("Error, mm", 2.0, min=0.1, max=100.0, step=0.1)
            self.make_keys = gui.add_button("Make keys", hint="Few keys a joint instead of poses.")
            self._add_key_controls(gui)
        with gui.add_folder("File"):
            self.undo = gui.add_button("Undo", icon=viser.Icon.ARROW_BACK_UP, hint="Ctrl Z")
            self.redo = gui.add_button(
                "Redo", icon=viser.Icon.ARROW_FORWARD_UP, hint="Ctrl Shift Z"
            )
            self.target = gui.add_text("Save as", str(self._default_target()))
            self.save = gui.add_button("Save", icon=viser.Icon.DEVICE_FLOPPY)
            self.note = gui.add_markdown("")
        self.gizmo = studio.server.scene.add_transform_controls(
            "/drag", GIZMO_M, disable_rotations=True, depth_test=False, visible=False
        )
        self._connect()
        self.refresh()

    def _add_key_controls(self, gui: viser.GuiApi) -> None:
        skeleton = self.desk.clip.skeleton
        joints = [n for n, tip in zip(skeleton.names, skeleton.end_sites, strict=True) if not tip]
        self.track = gui.add_dropdown("Track", (*joints, ROOT_PATH))
        grid = np.arange(2.0)
        lines = (uplot.Series(label="s"), *self._series())
        self.plot = gui.add_uplot(
            (grid,) * 9, lines, height=210, title="degrees", legend=uplot.Legend(show=False),
            scales=_scales(0.0, 1.0, 0.0, 1.0),
        )  # fmt: skip
        self.key = gui.add_slider("Key", 0, 1, 1, 0)
        self.key_frame = gui.add_slider("Its frame", 0, 1, 1, 0)
        self.way = gui.add_dropdown("Between keys", WAYS)
        self.add_key = gui.add_button("Add a key on this frame")
        self.drop_key = gui.add_button("Delete this key")
        self.key_controls = (self.key, self.key_frame, self.way, self.add_key, self.drop_key)

    @staticmethod
    def _series() -> list[uplot.Series]:
        """The three components, their keys as dots, the chosen key, and the present frame."""
        lines = [
            uplot.Series(label=name, stroke=colour, width=1.5)
            for name, colour in zip("xyz", AXES, strict=True)
        ]
        dots = [
            uplot.Series(
                label=f"keys {name}", stroke=colour, width=0,
                points=uplot.Series_Points(show=True, size=7, fill=colour),
            )
            for name, colour in zip("xyz", AXES, strict=True)
        ]  # fmt: skip
        chosen = uplot.Series(
            label="key", stroke=HERE, width=0,
            points=uplot.Series_Points(show=True, size=12, width=2),
        )  # fmt: skip
        here = uplot.Series(label="now", stroke=HERE, width=1.0, dash=(4.0, 4.0))
        return [*lines, *dots, chosen, here]

    def _default_target(self) -> Path:
        source = self.desk.source
        return source.with_name(f"{source.stem}_edited{source.suffix}")

    def _connect(self) -> None:
        self.handle.on_update(lambda _: self.refresh())
        self.studio.slider.on_update(lambda _: self.follow_frame())
        self.track.on_update(lambda _: self.refresh())
        self.key.on_update(lambda _: self._chose_key())
        self.key_frame.on_update(lambda _: self._moved_key())
        self.way.on_update(lambda _: self._set_way())
        self.gizmo.on_update(self._gizmo_moved)
        buttons: tuple[tuple[viser.GuiButtonHandle, Callable[[], object]], ...] = (
            (self.undo, self.desk.undo),
            (self.redo, self.desk.redo),
            (self.make_keys, lambda: self.desk.key(self.error.value / 1000.0)),
            (self.add_key, lambda: self.desk.insert_key(self.track.value, self.studio.frame)),
            (self.drop_key, lambda: self.desk.delete_key(self.track.value, self.key.value)),
        )
        for button, work in buttons:
            button.on_click(partial(self._clicked, work))
        self.save.on_click(lambda _: self.write())
        commands = self.studio.server.gui
        commands.add_command("Undo", hotkey="Z", modifier="cmd/ctrl").on_trigger(
            lambda _: self._do(self.desk.undo)
        )
        commands.add_command("Redo", hotkey="Z", modifier="cmd/ctrl+shift").on_trigger(
            lambda _: self._do(self.desk.redo)
        )

    # -- dragging ---------------------------------------------------------------------------

    def _dragged(self) -> tuple[str, int, torch.Tensor, tuple[str, ...]] | None:
        part = self.handle.value
        if part == NO_HANDLE or self.studio.playing.value:
            return None
        place = torch.tensor(np.asarray(self.gizmo.position), dtype=torch.float64)
        pins = tuple(pin for name, on in self.pins.items() if on.value for pin in PINS[name])
        return part, self._frame(), place, pins

    def _frame(self) -> int:
        return min(self.studio.frame, len(self.desk.clip) - 1)

    def _gizmo_moved(self, event: viser.TransformControlsEvent) -> None:
        if event.phase == "end":
            self.drop()
        else:
            self.preview()

    def preview(self) -> None:
        """Show the body as the gizmo drags it; steps that come while we work are left out."""
        drag = self._dragged()
        if drag is None or self._following or not self._lock.acquire(blocking=False):
            return
        try:
            self.studio.show_pose(0, self.desk.preview(*drag))
        finally:
            self._lock.release()

    def drop(self) -> None:
        """The drag has ended: make it a change."""
        drag = self._dragged()
        if drag is not None:
            self._do(lambda: self.desk.drag(*drag, ease=float(self.ease.value)))

    def follow_frame(self) -> None:
        """Put the gizmo on its part, and the line of the present frame into the plot."""
        if not self.studio.playing.value:
            self._place_gizmo()
            self._draw_curve()

    # -- keys -------------------------------------------------------------------------------

    def _chose_key(self) -> None:
        if self._following or self.desk.keyed is None:
            return
        frame = self.desk.key_frames(self.track.value)[self.key.value]
        self._set(self.key_frame, frame)
        set_value(self.studio.slider, frame)
        self._draw_curve()

    def _moved_key(self) -> None:
        if self._following or self.desk.keyed is None:
            return
        name, index, frame = self.track.value, self.key.value, self.key_frame.value
        self._do(lambda: self.desk.move_key(name, index, frame))

    def _set_way(self) -> None:
        if not self._following and self.desk.keyed is not None:
            self._do(lambda: self.desk.set_way(self.track.value, self.way.value))

    # -- the desk ---------------------------------------------------------------------------

    def _do(self, work: Callable[[], object]) -> None:
        """Change the desk and show it; what the user did wrong is said, and nothing changes."""
        with self._lock:
            try:
                work()
                self._say("")
            except InputError as error:
                self._say(f"Not done: {error}")
            self.refresh()

    def _clicked(self, work: Callable[[], object], _: object) -> None:
        self._do(work)

    def write(self) -> None:
        """Save under the name in the panel; nothing is lost if that fails."""
        with self._lock:
            try:
                path = self.desk.save(Path(self.target.value.strip()).expanduser())
                self._say(f"Saved as {path}.")
            except (ValueError, RuntimeError, OSError) as error:  # also what Path says of names
                self._say(f"Not saved: {error}")

    def _say(self, sentence: str) -> None:
        keyed = self.desk.keyed
        count = "" if keyed is None else f"{keyed.count()} keys in {len(keyed.tracks())} tracks. "
        state = "There are changes to save. " if self.desk.changed else ""
        self.note.content = sentence or count + state

    def refresh(self) -> None:
        """Show the present draft."""
        with self._lock:
            self.studio.show_clip(0, self.desk.clip)
            self.undo.disabled = not self.desk.can_undo
            self.redo.disabled = not self.desk.can_redo
            self._place_gizmo()
            self._show_keys()
            self._draw_curve()

    def _place_gizmo(self) -> None:
        part = self.handle.value
        self.gizmo.visible = part != NO_HANDLE
        if part != NO_HANDLE:
            self._following = True
            self.gizmo.position = self.desk.place(part, self._frame()).numpy()
            self._following = False

    def _show_keys(self) -> None:
        keyed = self.desk.keyed
        self.make_keys.label = "Make keys" if keyed is None else "Make keys again"
        for control in self.key_controls:
            control.visible = keyed is not None
        if keyed is None:
            return
        frames = self.desk.key_frames(self.track.value)
        self.key.max = max(len(frames) - 1, 1)
        self.key_frame.max = max(len(self.desk.clip) - 1, 1)
        index = min(self.key.value, len(frames) - 1)
        self._set(self.key, index)
        self._set(self.key_frame, frames[index])

    def _set(self, control: viser.GuiSliderHandle[int], value: int) -> None:
        """Move a control of our own without hearing of it."""
        self._following = True
        set_value(control, value)
        self._following = False

    def _draw_curve(self) -> None:
        name, fps = self.track.value, self.desk.clip.fps
        curve = self.desk.curve(name).numpy()
        empty = np.full(len(curve), np.nan)
        dots, chosen, here = [empty.copy() for _ in range(3)], empty.copy(), empty.copy()
        if self.desk.keyed is not None:
            frames = [min(frame, len(curve) - 1) for frame in self.desk.key_frames(name)]
            for axis in range(3):
                dots[axis][frames] = curve[frames, axis]
            at = frames[min(self.key.value, len(frames) - 1)]
            chosen[at] = curve[at, 0]
        time, now = np.arange(len(curve)) / fps, self._frame()
        low, high = float(curve.min()), float(curve.max())
        room = max(0.08 * (high - low), 0.02)
        self.plot.scales = _scales(0.0, float(max(time[-1], 1.0 / fps)), low - room, high + room)
        order = np.argsort(np.append(time, [time[now]] * 2), kind="stable")
        rows = [np.append(row, [np.nan] * 2) for row in (*curve.T, *dots, chosen)]
        line = np.append(here, [low, high])
        self.plot.title = "metres" if name == ROOT_PATH else "degrees"
        self.plot.data = (
            np.append(time, [time[now]] * 2)[order], *(row[order] for row in rows), line[order],
        )  # fmt: skip


def _scales(left: float, right: float, low: float, high: float) -> dict[str, uplot.Scale]:
    """Seconds and degrees (or metres); given, as the plot cannot tell them from gaps itself."""
    return {
        "x": uplot.Scale(time=False, range=(left, right)),
        "y": uplot.Scale(auto=False, range=(low, high)),
    }

"""2-D detections of one take, from all cameras.

C cameras, T frames, P person slots, J joints. Pixels of the original image; NaN where nothing was
detected. A slot is only a place in a list: slot 0 of one camera or frame need not be slot 0 of
another, until `capture.associate` has said who is who.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from jaxtyping import Bool, Float
from torch import Tensor

from muybridge.errors import InputError

__all__ = ["BODY_25", "BODY_25B", "COCO_17", "COCO_PAIRS", "HALPE_26", "Keypoints"]

COCO_17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip

BODY_25 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist",
    "left_shoulder", "left_elbow", "left_wrist", "mid_hip",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
    "left_big_toe", "left_small_toe", "left_heel",
    "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip

BODY_25B = (
    *COCO_17, "neck", "head",
    "left_big_toe", "left_small_toe", "left_heel",
    "right_big_toe", "right_small_toe", "right_heel",
)  # fmt: skip  # OpenPose's later model; its neck is higher than BODY_25's

HALPE_26 = (
    *COCO_17, "head", "neck", "mid_hip",
    "left_big_toe", "right_big_toe", "left_small_toe", "right_small_toe", "left_heel", "right_heel",
)  # fmt: skip

COCO_PAIRS = (
    ("left_ankle", "left_knee"), ("left_knee", "left_hip"),
    ("right_ankle", "right_knee"), ("right_knee", "right_hip"), ("left_hip", "right_hip"),
    ("left_shoulder", "left_hip"), ("right_shoulder", "right_hip"),
    ("left_shoulder", "right_shoulder"),
    ("left_shoulder", "left_elbow"), ("left_elbow", "left_wrist"),
    ("right_shoulder", "right_elbow"), ("right_elbow", "right_wrist"),
    ("nose", "left_eye"), ("nose", "right_eye"), ("left_eye", "left_ear"),
    ("right_eye", "right_ear"), ("left_ankle", "left_heel"), ("left_ankle", "left_big_toe"),
    ("right_ankle", "right_heel"), ("right_ankle", "right_big_toe"),
)  # fmt: skip  # lines to draw; an overlay skips those whose joints are absent


@dataclass(frozen=True)
class Keypoints:
    """What each camera saw of each person's joints.

    Attributes:
        cameras: Camera names, in order.
        joints: Joint names, in order.
        points_px: Pixel positions (x right, y down); NaN where not detected.
        confidence: Detector's confidence, 0 to 1; 0 where not detected.
        fps: Frames a second.
        corrected: True where a person edited the joint by hand; such joints are trusted.
    """

    cameras: tuple[str, ...]
    joints: tuple[str, ...]
    points_px: Float[Tensor, "c t p j 2"]
    confidence: Float[Tensor, "c t p j"]
    fps: float
    corrected: Bool[Tensor, "c t p j"] | None = None

    def __post_init__(self) -> None:
        c, _, _, j, _ = self.points_px.shape
        if (c, j) != (len(self.cameras), len(self.joints)):
            raise InputError(
                f"expected points of {len(self.cameras)} cameras and {len(self.joints)} joints, "
                f"got {c} and {j}; name every camera and joint"
            )

    @property
    def frame_count(self) -> int:
        """T."""
        return self.points_px.shape[1]

    @property
    def seen(self) -> Bool[Tensor, "c t p j"]:
        """True where a joint was detected."""
        return self.points_px.isfinite().all(-1) & (self.confidence > 0.0)

    def select_cameras(self, names: Sequence[str]) -> Keypoints:
        """The views of these cameras, in this order."""
        missing = [name for name in names if name not in self.cameras]
        if missing:
            raise InputError(
                f"expected keypoints of the cameras {', '.join(names)}, got none of "
                f"{', '.join(missing)}; there are {', '.join(self.cameras)}"
            )
        index = [self.cameras.index(name) for name in names]
        return replace(
            self,
            cameras=tuple(names),
            points_px=self.points_px[index],
            confidence=self.confidence[index],
            corrected=None if self.corrected is None else self.corrected[index],
        )

    def select_joints(self, names: Sequence[str]) -> Keypoints:
        """These joints, in this order; a name that is absent is an error."""
        missing = [name for name in names if name not in self.joints]
        if missing:
            raise InputError(
                f"expected the joints {', '.join(names)}, got none called {', '.join(missing)}; "
                f"there are {', '.join(self.joints)}"
            )
        index = [self.joints.index(name) for name in names]
        return replace(
            self,
            joints=tuple(names),
            points_px=self.points_px[..., index, :],
            confidence=self.confidence[..., index],
            corrected=None if self.corrected is None else self.corrected[..., index],
        )

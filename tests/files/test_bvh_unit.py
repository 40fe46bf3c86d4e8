"""The unit of a BVH file, guessed by the size of the body."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.files.bvh_unit import METRES, Unit, guess_unit
from muybridge.motion.clip import Clip
from muybridge.motion.skeleton import Skeleton
from tests.motions import BVH_FILES, random_clip

KNOWN: dict[str, Unit] = {
    "idle": "m", "run_forward": "m", "walk60": "m", "walk_and_turn_left": "m", "walk_forward": "m",
    "motion": "cm", "bvh_test2": "cm", "bvh_example": "inch", "bvh_test1": "inch",
    "bvh_test3": "inch", "cmu_12_01_walk": "cmu", "AV_8Walk_Meredith_HVHA_Rep1": "inch",
}  # fmt: skip
NAMES = (
    "Hips", "Spine", "LeftArm", "LeftForeArm", "LeftHand", "RightArm", "RightForeArm", "RightHand",
    "LeftUpLeg", "LeftLeg", "LeftFoot", "RightUpLeg", "RightLeg", "RightFoot",
)  # fmt: skip
PARENTS = (-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12)
BONES = [
    [0, 0, 0], [0, 0.5, 0], [0.2, 0, 0], [0.3, 0, 0], [0.3, 0, 0], [-0.2, 0, 0], [-0.3, 0, 0],
    [-0.3, 0, 0], [0.1, 0, 0], [0, -0.45, 0], [0, -0.45, 0], [-0.1, 0, 0], [0, -0.45, 0],
    [0, -0.45, 0],
]  # fmt: skip


def body(stature: float) -> Skeleton:
    """A person of 1.6 m from wrist to wrist, scaled to a stature of 1.6 units."""
    return Skeleton(NAMES, PARENTS, torch.tensor(BONES, dtype=torch.float64) * stature / 1.6)


@pytest.mark.skipif(not BVH_FILES, reason="the BVH files of ../shared/data are absent")
@pytest.mark.parametrize("path", BVH_FILES, ids=lambda path: path.stem)
def test_recorded_people_have_the_size_of_people(path: Path) -> None:
    file = read_bvh(path, "auto")
    assert file.unit == KNOWN[path.stem]
    points = file.skeleton.rest_positions()
    assert 1.3 < float((points.amax(0) - points.amin(0)).max()) < 2.0


@given(st.floats(1.45, 2.0), st.sampled_from(["m", "cm", "inch", "cmu"]))
def test_adults_are_known_in_every_unit(stature: float, unit: Unit) -> None:
    assert guess_unit(body(stature / METRES[unit])) == unit


def test_what_is_no_body_is_centimetres_or_metres() -> None:
    chain = Skeleton(("a", "b"), (-1, 0), torch.tensor([[0.0, 0, 0], [0, 1, 0]]).double())
    for size, unit in ((0.5, "m"), (4.9, "m"), (60.0, "cm"), (30.0, "cm"), (500.0, "cm")):
        scaled = Skeleton(chain.names, chain.parents, size * chain.offsets)
        assert guess_unit(scaled) == unit
    assert guess_unit(Skeleton(("a",), (-1,), torch.zeros(1, 3).double())) == "cm"


@pytest.mark.parametrize("unit", ["m", "cm", "inch", "cmu"])
def test_what_is_written_in_a_unit_is_read_in_it(tmp_path: Path, unit: Unit) -> None:
    clip = random_clip(0, joints=14, frames=3, tips=False)
    clip = Clip(body(1.7), clip.rotations, clip.root, clip.fps)
    write_bvh(tmp_path / "a.bvh", clip, unit)
    file = read_bvh(tmp_path / "a.bvh", "auto")
    assert file.unit == unit
    order = [file.skeleton.index(name) for name in NAMES]
    torch.testing.assert_close(
        file.skeleton.offsets[order], clip.skeleton.offsets, atol=1e-6, rtol=0
    )
    torch.testing.assert_close(file.clip.root, clip.root, atol=1e-6, rtol=0)

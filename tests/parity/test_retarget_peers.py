"""Retargeting against pybvh (bones of other lengths) and three.js (rest-pose offsets)."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch

from muybridge.edit.joint_map import joint_map
from muybridge.edit.rest_pose import rest_pose, rest_turns
from muybridge.edit.retarget import RetargetOptions, retarget
from muybridge.files.bvh import read_bvh, write_bvh
from muybridge.geometry.rotation import geodesic_angle, identity_quaternion
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.skeleton import Skeleton
from tests.edit.figures import smooth_clip, walker
from tests.edit.rigs import drooped, scaled

NODE = Path(__file__).parents[1] / "node"
PURE = RetargetOptions(feet=False, hands=False, scale=1.0)


def _written(clip: Clip, path: Path) -> Path:
    write_bvh(path, clip, "m")
    return path


def test_bones_of_other_lengths_as_pybvh_has_them(tmp_path: Path) -> None:
    pybvh = pytest.importorskip("pybvh")
    clip = walker(30, turn=0.4)
    rig = scaled(clip.skeleton, 1.3, 0.8)
    still = Clip(rig, identity_quaternion(1, len(rig)), clip.root[:1], 60.0)
    source = pybvh.read_bvh_file(_written(clip, tmp_path / "source.bvh"))
    target = pybvh.read_bvh_file(_written(still, tmp_path / "target.bvh"))
    pybvh.write_bvh_file(source.retarget(target), tmp_path / "theirs.bvh")
    other = read_bvh(tmp_path / "theirs.bvh", "m").clip
    places = []
    for made in (retarget(clip, rig, options=PURE), other):
        p = forward_clip(made).positions
        order = [made.skeleton.index(n) for n in clip.skeleton.names]
        places.append((p[:, order] - p[:, :1]).numpy())
    assert np.abs(places[0] - places[1]).max() < 2e-6  # six decimals of degrees


def _rig(skeleton: Skeleton) -> dict[str, object]:
    return {
        "names": skeleton.names,
        "parents": skeleton.parents,
        "offsets": skeleton.offsets.tolist(),
    }


@pytest.mark.node
@pytest.mark.skipif(
    not shutil.which("node") or not (NODE / "node_modules" / "three").is_dir(),
    reason="node or the npm packages of tests/node are absent: run `make node`",
)
def test_a_pose_rig_as_three_js_turns_it(tmp_path: Path) -> None:
    """Given our constant turns as its `localOffsets`; to its float32 arrays and matrix inverses."""
    clip = smooth_clip(3, 12, like=walker(12))
    rig = scaled(drooped(clip.skeleton), 1.2)
    parts = joint_map(clip.skeleton, rig)
    turns = rest_turns((rest_pose(clip.skeleton), parts[0]), (rest_pose(rig), parts[1]))
    words = {
        "source": _rig(clip.skeleton),
        "target": _rig(rig),
        "offsets": {rig.names[parts[1][name]]: turn.tolist() for name, turn in turns.items()},
        "hip": "Hips",
        "scale": 1.0,
        "frames": [
            {"root": root.tolist(), "rotations": rotations.tolist()}
            for root, rotations in zip(clip.root, clip.rotations, strict=True)
        ],
    }
    (tmp_path / "words.json").write_text(json.dumps(words))
    done = subprocess.run(
        ["node", str(NODE / "retarget.mjs"), str(tmp_path / "words.json")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    said = json.loads(done.stdout)
    ours = forward_clip(retarget(clip, rig, options=PURE))
    turning = [j for j, end in enumerate(rig.end_sites) if not end]
    theirs = torch.tensor(said["orientations"], dtype=torch.float64)
    theirs = theirs / theirs.norm(dim=-1, keepdim=True)
    apart = geodesic_angle(ours.orientations, theirs)[:, turning]
    assert float(apart.max()) < 1e-5
    places = torch.tensor(said["positions"], dtype=torch.float64)
    from_hips = [p - p[:, :1] for p in (ours.positions, places)]
    assert float((from_hips[0] - from_hips[1]).abs().max()) < 1e-5

"""Inverse kinematics against ikpy, pytorch_kinematics and three.js' CCDIKSolver.

ikpy and pytorch_kinematics solve the same arm; solutions of a redundant arm differ, so what must
agree is the forward kinematics (and the Jacobian), and that both reach the target. three.js turns
each joint as ours does, so that joints agree after the same number of sweeps.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from muybridge.motion.ik.ccd import ccd
from muybridge.motion.ik.chain import Chain, ChainProblem, arm, solve_chain
from muybridge.motion.ik.points import PointOptions
from tests.motion.ik.test_chain import random_angles, targets
from tests.motion.ik.test_points import chains

NODE = Path(__file__).parents[1] / "node"
CHAIN = arm()


def ikpy_chain(chain: Chain) -> Any:
    """The same arm in ikpy: hinges between an origin and a fixed tip."""
    module = pytest.importorskip("ikpy.chain")
    from ikpy.link import OriginLink, URDFLink

    still = np.zeros(3)
    hinges = [
        URDFLink(f"hinge{k}", offset.numpy(), still, axis.numpy(), bounds=(float(low), float(high)))
        for k, (offset, axis, low, high) in enumerate(
            zip(chain.offsets, chain.axes, chain.lower, chain.upper, strict=True)
        )
    ]
    tip = URDFLink("tip", chain.tip.numpy(), still, joint_type="fixed")
    active = [False, *[True] * len(chain), False]
    return module.Chain([OriginLink(), *hinges, tip], active_links_mask=active)


def urdf(chain: Chain) -> str:
    """The same arm as a URDF file."""
    text = "<robot name='arm'><link name='l0'/>"
    for k, (offset, axis) in enumerate(zip(chain.offsets, chain.axes, strict=True)):
        low, high = float(chain.lower[k]), float(chain.upper[k])
        text += (
            f"<link name='l{k + 1}'/><joint name='j{k}' type='revolute'>"
            f"<parent link='l{k}'/><child link='l{k + 1}'/>"
            f"<origin xyz='{' '.join(map(str, offset.tolist()))}' rpy='0 0 0'/>"
            f"<axis xyz='{' '.join(map(str, axis.tolist()))}'/>"
            f"<limit lower='{low}' upper='{high}' effort='1' velocity='1'/></joint>"
        )
    place = " ".join(map(str, chain.tip.tolist()))
    return (
        f"{text}<link name='tip'/><joint name='end' type='fixed'><parent link='l{len(chain)}'/>"
        f"<child link='tip'/><origin xyz='{place}' rpy='0 0 0'/></joint></robot>"
    )


def test_ikpy_and_we_reach_the_same_targets() -> None:
    theirs, aims = ikpy_chain(CHAIN), targets(CHAIN, 12, 3)
    ours = solve_chain(CHAIN, aims)
    middle = ((CHAIN.lower + CHAIN.upper) / 2.0).tolist()
    for row, aim in enumerate(aims.numpy()):
        angles = theirs.inverse_kinematics(aim, initial_position=[0.0, *middle, 0.0])
        place = theirs.forward_kinematics(angles)[:3, 3]
        np.testing.assert_allclose(place, aim, atol=1e-4)
        mine = theirs.forward_kinematics([0.0, *ours.state[row].tolist(), 0.0])[:3, 3]
        np.testing.assert_allclose(mine, aim, atol=1e-4)
        same = CHAIN.forward(torch.tensor(angles[1:-1], dtype=torch.float64).unsqueeze(0))
        np.testing.assert_allclose(same.positions[0, -1].numpy(), place, atol=1e-12)


@pytest.mark.filterwarnings("ignore")  # of the package's own imports
def test_pytorch_kinematics_has_the_same_forward_kinematics_and_jacobian() -> None:
    kinematics = pytest.importorskip("pytorch_kinematics")
    theirs = kinematics.build_serial_chain_from_urdf(urdf(CHAIN), "tip").to(dtype=torch.float64)
    angles = random_angles(CHAIN, 20, 4)
    place = theirs.forward_kinematics(angles).get_matrix()[:, :3, 3]
    torch.testing.assert_close(CHAIN.forward(angles).positions[:, -1], place, atol=1e-7, rtol=0.0)
    _, jacobian = ChainProblem(CHAIN, place).linearise(angles)
    torch.testing.assert_close(jacobian, theirs.jacobian(angles)[:, :3], atol=1e-7, rtol=0.0)


@pytest.mark.node
@pytest.mark.skipif(
    not shutil.which("node") or not (NODE / "node_modules" / "three").is_dir(),
    reason="node or the npm packages of tests/node are absent: run `make node`",
)
@pytest.mark.parametrize("sweeps", [1, 2, 5])
def test_three_js_turns_each_joint_as_we_do(sweeps: int, tmp_path: Path) -> None:
    """To 2e-4 m after a sweep: three.js leaves turns below 1e-5 out and keeps unnormalised
    quaternions in between."""
    start, aims = chains(30, 0), chains(30, 1)[:, -1]
    words = {"points": start.tolist(), "targets": aims.tolist(), "sweeps": sweeps}
    (tmp_path / "chains.json").write_text(json.dumps(words))
    done = subprocess.run(
        ["node", str(NODE / "ccd.mjs"), str(tmp_path / "chains.json")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    theirs = torch.tensor(json.loads(done.stdout)["points"], dtype=torch.float64)
    ours = ccd(start, aims, PointOptions(iterations=sweeps, tolerance=1e-12)).points
    torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=0.0)

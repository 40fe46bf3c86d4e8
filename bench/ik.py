"""Inverse kinematics: an arm of seven hinges with limits against ikpy and pytorch_kinematics.

1,000 reachable targets (tips of random poses within the limits, seed 0; the
solver's own starts come from another seed), CPU time, one thread, in
one process. A target counts as reached within 1e-4 m by the chain's own forward kinematics. Then
the other methods on their own problems, and a whole clip with pinned feet.
"""

from __future__ import annotations

import importlib.util
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from typing import NamedTuple

import torch

from bench.bvh import best
from muybridge.files.convert import read_clip
from muybridge.motion.humanoid import part
from muybridge.motion.ik.ccd import ccd, ccd_hinges
from muybridge.motion.ik.chain import Chain, ChainProblem, arm, solve_chain
from muybridge.motion.ik.fabrik import fabrik
from muybridge.motion.ik.iterate import iterate
from muybridge.motion.ik.levenberg import levenberg_marquardt
from muybridge.motion.ik.points import PointOptions
from muybridge.motion.ik.reach import Goal, reach_take, solve_pose
from muybridge.motion.ik.two_bone import limb, two_bone
from muybridge.motion.kinematics import forward_clip
from tests.motion.ik.people import BVH
from tests.motion.ik.test_chain import random_angles
from tests.motion.ik.test_points import chains
from tests.parity.test_ik import ikpy_chain, urdf

TARGETS, FEW = 1000, 60
NEAR = 1e-4


class Row(NamedTuple):
    """One line of the table."""

    name: str
    seconds: float  # a target
    errors: torch.Tensor  # metres


def ours(chain: Chain, aims: torch.Tensor) -> list[Row]:
    """Every method for hinges, from the middle of the ranges where it needs a start."""
    start = ((chain.lower + chain.upper) / 2.0).expand(len(aims), -1).clone()
    problem = ChainProblem(chain, aims)
    works: dict[str, Callable[[], torch.Tensor]] = {
        "muybridge, LM with restarts": lambda: solve_chain(chain, aims).state,
        "muybridge, LM once": lambda: levenberg_marquardt(problem, start).state,
        "muybridge, Gauss-Newton": lambda: iterate(problem, start, "pseudo_inverse_wide").state,
        "muybridge, damped": lambda: iterate(problem, start, "damped").state,
        "muybridge, transpose": lambda: iterate(problem, start, "transpose").state,
        "muybridge, CCD": lambda: ccd_hinges(chain, aims, start).state,
    }
    rows = []
    for name, work in works.items():
        tip = chain.forward(work()).positions[:, -1]
        rows.append(Row(name, best(work, 3) / len(aims), (tip - aims).norm(dim=-1)))
    return rows


def peers(chain: Chain, aims: torch.Tensor) -> list[Row]:
    """ikpy on some of the targets, pytorch_kinematics on all."""
    rows = []
    middle = ((chain.lower + chain.upper) / 2.0).tolist()
    if importlib.util.find_spec("ikpy"):
        theirs = ikpy_chain(chain)
        started = time.process_time()
        found = [
            theirs.inverse_kinematics(aim, initial_position=[0.0, *middle, 0.0])[1:-1]
            for aim in aims[:FEW].numpy()
        ]
        seconds = (time.process_time() - started) / FEW
        tips = chain.forward(torch.tensor(found, dtype=torch.float64)).positions[:, -1]
        rows.append(Row(f"ikpy {version('ikpy')}", seconds, (tips - aims[:FEW]).norm(dim=-1)))
    else:
        print("ikpy is not installed: pip install ikpy==4.2.1")
    if importlib.util.find_spec("pytorch_kinematics"):
        rows.append(_pytorch_kinematics(chain, aims))
    else:
        print("pytorch_kinematics is not installed: pip install pytorch_kinematics==0.10.0")
    return rows


def _pytorch_kinematics(chain: Chain, aims: torch.Tensor) -> Row:
    """It asks for an orientation, too: the one of a pose that has the tip there."""
    import pytorch_kinematics as pk

    theirs = pk.build_serial_chain_from_urdf(urdf(chain), "tip").to(dtype=torch.float64)
    poses = theirs.forward_kinematics(random_angles(chain, len(aims), 0)).get_matrix()
    goal = pk.Transform3d(matrix=poses)
    limits = torch.stack((chain.lower, chain.upper), dim=-1)
    solver = pk.PseudoInverseIK(
        theirs, max_iterations=30, num_retries=10, joint_limits=limits, pos_tolerance=NEAR,
        early_stopping_any_converged=True, debug=False, lr=0.5,
    )  # fmt: skip
    started = time.process_time()
    solution = solver.solve(goal)
    seconds = (time.process_time() - started) / len(aims)
    tips = chain.forward(solution.solutions.flatten(0, 1).double()).positions[:, -1]
    errors = (tips.unflatten(0, (len(aims), -1)) - aims.unsqueeze(1)).norm(dim=-1).amin(-1)
    return Row(f"pytorch_kinematics {version('pytorch_kinematics')} (6-D goal)", seconds, errors)


def points() -> None:
    """CCD and FABRIK: chains of five ball joints, total length 1 m."""
    start, aims = chains(2000, 0), chains(2000, 1)[:, -1]
    print(
        f"\n{'5-bone ball chain':34}{'sweeps':>8}{'ms/target':>12}{'< 1e-4 m':>10}{'worst m':>10}"
    )
    for name, solve in (("FABRIK", fabrik), ("CCD", ccd)):
        for sweeps in (10, 30, 100):
            options = PointOptions(iterations=sweeps)
            seconds = best(lambda s=solve, o=options: s(start, aims, o), 3) / len(start)
            error = solve(start, aims, options).error
            share = 100.0 * float((error < NEAR).double().mean())
            print(
                f"{name:34}{sweeps:8}{1e3 * seconds:12.4f}{share:9.2f}%{float(error.max()):10.1e}"
            )


def clips() -> None:
    """A recorded clip: a hand carried, feet pinned; one pose as when a handle is dragged; legs."""
    path = BVH / "games105" / "motion.bvh"
    if not path.exists():
        print("the BVH files of ../shared/data are absent")
        return
    clip = read_clip(path)
    pose = forward_clip(clip)
    hand = part(clip.skeleton, "left_hand")
    wanted = pose.positions[:, hand] + torch.tensor([0.1, 0.2, 0.2], dtype=torch.float64)
    goal, joints = Goal("left_hand", wanted), len(clip.skeleton)
    seconds = best(lambda: reach_take(clip, [goal], ["feet"]), 2)
    worst = max(outcome.after for outcome in reach_take(clip, [goal], ["feet"]).outcomes)
    print(
        f"\nfull body, {joints} joints x {len(clip)} frames, hand 0.3 m away, feet pinned: "
        f"{1e3 * seconds / len(clip):.2f} ms a frame, farthest goal or pin {1e3 * worst:.4f} mm"
    )
    for distance in (0.02, 0.3):
        there = pose.positions[3, hand] + distance / 3.0**0.5
        drag = [Goal("left_hand", there)]
        seconds = best(
            lambda d=drag: solve_pose(clip.skeleton, clip.rotations[3], clip.root[3], d, ["feet"]),
            7,
        )
        print(f"one pose, hand dragged by {distance:g} m: {1e3 * seconds:.1f} ms")
    leg = limb(clip.skeleton, part(clip.skeleton, "left_foot"))
    target = pose.positions[:, leg.end] + torch.tensor([0.0, 0.05, 0.0], dtype=torch.float64)
    work = lambda: two_bone(clip.skeleton, clip.rotations, pose, leg, target)  # noqa: E731
    print(f"two-bone leg: {1e6 * best(work, 5) / len(clip):.1f} us a frame")


def main() -> None:
    """Print the tables."""
    torch.set_num_threads(1)
    chain = arm()
    aims = chain.forward(random_angles(chain, TARGETS, 0)).positions[:, -1]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = [*ours(chain, aims), *peers(chain, aims)]
        heads = ("ms/target", "< 1e-4 m", "< 1e-2 m", "worst m", "theirs/ours")
        print(f"{'7-DoF arm with limits':38}" + "".join(f"{head:>12}" for head in heads))
        for row in rows:
            near, close = (100.0 * float((row.errors < e).double().mean()) for e in (NEAR, 1e-2))
            print(
                f"{row.name:38}{1e3 * row.seconds:12.4f}{near:11.2f}%{close:11.2f}%"
                f"{float(row.errors.max()):12.1e}{row.seconds / rows[0].seconds:12.1f}"
            )
        points()
        clips()


if __name__ == "__main__":
    main()

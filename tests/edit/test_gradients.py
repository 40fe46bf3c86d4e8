"""Edits are differentiable where their mathematics is: gradients as differences say."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from muybridge.edit.blend import blend, blend_many
from muybridge.edit.inertialize import inertialize, join_inertialized, state_at
from muybridge.edit.loop import loop
from muybridge.edit.mirror import mirror
from muybridge.edit.pin import pin
from muybridge.edit.retarget import RetargetOptions, retarget
from muybridge.motion.clip import Clip
from muybridge.motion.kinematics import forward_clip
from tests.edit.figures import smooth_clip, walker
from tests.edit.rigs import drooped, scaled

BODY = walker(24)
OTHER = smooth_clip(2, 24, like=BODY)
STANDING = torch.zeros(BODY.rotations.shape[:2], dtype=torch.bool)
STANDING[5:12, BODY.skeleton.index("LeftFoot")] = True
EDITS: dict[str, Callable[[Clip], Clip]] = {
    "blend": lambda c: blend(c, OTHER, 0.3),
    "blend_many": lambda c: blend_many([c, OTHER], torch.tensor([0.6, 0.4])),
    "inertialize": lambda c: inertialize(OTHER, state_at(c, 10)),
    "join": lambda c: join_inertialized(c, OTHER),
    "loop": loop,
    "mirror": mirror,
    "pin": lambda c: pin(c, STANDING),
    "retarget": lambda c: retarget(
        c, scaled(drooped(BODY.skeleton), 1.1), options=RetargetOptions(feet=False, hands=False)
    ),
}


def _subject(name: str) -> Clip:
    """Wild motion; for feet a walk, since they have to be within reach."""
    return BODY if name == "pin" else smooth_clip(1, 24, like=BODY)


def _loss(
    edit: Callable[[Clip], Clip], rotations: torch.Tensor, root: torch.Tensor
) -> torch.Tensor:
    clip = edit(replace(BODY, rotations=rotations, root=root))
    weights = torch.linspace(-1.0, 1.0, clip.rotations.shape[1] * 3, dtype=torch.float64)
    return (forward_clip(clip).positions.flatten(1) * weights).sum()


@pytest.mark.parametrize("name", EDITS)
def test_gradients_are_those_of_differences(name: str) -> None:
    clip = _subject(name)
    rotations, root = clip.rotations.clone().requires_grad_(), clip.root.clone().requires_grad_()
    gradients = torch.autograd.grad(_loss(EDITS[name], rotations, root), (rotations, root))
    assert all(bool(g.isfinite().all()) for g in gradients)
    generator = torch.Generator().manual_seed(0)
    way = [
        torch.randn(x.shape, dtype=torch.float64, generator=generator) for x in (rotations, root)
    ]
    # along the sphere: edits assume unit quaternions
    way[0] = way[0] - (way[0] * clip.rotations).sum(-1, keepdim=True) * clip.rotations
    slope = sum(float((g * w).sum()) for g, w in zip(gradients, way, strict=True))
    step = 1e-6
    with torch.no_grad():
        ends = [
            float(
                _loss(
                    EDITS[name],
                    torch.nn.functional.normalize(clip.rotations + s * step * way[0], dim=-1),
                    clip.root + s * step * way[1],
                )
            )
            for s in (1.0, -1.0)
        ]
    assert slope == pytest.approx((ends[0] - ends[1]) / (2.0 * step), rel=2e-4, abs=1e-4)

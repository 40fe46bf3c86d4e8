"""Markers of an unknown set become rigid segments with joints where the motion shows them."""

import torch

from muybridge.capture.markers.chain import solve_segments
from muybridge.geometry.rotation import matrix_from_rotvec
from muybridge.motion.gaps import fill_gaps
from muybridge.motion.markers import Markers

t = torch.arange(200, dtype=torch.float64) / 50.0
upper = matrix_from_rotvec(torch.stack((0.6 * t.sin(), 0.4 * (2 * t).cos(), 0.5 * t), dim=1))
lower = upper @ matrix_from_rotvec(torch.stack((0 * t, 0 * t, 1.0 + 0.8 * (3 * t).sin()), dim=1))
bone = torch.tensor([0.0, -0.3, 0.0], dtype=torch.float64)
shape = torch.tensor([[0.03, -0.1, 0], [-0.02, -0.2, 0.03], [0, -0.15, -0.04]]).double()
elbow = upper @ bone
points = torch.cat((shape @ upper.mT, elbow.unsqueeze(1) + shape @ lower.mT), dim=1)
points = points + 0.0005 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0))
points[60:90, 4] = torch.nan

filled = fill_gaps(points, 50.0)
gap = filled.fillings[0]
print(f"one gap of {len(gap.gap)} frames by {gap.method}, error expected {1e3 * gap.std:.1f} mm")
names = ("Upper1", "Upper2", "Upper3", "Lower1", "Lower2", "Lower3")
chain = solve_segments(Markers(names, filled.points, 50.0))
for name, wander in chain.joined.items():
    print(f"{name} is joined to its parent at a point that wanders {1e3 * wander:.1f} mm")
print(f"markers are {1e3 * float(chain.residual.nanmedian()):.1f} mm off the chain (median)")

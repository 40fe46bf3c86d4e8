"""Four cameras see a point with a pixel of noise: where is it, and how sure is that?"""

import torch
from torch import tensor

from muybridge.geometry.camera import Cameras
from muybridge.geometry.rotation import matrix_from_rotvec
from muybridge.geometry.triangulation import TriangulationOptions, triangulate

turns = tensor([[0, a, 0] for a in (0.0, 0.5, -0.5, 0.8)], dtype=torch.float64)
rotation = matrix_from_rotvec(turns) @ torch.diag(tensor([1.0, -1.0, -1.0], dtype=torch.float64))
cameras = Cameras(
    names=("front", "left", "right", "side"),
    size_px=tensor([[1280.0, 720.0]] * 4, dtype=torch.float64),
    matrix=tensor([[[900.0, 0, 640], [0, 900, 360], [0, 0, 1]]] * 4, dtype=torch.float64),
    distortion=torch.zeros(4, 5, dtype=torch.float64),
    rotation=rotation,
    translation=tensor([[0.0, 1.0, 4.0]] * 4, dtype=torch.float64),
)
point = tensor([[0.2, 1.1, -0.1]], dtype=torch.float64)
seen = cameras.project(point) + torch.randn(4, 1, 2, generator=torch.Generator().manual_seed(0))
found = triangulate(seen, cameras, options=TriangulationOptions(sigma_px=1.0))
error = float((found.points_world - point).norm())
sigma = float(found.covariance[0].diagonal().sum().sqrt())
print(
    f"off by {1000 * error:.1f} mm; expected {1000 * sigma:.1f} mm from {int(found.views[0])} views"
)

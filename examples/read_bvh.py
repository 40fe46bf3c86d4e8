"""Read a BVH file, walk down its skeleton, and write it as a glTF body."""

import sys
from pathlib import Path

from muybridge.files.bvh import read_bvh
from muybridge.files.gltf import write_glb
from muybridge.motion.kinematics import forward_clip

source, target = Path(sys.argv[1]), Path(sys.argv[2])
clip = read_bvh(source).clip  # metres, Y up, quaternions x y z w
height = forward_clip(clip).positions[..., 1]
top = clip.skeleton.names[int(height[0].argmax())]
print(f"{len(clip)} frames at {clip.fps:.2f} Hz, {len(clip.skeleton)} joints")
print(f"the highest joint of the first frame is {top} at {float(height[0].max()):.2f} m")
write_glb(target, clip)

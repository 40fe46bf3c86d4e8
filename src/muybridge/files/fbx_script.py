"""What Blender does for `fbx`: run by Blender's Python, never imported by muybridge.

    python fbx_script.py write PLAN.json   a BVH file and what BVH cannot say -> FBX
    python fbx_script.py read PLAN.json    FBX -> bone matrices (.npz)

Blender is Z up; matrices leave this script Y up, (x, y, z) -> (x, z, -y), in metres.
"""

import json
import sys
from pathlib import Path

import bpy  # type: ignore[import-not-found]
import numpy as np

Y_UP = np.array([[1.0, 0, 0, 0], [0, 0, 1, 0], [0, -1, 0, 0], [0, 0, 0, 1]])


def write(plan: dict) -> None:  # type: ignore[type-arg]
    """Import the BVH file, add the tips as bones, export every frame."""
    bpy.ops.import_anim.bvh(
        filepath=plan["bvh"], rotate_mode="NATIVE", axis_forward="-Z", axis_up="Y"
    )
    figure, scene = bpy.context.object, bpy.context.scene
    figure.name = plan["name"]
    scene.render.fps = max(1, round(plan["fps"]))
    scene.render.fps_base = scene.render.fps / plan["fps"]
    scene.frame_start, scene.frame_end = 1, plan["frames"]  # its default end is frame 250
    bpy.ops.object.mode_set(mode="EDIT")
    bones = figure.data.edit_bones
    for tip in plan["tips"]:
        parent, bone = bones[tip["parent"]], bones.new(tip["name"])
        x, y, z = tip["place"]
        bone.head = (x, -z, y)
        bone.tail = bone.head + 0.2 * (parent.tail - parent.head)
        bone.parent = parent
    bpy.ops.object.mode_set(mode="OBJECT")
    rest_at(figure.animation_data.action, frame=0)
    scene.frame_set(0)  # without a mesh, the pose at export is what others take for the rest pose
    bpy.ops.export_scene.fbx(
        filepath=plan["fbx"],
        object_types={"ARMATURE"},
        add_leaf_bones=False,
        bake_anim_use_nla_strips=False,
        bake_anim_use_all_actions=False,
        bake_anim_simplify_factor=0.0,
    )


def rest_at(action: bpy.types.Action, frame: int) -> None:
    """Key the rest pose, where no other key is: all channels of the import are zero there."""
    for curve in action.fcurves:
        curve.keyframe_points.insert(frame, 0.0)


def read(plan: dict) -> None:  # type: ignore[type-arg]
    """World matrices of the bones of the largest figure at rest and in every frame."""
    bpy.ops.import_scene.fbx(filepath=plan["fbx"])
    figures = [o for o in bpy.data.objects if o.type == "ARMATURE" and len(o.data.bones)]
    if not figures:
        sys.exit("no skeleton")
    figure, scene = max(figures, key=lambda o: len(o.data.bones)), bpy.context.scene
    moved = figure.animation_data
    if moved is None or moved.action is None:
        sys.exit("no animation")
    first, last = moved.action.frame_range
    step = scene.render.fps_base  # the importer lays keys at seconds times the whole part of fps
    bones = list(figure.data.bones)  # parents come first
    world = np.empty((round((last - first) / step) + 1, len(bones), 4, 4))
    for frame in range(len(world)):
        whole, part = divmod(first + frame * step, 1.0)
        scene.frame_set(int(whole), subframe=part)
        for joint, bone in enumerate(bones):
            world[frame, joint] = figure.matrix_world @ figure.pose.bones[bone.name].matrix
    np.savez(
        plan["npz"],
        world=Y_UP @ world,
        rest=Y_UP @ np.array([figure.matrix_world @ bone.matrix_local for bone in bones]),
        names=np.array([bone.name for bone in bones]),
        parents=np.array([bones.index(b.parent) if b.parent else -1 for b in bones]),
        fps=scene.render.fps / scene.render.fps_base,
    )


if __name__ == "__main__":
    bpy.ops.wm.read_factory_settings(use_empty=True)
    {"write": write, "read": read}[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))

"""Clips one after the other, with everything that belongs to their frames.

T frames, J joints. Nothing is moved or blended here: see `join` and `inertialize`.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Shaped
from torch import Tensor

from muybridge.errors import InputError
from muybridge.motion.clip import Caption, Clip
from muybridge.motion.skeleton import Skeleton

__all__ = ["concatenate", "posed", "same_skeleton"]

SAME = 2e-3  # metres; bones that differ by less are of one person


def same_skeleton(clip: Clip, like: Clip) -> Clip:
    """The clip with its joints in the order of another's, of which it has the same bones.

    Raises:
        InputError: If joints, parents, bones or frame rate differ.
    """
    ours, theirs = clip.skeleton, like.skeleton
    unequal = sorted(set(ours.names) ^ set(theirs.names))
    if unequal:
        raise InputError(
            f"expected {clip.name} and {like.name} to have the same joints, got joints that only "
            f"one of them has ({', '.join(unequal[:4])}); carry one over with `muybridge edit "
            "retarget`"
        )
    order = [ours.index(name) for name in theirs.names]
    parents = tuple(-1 if (p := ours.parents[j]) < 0 else order.index(p) for j in order)
    apart = (ours.offsets[order] - theirs.offsets)[1:].norm(dim=-1)
    if parents != theirs.parents or bool((apart > SAME).any()):
        raise InputError(
            f"expected {clip.name} and {like.name} to have the same bones, got others (by up to "
            f"{float(apart.max()) if len(apart) else 0.0:.3f} m); carry one over with `muybridge "
            "edit retarget`"
        )
    if abs(clip.fps / like.fps - 1.0) > 1e-4:
        raise InputError(
            f"expected {clip.name} at the {like.fps:g} frames/second of {like.name}, got "
            f"{clip.fps:g}; change one with `muybridge edit resample`"
        )
    return replace(_reordered(clip, order), skeleton=theirs, fps=like.fps)


def _reordered(clip: Clip, order: list[int]) -> Clip:
    if order == sorted(order):
        return clip

    def part(values: Tensor | None) -> Tensor | None:
        return None if values is None else values[:, order]

    skeleton = clip.skeleton
    return replace(
        clip,
        skeleton=Skeleton(
            tuple(skeleton.names[j] for j in order),
            tuple(-1 if skeleton.parents[j] < 0 else order.index(skeleton.parents[j])
                  for j in order),
            skeleton.offsets[order],
            tuple(skeleton.end_sites[j] for j in order),
        ),
        rotations=clip.rotations[:, order],
        translations=part(clip.translations),
        position_std=part(clip.position_std),
        contacts=part(clip.contacts),
        filled=part(clip.filled),
    )  # fmt: skip


def posed(clip: Clip, rotations: Shaped[Tensor, "t j 4"], places: Shaped[Tensor, "t j 3"]) -> Clip:
    """The clip in other poses: local rotations and joint places (`Clip.local_translations`)."""
    moving = None if clip.translations is None else places
    return replace(clip, rotations=rotations, root=places[:, 0], translations=moving)


def concatenate(first: Clip, second: Clip) -> Clip:
    """The frames of one clip and then those of another, as they are.

    Captions keep their place in time; one that goes on over the cut stays one. Where only one clip
    knows what is filled, nothing is in the other; where only one knows the uncertainty, it is NaN
    in the other; contacts are kept only if both have them.

    Raises:
        InputError: If the skeletons or frame rates differ.
    """
    second = same_skeleton(second, first)
    moving = first.translations is not None or second.translations is not None
    shift = len(first) / first.fps
    later = tuple(Caption(c.text, c.start + shift, c.end + shift) for c in second.captions)
    return replace(
        first,
        rotations=torch.cat((first.rotations, second.rotations)),
        root=torch.cat((first.root, second.root)),
        translations=torch.cat((first.local_translations(), second.local_translations()))
        if moving
        else None,
        position_std=_chain(first.position_std, second.position_std, first, second, torch.nan),
        contacts=None
        if first.contacts is None or second.contacts is None
        else torch.cat((first.contacts, second.contacts)),
        filled=_chain(first.filled, second.filled, first, second, False),
        captions=_merged(first.captions, later, 0.5 / first.fps),
    )


def _merged(
    first: tuple[Caption, ...], second: tuple[Caption, ...], near: float
) -> tuple[Caption, ...]:
    """Both, where a caption that ends as its equal begins becomes one."""
    captions, later = list(first), list(second)
    for k, ended in enumerate(captions):
        for begun in later:
            if begun.text == ended.text and abs(begun.start - ended.end) < near:
                captions[k] = Caption(ended.text, ended.start, begun.end)
                later.remove(begun)
                break
    return (*captions, *later)


def _chain(
    a: Tensor | None, b: Tensor | None, first: Clip, second: Clip, unknown: float | bool
) -> Tensor | None:
    """Both one after the other; what is not there at all is `unknown`."""
    known = a if a is not None else b
    if known is None:
        return None
    joints = len(first.skeleton)
    a = known.new_full((len(first), joints), unknown) if a is None else a
    b = known.new_full((len(second), joints), unknown) if b is None else b
    return torch.cat((a, b))

"""Libraries: one skeleton, one order of joints, one frame rate."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from muybridge.edit.library import library_from_clips, read_library, resampled
from muybridge.errors import InputError
from muybridge.files.bvh import write_bvh
from muybridge.motion.kinematics import forward_clip
from tests.edit.walks import recorded, walk
from tests.motions import random_clip


def test_frames_and_their_clips() -> None:
    library = library_from_clips([walk(1.0, 0.0, 1.0), walk(1.0, 0.5, 2.0)])
    assert len(library) == 90
    assert library.starts.tolist() == [0, 30]
    assert library.owners.tolist() == [0] * 30 + [1] * 60
    assert library.left.tolist() == [*range(29, -1, -1), *range(59, -1, -1)]
    torch.testing.assert_close(library.positions[30:], forward_clip(library.clips[1]).positions)


def test_mirror_images_are_added() -> None:
    library = library_from_clips([walk(1.0, 0.5)], mirrored=True)
    left, right = library.clips
    assert right.name.endswith("_mirrored")
    torch.testing.assert_close(left.root[:, 0], -right.root[:, 0], atol=1e-9, rtol=0.0)


def test_resampling_keeps_what_moves_slowly() -> None:
    """From 100 to 60 frames/s a sine of 1 Hz keeps its values and its acceleration."""
    seconds = torch.arange(200, dtype=torch.float64) / 100.0
    clip = replace(walk(1.0, 0.0, 200 / 30), fps=100.0)
    clip = replace(clip, root=torch.stack((torch.sin(6.28 * seconds),) * 3, dim=-1))
    slow = resampled(clip, 60.0)
    assert len(slow) == 120
    at = torch.arange(120, dtype=torch.float64) / 60.0
    torch.testing.assert_close(slow.root[:, 0], torch.sin(6.28 * at), atol=1e-6, rtol=0.0)
    found = slow.root[:, 0].diff(n=2)[3:-3] * 3600.0
    torch.testing.assert_close(found, -(6.28**2) * torch.sin(6.28 * at[4:-4]), atol=0.1, rtol=0.0)
    assert resampled(clip, 100.0) is not clip
    torch.testing.assert_close(resampled(clip, 100.0).rotations, clip.rotations)


def test_the_slowest_clip_gives_the_rate() -> None:
    library = library_from_clips([walk(1.0, 0.0), replace(walk(1.0, 0.0), fps=60.0)])
    assert library.fps == 30.0
    assert [len(clip) for clip in library.clips] == [90, 45]
    assert library_from_clips([walk(1.0, 0.0)], fps=15.0).fps == 15.0


def test_folders_are_read_in_the_order_of_names(tmp_path: Path) -> None:
    write_bvh(tmp_path / "b.bvh", walk(1.0, 0.0))
    write_bvh(tmp_path / "a.BVH", walk(1.0, 0.5))
    (tmp_path / "notes.txt").write_text("nothing")
    library = read_library(tmp_path)
    assert [clip.name for clip in library.clips] == ["a", "b"]


def test_what_cannot_be_a_library(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found none at"):
        read_library(tmp_path / "nowhere")
    with pytest.raises(InputError, match="found none; give the folder"):
        read_library(tmp_path)
    with pytest.raises(InputError, match="at least one clip"):
        library_from_clips([])
    write_bvh(tmp_path / "a.bvh", walk(1.0, 0.0))
    write_bvh(tmp_path / "odd_one.bvh", replace(random_clip(3, frames=40), fps=30.0))
    with pytest.raises(InputError, match="odd_one"):
        read_library(tmp_path)


def test_gaps_short_clips_and_rates_that_are_none() -> None:
    gap = walk(1.0, 0.0)
    gap.root[3] = torch.nan
    with pytest.raises(InputError):
        library_from_clips([gap])
    with pytest.raises(InputError, match="at least 4 frames"):
        resampled(walk(1.0, 0.0).frames(0, 2), 60.0)
    with pytest.raises(InputError, match="positive frame rate"):
        resampled(walk(1.0, 0.0), 0.0)


def test_recordings_with_joints_in_other_orders() -> None:
    clips = recorded()
    library = library_from_clips(clips)
    names = {clip.skeleton.names for clip in clips}
    assert len(names) > 1  # the files differ in the order of joints
    for before, after in zip(clips, library.clips, strict=True):
        assert after.skeleton.names == clips[0].skeleton.names
        if before.fps == after.fps:
            order = [before.skeleton.index(name) for name in after.skeleton.names]
            torch.testing.assert_close(
                forward_clip(after).positions, forward_clip(before).positions[:, order],
                atol=1e-9, rtol=0.0,
            )  # fmt: skip

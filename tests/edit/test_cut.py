"""Cutting by seconds and frames."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from muybridge.edit.cut import cut, cut_frames
from muybridge.edit.sequence import concatenate
from muybridge.errors import InputError
from muybridge.motion.clip import Caption
from tests.edit.figures import smooth_clip, walker


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 59), st.sampled_from([24.0, 29.97, 60.0, 120.0]))
def test_two_pieces_make_the_whole(frame: int, fps: float) -> None:
    clip = replace(smooth_clip(1, 60), fps=fps, captions=(Caption("all of it", 0.0, 60 / fps),))
    parts = cut(clip, 0.0, frame / fps), cut(clip, frame / fps)
    assert [len(p) for p in parts] == [frame, 60 - frame]
    whole = concatenate(*parts)
    assert torch.equal(whole.rotations, clip.rotations)
    assert torch.equal(whole.root, clip.root)
    assert len(whole.captions) == 1
    assert whole.captions[0].end == pytest.approx(60 / fps)


def test_seconds_written_with_few_digits_mean_their_frame() -> None:
    clip = walker(100)
    assert len(cut(clip, 0.333333, 0.666667)) == 20
    assert torch.equal(cut(clip, 0.333333).root[0], clip.root[20])


def test_frames_count_from_the_end_too() -> None:
    clip = walker(100)
    assert torch.equal(cut_frames(clip, -10, 100).root, clip.root[90:])
    assert torch.equal(cut_frames(clip, 0, -10).root, clip.root[:90])


@pytest.mark.parametrize("span", [(-1.0, 1.0), (0.5, 0.5), (0.0, 3.0), (5.0, None)])
def test_spans_outside_are_named(span: tuple[float, float | None]) -> None:
    with pytest.raises(InputError, match="expected a s"):
        cut(walker(100), *span)


def test_frames_outside_are_named() -> None:
    for first, stop in ((0, 101), (50, 50), (-200, 5)):
        with pytest.raises(InputError, match="expected frames within"):
            cut_frames(walker(100), first, stop)

"""Feet that were dragged are let go, the others stand still."""

from dataclasses import replace

import pytest
import torch

from muybridge.edit.feet import foot_slide
from muybridge.edit.floor_path import FloorPath
from muybridge.edit.graph import build_graph
from muybridge.edit.graph_walk import random_route, shown
from muybridge.edit.library import library_from_clips
from muybridge.edit.matching import database, match_path
from muybridge.edit.planting import pinned, planted
from muybridge.errors import InputError
from muybridge.motion.kinematics import forward_clip
from tests.edit.walks import recorded, walk, walks


def test_feet_that_stand_are_left_alone() -> None:
    clip = library_from_clips([walk(1.0, 0.0)])
    known = replace(clip.clips[0], contacts=clip.contacts)
    assert torch.equal(planted(known), clip.contacts)


def test_a_dragged_foot_is_let_go() -> None:
    library = library_from_clips([walk(0.0, 0.0)])
    still = replace(library.clips[0], contacts=library.contacts)
    ends = torch.linspace(0.0, 1.0, len(still), dtype=torch.float64)
    dragged = replace(still, root=still.root + torch.stack((0.0 * ends, 0.0 * ends, ends), dim=-1))
    kept = planted(dragged, radius=0.12)
    assert bool(still.contacts.any())
    assert float(kept.double().mean()) < 0.6 * float(still.contacts.double().mean())
    positions = forward_clip(dragged).positions[..., 2]
    for joint in torch.nonzero(kept.any(0))[:, 0].tolist():
        stood = positions[kept[:, joint], joint]
        assert float(stood.max() - stood.min()) < 0.25


def test_short_contacts_and_breaks_are_none() -> None:
    library = library_from_clips([walk(0.0, 0.0)])
    contacts = library.contacts.clone()
    joint = int(torch.nonzero(contacts.any(0))[0, 0])
    contacts[:, joint] = True
    contacts[40] = False
    assert bool(planted(replace(library.clips[0], contacts=contacts))[40, joint])
    contacts[:] = False
    contacts[40:42, joint] = True
    assert not bool(planted(replace(library.clips[0], contacts=contacts)).any())


def test_made_motion_stops_sliding() -> None:
    graph = build_graph(walks())
    clip = shown(graph, random_route(graph, 20.0, 0))
    after = pinned(clip)
    assert foot_slide(after, after.contacts) < 0.1 * foot_slide(clip, after.contacts) + 1e-3


def test_clips_that_know_no_contacts() -> None:
    with pytest.raises(InputError, match="when its feet stand"):
        planted(walk(1.0, 0.0))


def test_matched_recordings_stop_sliding() -> None:
    base = database(library_from_clips(recorded(), mirrored=True))
    angles = torch.linspace(0.0, 3.0, 80, dtype=torch.float64)
    path = FloorPath(3.0 * torch.stack((1.0 - angles.cos(), angles.sin()), dim=-1)).timed(1.15)
    clip = match_path(base, path).clip
    after = pinned(clip)
    assert foot_slide(clip, after.contacts) > 0.1
    assert foot_slide(after, after.contacts) < 0.01

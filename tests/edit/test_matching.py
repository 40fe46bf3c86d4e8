"""Motion matching: follows paths, jumps softly, and says how well."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from muybridge.edit.floor_path import FloorPath
from muybridge.edit.graph_walk import hardest
from muybridge.edit.library import library_from_clips
from muybridge.edit.matching import Database, MatchOptions, database, match_path, typical_speed
from muybridge.edit.matching_search import METHODS
from muybridge.errors import InputError
from muybridge.motion.facing import heading
from tests.edit.walks import recorded, walks

LINE = torch.tensor([[0.0, 0.0], [0.0, 6.0]], dtype=torch.float64)


def _curve(radius: float, turn: float, sign: float = 1.0) -> torch.Tensor:
    angles = torch.linspace(0.0, turn, 80, dtype=torch.float64)
    return radius * torch.stack((sign * (1.0 - angles.cos()), angles.sin()), dim=-1)


def _eight() -> torch.Tensor:
    angles = torch.linspace(0.0, 2.0 * math.pi, 400, dtype=torch.float64)
    return torch.stack((3.0 * (2.0 * angles).sin(), 4.0 * angles.sin()), dim=-1)


@pytest.fixture(scope="module")
def base() -> Database:
    return database(walks())


@pytest.mark.parametrize("sign", [-1.0, 1.0], ids=["right", "left"])
def test_a_curve_is_followed(base: Database, sign: float) -> None:
    path = FloorPath(_curve(2.5, 3.0, sign)).timed(1.1)
    found = match_path(base, path)
    assert found.error.mean() < 0.1
    assert found.error.max() < 0.2
    assert len(found.clip) == len(found.frames) == round(path.duration * 30) + 1
    assert float(heading(found.clip)[-1]) == pytest.approx(sign * 3.0, abs=0.4)
    root = found.clip.root[:, [0, 2]].numpy()
    assert np.linalg.norm(root - found.places, axis=-1).max() < 0.15  # the bone is below the hips


def test_without_the_pull_the_clips_still_lead_along(base: Database) -> None:
    """The search alone keeps the body near the path; wishes that are ignored do not."""
    path = FloorPath(_curve(2.5, 3.0)).timed(1.1)
    free = MatchOptions(pull=None)
    found = match_path(base, path, free)
    deaf = replace(base.scale, size=torch.cat((base.scale.size[:15], base.scale.size[15:] * 1e6)))
    blind = match_path(replace(base, scale=deaf), path, free)
    assert found.error.mean() < 0.3
    assert blind.error.mean() > 2.0 * found.error.mean()


def test_jumps_are_softer_than_cuts(base: Database) -> None:
    path = FloorPath(_curve(2.5, 4.0)).timed(1.0)
    soft, hard = (match_path(base, path, MatchOptions(halflife=h)) for h in (0.1, 1e-4))
    assert soft.jumps > 0
    source = max(hardest(clip).acceleration for clip in base.library.clips)
    assert hardest(soft.clip).acceleration < 1.5 * source
    assert hardest(hard.clip).acceleration > 1.5 * hardest(soft.clip).acceleration


def test_where_nothing_jumps_the_clip_is_shown_as_it_is() -> None:
    """One straight clip, a straight path at its speed: frames follow one another."""
    library = walks()
    base = database(library_from_clips(library.clips[:1]))
    path = FloorPath(LINE[:, :] / 3.0).timed(1.2)
    found = match_path(base, path, MatchOptions(pull=None, jump=1e9))
    assert found.jumps == 0
    assert np.all(np.diff(found.frames) == 1)
    start = int(found.frames[0])
    torch.testing.assert_close(
        found.clip.rotations[:, 1:],
        base.library.rotations[start : start + len(found.frames), 1:],
    )


def test_dear_jumps_are_rare(base: Database) -> None:
    path = FloorPath(_curve(2.0, 5.0)).timed(1.1)
    jumps = [match_path(base, path, MatchOptions(jump=j)).jumps for j in (0.0, 2.0, 20.0)]
    assert jumps[0] > jumps[1] > jumps[2] > 0


def test_every_search_gives_the_same_motion(base: Database) -> None:
    path = FloorPath(_curve(2.0, 2.0)).timed(1.1)
    clips = [match_path(base, path, MatchOptions(method=m)).clip for m in METHODS]
    for clip in clips[1:]:
        assert torch.equal(clip.rotations, clips[0].rotations)
        assert torch.equal(clip.root, clips[0].root)


def test_pauses_on_the_way(base: Database) -> None:
    points = torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 2.0], [0.0, 4.0]], dtype=torch.float64)
    path = FloorPath(points, torch.tensor([0.0, 2.0, 4.0, 6.0], dtype=torch.float64))
    found = match_path(base, path)
    assert found.error.mean() < 0.15
    assert np.linalg.norm(found.places[105] - [0.0, 2.0]) < 0.25


def test_what_cannot_be_matched(base: Database) -> None:
    with pytest.raises(InputError, match="without; call `timed`"):
        match_path(base, FloorPath(LINE))
    clip = walks().clips[0]
    with pytest.raises(InputError, match="longer clips"):
        database(library_from_clips([clip.frames(0, 8)]))
    for wrong in ({"interval": 0.0}, {"halflife": -1.0}, {"pull": (0.0, 0.1)}, {"jump": -1.0}):
        with pytest.raises(InputError, match="expected"):
            MatchOptions(**wrong)


def test_the_usual_speed_is_that_of_the_clips(base: Database) -> None:
    assert 1.0 < typical_speed(base) < 1.25


@pytest.mark.parametrize("shape", ["eight", "square"])
def test_recorded_clips_follow_a_path_within_a_hand(shape: str) -> None:
    """Five clips of one person and their mirror images: mean error under 0.2 m, and at most."""
    base = database(library_from_clips(recorded(), mirrored=True))
    corners = [[0.0, 0.0], [5.0, 0.0], [5.0, 5.0], [0.0, 5.0], [0.0, 0.0]]
    points = _eight() if shape == "eight" else torch.tensor(corners, dtype=torch.float64)
    found = match_path(base, FloorPath(points).timed(1.15))
    assert found.error.mean() < 0.1
    assert found.error.max() < 0.35
    assert hardest(found.clip).acceleration < 170.0  # of the recordings: 163

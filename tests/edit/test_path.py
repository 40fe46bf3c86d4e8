"""Path fitting: the walk follows the line, with the strides it had."""

import math
from dataclasses import replace

import pytest
import torch

from muybridge.edit.feet import foot_contacts, foot_slide
from muybridge.edit.path import PathOptions, along_path, curve_through, path_of
from muybridge.errors import InputError
from muybridge.files.bvh import read_bvh
from muybridge.geometry.rotation import geodesic_angle
from muybridge.motion.facing import heading
from tests.edit.figures import walker
from tests.motions import DATA

FREE = PathOptions(feet=False)
WALK = DATA / "bvh/games105/walk60.bvh"


def _circle(radius: float, angle: float, count: int = 24) -> torch.Tensor:
    turn = torch.linspace(0.0, angle, count, dtype=torch.float64)
    return radius * torch.stack((1.0 - turn.cos(), turn.sin()), dim=-1)


def test_a_curve_knows_its_length_and_direction() -> None:
    quarter = curve_through(_circle(2.0, math.pi / 2))
    assert float(quarter.lengths[-1]) == pytest.approx(math.pi, rel=1e-4)
    assert float(quarter.angles[0]) == pytest.approx(0.0, abs=0.02)
    assert float(quarter.angles[-1]) == pytest.approx(math.pi / 2, abs=0.02)


def test_along_its_own_path_a_walk_is_itself() -> None:
    clip = walker(180, turn=0.4)
    line = path_of(clip)
    again = along_path(clip, line.points[::6], FREE)
    inner = slice(10, 170)
    assert float((again.root - clip.root)[inner].norm(dim=-1).max()) < 0.02
    turned = geodesic_angle(again.rotations[:, 0], clip.rotations[:, 0])[inner]
    assert float(turned.max()) < 0.05


def test_a_straight_walk_on_a_circle_stays_on_it_and_turns_with_it() -> None:
    clip = walker(240)
    bent = along_path(clip, _circle(3.0, 2.0), FREE)
    centre = torch.tensor([3.0, 0.0], dtype=torch.float64)
    radius = (bent.root[:, [0, 2]] - centre).norm(dim=-1)
    assert float((radius - 3.0).abs().max()) < 0.01
    way = 1.2 * 239 / 60
    assert float(heading(bent)[-1] - heading(bent)[0]) == pytest.approx(way / 3.0, abs=0.05)
    assert bool((bent.root[:, 1] == clip.root[:, 1]).all())
    assert bool((bent.rotations[:, 1:] == clip.rotations[:, 1:]).all())


def test_the_whole_path_may_be_walked_or_as_far_as_strides_reach() -> None:
    clip = walker(120)
    points = torch.tensor([[0.0, 0.0], [0.0, 2.0], [0.0, 10.0]], dtype=torch.float64)
    kept, fitted = (along_path(clip, points, PathOptions(f, False)) for f in (False, True))
    assert float(kept.root[-1, 2]) == pytest.approx(1.2 * 119 / 60, abs=0.02)
    assert float(fitted.root[-1, 2]) == pytest.approx(10.0, abs=0.01)
    short = along_path(clip, points[:2] * 0.25, FREE)
    assert float(short.root[-1, 2]) == pytest.approx(1.2 * 119 / 60, abs=0.02)  # straight on


@pytest.mark.skipif(not WALK.is_file(), reason="the recordings of ../shared/data are absent")
def test_a_recorded_walk_on_a_curve_keeps_its_feet() -> None:
    clip = read_bvh(WALK, "m").clip
    contacts = foot_contacts(clip)
    bent, pinned = (
        along_path(clip, _circle(2.0, 3.0), replace(FREE, feet=feet)) for feet in (False, True)
    )
    assert foot_slide(pinned, contacts) < 0.2 * foot_slide(bent, contacts)
    centre = torch.tensor([2.0, 0.0], dtype=torch.float64)
    radius = (pinned.root[:, [0, 2]] - centre).norm(dim=-1)
    assert float((radius - 2.0).abs().max()) < 0.15  # the body sways about its path


def test_mistakes_are_named() -> None:
    with pytest.raises(InputError, match="motion that travels"):
        along_path(walker(60, speed=0.1), _circle(1.0, 1.0))
    with pytest.raises(InputError, match="two different points"):
        along_path(walker(60), torch.zeros(3, 2, dtype=torch.float64))
    far = torch.tensor([[0.0, 0.0], [0.0, 9.0]], dtype=torch.float64)
    with pytest.raises(InputError, match=r"at most 4\.\d m, as far as legs can stride, got 9\.0 m"):
        along_path(walker(120), far, PathOptions(fit=True))

"""From a recording to a clip: which skeleton is fitted, what is said, what is refused."""

from dataclasses import replace

import pytest
import torch

from muybridge.capture.markers.take import MarkerOptions, solve_markers
from muybridge.capture.markers.virtual import dressed
from muybridge.errors import InputError
from muybridge.motion.kinematics import forward_clip
from muybridge.motion.markers import Markers
from tests.capture.markers.marked_walker import synthetic


def test_a_known_set_becomes_a_person_and_others_are_named() -> None:
    markers = dressed(synthetic(60))
    points = markers.points_world.clone()
    points[20:30, 5] = torch.nan
    nothing = torch.full((60, 1, 3), torch.nan, dtype=torch.float64)
    probe = torch.zeros(60, 1, 3, dtype=torch.float64)
    both = Markers(
        (*markers.names, "Ghost", "Probe"), torch.cat((points, nothing, probe), dim=1), 60.0
    )
    take = solve_markers(both)
    assert take.body == "person"
    assert len(take.clip) == 60
    assert sum(take.filled_by().values()) == 1
    assert take.markers.names == (*markers.names, "Probe")
    assert float(take.residual[:, :41].nanmedian()) < 0.001
    assert bool(take.residual[20:30, 5].isnan().all())
    words = " ".join(f.sentence for f in take.findings)
    assert "never seen: Ghost" in words
    assert "not part of the full-body set: Probe" in words


def test_a_person_may_be_solved_as_segments() -> None:
    markers = dressed(synthetic(60))
    take = solve_markers(markers, MarkerOptions(body="segments"))
    assert take.body == "segments"
    assert "LKNE_segment" in take.clip.skeleton.names
    assert bool(forward_clip(take.clip).positions.isfinite().all())


def test_a_swapped_label_is_reported() -> None:
    markers = dressed(synthetic(60))
    order = list(range(41))
    a, b = markers.names.index("LKNE"), markers.names.index("LUPA")
    order[a], order[b] = b, a
    take = solve_markers(replace(markers, points_world=markers.points_world[:, order]))
    (finding,) = [f for f in take.findings if f.severity == "warning"]
    assert "LKNE" in finding.sentence
    assert "LUPA" in finding.sentence


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: replace(m, fps=0.0), "frame rate above 0"),
        (lambda m: replace(m, points_world=m.points_world * torch.nan), "got none in 5 frames"),
        (lambda m: replace(m, points_world=m.points_world[:0]), "got none in 0 frames"),
        (lambda m: m.select(("LKNE", "RELB")), "rigid segment"),
    ],
)
def test_refusals(change, message: str) -> None:
    with pytest.raises(InputError, match=message):
        solve_markers(change(dressed(synthetic(5))))

"""Virtual markers: rigid on their bones, on the right side, in human places."""

import pytest
import torch

from muybridge.capture.markers.sets import FULL_BODY, known_markers, segments
from muybridge.capture.markers.virtual import dress, dressed
from muybridge.errors import InputError
from muybridge.motion.skeleton import Skeleton
from tests.capture.markers.marked_walker import synthetic, walk


def test_there_are_41_and_every_segment_is_rigid() -> None:
    markers = dressed(walk(60.0))
    assert len(FULL_BODY) == len(markers.names) == 41
    for group in segments(markers.names):
        points = markers.points_world[:, list(group)]
        distance = (points.unsqueeze(1) - points.unsqueeze(2)).norm(dim=-1)
        assert float(distance.std(0).max()) < 1e-9


def test_left_is_left_and_up_is_up() -> None:
    skeleton = synthetic(2).skeleton
    outfit = dress(skeleton)
    rest = [torch.zeros(3, dtype=torch.float64)]
    for joint, parent in enumerate(skeleton.parents[1:], start=1):
        rest.append(rest[parent] + skeleton.offsets[joint])
    places = torch.stack(rest)[list(outfit.joints)] + outfit.offsets
    where = dict(zip(outfit.names, places, strict=True))
    for name in outfit.names:
        if name[0] == "L":
            mirrored = where[f"R{name[1:]}"] * torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)
            torch.testing.assert_close(where[name], mirrored, atol=1e-9, rtol=0.0)
            assert float(where[name][0]) > 0.0
    assert float(where["LFHD"][1]) > float(where["LSHO"][1]) > float(where["LKNE"][1])
    assert float(where["LTOE"][2]) > float(where["LHEE"][2])
    assert float(where["CLAV"][2]) > 0.0 > float(where["C7"][2])


@pytest.mark.parametrize(
    ("label", "name"),
    [("LFWT", "LFWT"), ("Anna:LASI", "LFWT"), ("l_asis", "LFWT"), ("RPSI", "RBWT"),
     ("LTIB", "LSHN"), ("R_HEEL", "RHEE"), ("ASISr", "RFWT"), ("SXS", "STRN"), ("CV7", "C7")],
)  # fmt: skip
def test_other_laboratories_names_are_known(label: str, name: str) -> None:
    assert known_markers(["foot1", label]) == {name: 1}


def test_the_first_of_two_labels_counts_and_others_are_ignored() -> None:
    assert known_markers(["LKNE", "Probe1", "left_knee"]) == {"LKNE": 0}


def test_what_cannot_be_dressed_is_said() -> None:
    bare = Skeleton(("root", "arm"), (-1, 0), torch.ones(2, 3, dtype=torch.float64))
    with pytest.raises(InputError, match="expected a body with a joint for"):
        dress(bare)
    with pytest.raises(InputError, match="full-body set"):
        dress(synthetic(2).skeleton, ("NOSE",))

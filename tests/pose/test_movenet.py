"""The networks' building blocks and decoding, against slow and obvious twins."""

import pytest
import torch
from torch.nn import functional

from muybridge.pose.head import gather_cells, grid_rows_columns, joint_positions, row_column
from muybridge.pose.mobilenet import Convolution
from muybridge.pose.movenet import MoveNet
from muybridge.pose.multipose import MultiPose, _peaks
from muybridge.pose.runtime import load_network
from tests.pose.pictures import multipose_pictures, thunder_pictures


@pytest.mark.parametrize(("size", "stride"), [(1, 1), (3, 1), (3, 2)])
def test_convolution_pads_as_tensorflow_does(size: int, stride: int) -> None:
    """SAME: ceil(n / stride) outputs; an odd padding puts its extra row below and to the right."""
    torch.manual_seed(0)
    layer = Convolution(2, 3, size, stride=stride)
    x = torch.randn(1, 2, 8, 10)
    for side in (8, 10):
        assert layer(x).shape[2 if side == 8 else 3] == -(-side // stride)
    total = [max((-(-n // stride) - 1) * stride + size - n, 0) for n in (8, 10)]
    before = [t // 2 for t in total]
    padded = functional.pad(x, (before[1], total[1] - before[1], before[0], total[0] - before[0]))
    expected = functional.conv2d(padded, layer.conv.weight, layer.conv.bias, stride=stride)
    torch.testing.assert_close(layer(x), expected)


def test_cells_count_along_rows() -> None:
    values = torch.randn(2, 3, 4, 5)
    cells = torch.tensor([[0, 7, 19], [3, 10, 11]])
    places = row_column(cells, 5).long()
    gathered = gather_cells(values, cells)
    for b in range(2):
        for n in range(3):
            row, column = places[b, n].tolist()
            assert torch.equal(gathered[b, n], values[b, :, row, column])
    rows, columns = grid_rows_columns(values)
    assert rows.flatten().tolist() == [0, 1, 2, 3]
    assert columns.flatten().tolist() == [0, 1, 2, 3, 4]


def test_each_joint_is_moved_by_its_own_offset() -> None:
    offset = torch.randn(2, 34, 4, 5)
    cells = torch.randint(0, 20, (2, 6, 17), generator=torch.Generator().manual_seed(1))
    found = joint_positions(offset, cells)
    for b, n, j in ((0, 0, 0), (1, 5, 16), (0, 3, 9)):
        row, column = divmod(int(cells[b, n, j]), 5)
        move = offset[b, 2 * j : 2 * j + 2, row, column]
        torch.testing.assert_close(found[b, n, j], torch.tensor([row, column]) + move)


def test_peaks_are_the_highest_of_their_neighbourhood() -> None:
    centre = torch.zeros(1, 1, 12, 12)
    centre[0, 0, 2, 2], centre[0, 0, 2, 3], centre[0, 0, 9, 9] = 0.9, 0.8, 0.5
    score, cells = _peaks(centre)
    assert score[0, :3].tolist() == pytest.approx([0.9, 0.5, 0.0])
    assert cells[0, :2].tolist() == [2 * 12 + 2, 9 * 12 + 9]


@pytest.mark.parametrize("name", ["thunder", "multipose"])
def test_a_batch_equals_its_pictures_one_by_one(name: str) -> None:
    network = load_network("thunder" if name == "thunder" else "multipose")
    pictures = thunder_pictures() if name == "thunder" else multipose_pictures()
    picture = next(p for key, p in pictures.items() if key != "noise")
    one = torch.from_numpy(picture).float()
    batch = torch.stack((one, one.flip(1)))
    with torch.inference_mode():
        together = network(batch)
        alone = torch.stack([network(image[None])[0] for image in batch])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_a_mirrored_person_is_found_mirrored() -> None:
    network = load_network("thunder")
    one = torch.from_numpy(thunder_pictures()["figure2"]).float()
    with torch.inference_mode():
        found, mirrored = network(torch.stack((one, one.flip(1))))
    shoulders, hips = found[[5, 6], 1].mean(), found[[11, 12], 1].mean()
    assert abs(float(shoulders + mirrored[[5, 6], 1].mean()) - 1.0) < 0.03
    assert abs(float(hips + mirrored[[11, 12], 1].mean()) - 1.0) < 0.03
    assert float(found[5, 1]) != float(mirrored[5, 1])


@pytest.mark.parametrize(("kind", "millions"), [(MoveNet, 6.2), (MultiPose, 4.7)])
def test_size_of_the_networks(kind: type, millions: float) -> None:
    count = sum(parameter.numel() for parameter in kind().parameters())
    assert round(count / 1e6, 1) == millions

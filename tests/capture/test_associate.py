"""Who is who: nobody exchanged at crossings, nobody invented, and the demo trial's two people."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from muybridge.capture.associate import AssociateOptions, Association, associate
from muybridge.errors import InputError
from muybridge.motion.keypoints import Keypoints
from tests.demo import demo_cameras, demo_people, demo_person
from tests.passersby import FPS, Faults, Path, circle, film, rig, straight, walk

NO_REPAIR = AssociateOptions(repair=False)


def crossing(seed: int, people: int, seconds: float) -> list[Path]:
    """Straight walks through the middle of the room, from all sides at once."""
    g = torch.Generator().manual_seed(seed)
    paths = []
    for p in range(people):
        angle = 2.0 * math.pi * p / people + 0.5 * float(torch.rand(1, generator=g))
        x, z = (0.5 * float(v) - 0.25 for v in torch.rand(2, generator=g))
        far = (2.2 * math.sin(angle), 2.2 * math.cos(angle))
        paths.append(straight((far[0] + x, far[1] + z), (x - far[0], z - far[1]), seconds))
    return paths


def shoot(
    paths: list[Path], frames: int, faults: Faults, seed: int, cameras: int = 4
) -> tuple[Keypoints, Tensor, "list"]:
    """Everybody on these paths, filmed by synchronous cameras; and the people themselves."""
    people = [partial(walk, path, phase=1.7 * p) for p, path in enumerate(paths)]
    seconds = (torch.arange(frames, dtype=torch.float64) / FPS).expand(cameras, -1)
    acts = [lambda s, person=person: person(seconds=s) for person in people]
    keypoints, who = film(acts, rig(cameras), seconds, faults, seed)
    return keypoints, who, acts


def owners(found: Association, who: Tensor) -> list[Tensor]:
    """True owner of every detection given to each person, (C, T); -9 where none was given."""
    result = []
    for slots in found.slots:
        owner = who.gather(2, slots.clamp_min(0).unsqueeze(-1)).squeeze(-1)
        result.append(torch.where(slots < 0, -9, owner))
    return result


@pytest.mark.parametrize("seed", range(4))
def test_three_people_cross_without_an_exchange(seed: int) -> None:
    faults = Faults(noise_px=3.0, missing=0.1, false_people=0.15, shuffle=True)
    keypoints, who, acts = shoot(crossing(seed, 3, 3.0), 180, faults, seed)
    hips = [act(torch.arange(180, dtype=torch.float64) / FPS)[:, 11] for act in acts]
    assert float((hips[0] - hips[1]).norm(dim=-1).min()) < 0.5, "they must meet"
    found = associate(keypoints, rig(), NO_REPAIR)
    assert len(found.people) == 3
    identities = set()
    for owner in owners(found, who):
        given = owner[owner != -9]
        assert len(given.unique()) == 1, "one identity holds detections of one person only"
        assert len(given) > 0.98 * owner.numel(), "and of all frames and cameras"
        identities.add(int(given[0]))
    assert identities == {0, 1, 2}


def test_one_behind_the_other_is_not_detected_and_still_nobody_is_exchanged() -> None:
    """Where two people overlap in an image, detectors find only the nearer one."""
    keypoints, who, _ = shoot(crossing(7, 3, 3.0), 180, Faults(3.0, 0.1, shuffle=True), 7)
    hip = keypoints.points_px[..., 11, :]
    apart = (hip.unsqueeze(3) - hip.unsqueeze(2)).norm(dim=-1)  # C T P P
    hidden = (apart + 1e9 * torch.eye(3)).nan_to_num(1e9).amin(-1) < 60.0
    hidden &= torch.rand(hidden.shape, generator=torch.Generator().manual_seed(0)) < 0.6
    points = torch.where(hidden[..., None, None], torch.nan, keypoints.points_px)
    confidence = torch.where(hidden[..., None], 0.0, keypoints.confidence)
    assert int(hidden.sum()) > 40
    found = associate(
        Keypoints(keypoints.cameras, keypoints.joints, points, confidence, FPS), rig(), NO_REPAIR
    )
    assert len(found.people) == 3
    for owner in owners(found, who):
        assert len(owner[owner != -9].unique()) == 1


def test_who_leaves_and_comes_back_soon_is_the_same() -> None:
    keypoints, _, _ = shoot([circle(1.0, 6.0)], 150, Faults(2.0, 0.05), 1)
    keypoints.points_px[:, 60:90] = torch.nan
    keypoints.confidence[:, 60:90] = 0.0
    found = associate(keypoints, rig(), NO_REPAIR)
    assert len(found.people) == 1
    assert bool((found.slots[0][:, 60:90] == -1).all())
    assert bool((found.slots[0][:, 92:] == 0).all())


def test_people_seen_by_too_few_cameras_are_listed_not_invented() -> None:
    paths = [circle(1.0, 6.0), straight((-1.5, -1.5), (-1.2, -1.5), 2.5)]
    keypoints, who, _ = shoot(paths, 120, Faults(2.0, 0.05, shuffle=True), 2)
    elsewhere = (who == 1) & (torch.arange(4) >= 2)[:, None, None]
    keypoints.points_px[elsewhere] = torch.nan
    keypoints.confidence[elsewhere] = 0.0
    both = associate(keypoints, rig(), NO_REPAIR)
    assert len(both.people) == 2
    assert both.listed == ()
    main = associate(keypoints, rig(), AssociateOptions(min_views=3, repair=False))
    assert len(main.people) == 1
    (listed,) = main.listed
    assert "cam1, cam2" in listed.sentence
    assert "frames 0 to 119" in listed.sentence
    alone = (who == 1) & (torch.arange(4) >= 1)[:, None, None]
    keypoints.points_px[alone] = torch.nan
    keypoints.confidence[alone] = 0.0
    found = associate(keypoints, rig(), NO_REPAIR)
    assert len(found.people) == 1
    assert [f.camera for f in found.listed] == ["cam1"]


def test_order_of_slots_does_not_matter() -> None:
    """Metamorphic: shuffled slots give the same people, detection by detection."""
    keypoints, _, _ = shoot(crossing(3, 2, 2.0), 90, Faults(2.0, 0.05), 3)
    order = torch.rand(4, 90, 2, generator=torch.Generator().manual_seed(3)).argsort(-1)
    index = order[..., None, None]
    shuffled = Keypoints(
        keypoints.cameras,
        keypoints.joints,
        keypoints.points_px.gather(2, index.expand_as(keypoints.points_px)),
        keypoints.confidence.gather(2, index[..., 0].expand_as(keypoints.confidence)),
        FPS,
    )
    straightforward = associate(keypoints, rig(), NO_REPAIR).people
    mixed = associate(shuffled, rig(), NO_REPAIR).people
    totals = [
        sorted(float(p.points_px.nansum()) for p in people) for people in (straightforward, mixed)
    ]
    assert totals[0] == pytest.approx(totals[1])


def test_nobody_and_foreign_calibrations_are_named() -> None:
    keypoints, _, _ = shoot([circle(1.0, 6.0)], 20, Faults(), 4)
    with pytest.raises(InputError, match="match the calibration"):
        associate(keypoints, rig(3))
    empty = Keypoints(
        keypoints.cameras,
        keypoints.joints,
        torch.full_like(keypoints.points_px, torch.nan),
        torch.zeros_like(keypoints.confidence),
        FPS,
    )
    found = associate(empty, rig())
    assert found.people == ()
    with pytest.raises(InputError, match="several cameras see at once"):
        _ = found.main


def test_demo_trial_has_two_people_with_stable_identities() -> None:
    found = associate(demo_people(), demo_cameras(), NO_REPAIR)
    assert len(found.people) == 2
    main, second = found.slots
    assert bool((main != -1).all()), "the subject is found in all cameras and frames"
    assert (second != -1).sum(1).tolist()[2:] == [0, 0], "the passer-by is behind two cameras"
    assert int((second[:2] != -1).sum()) >= 198
    given, largest = found.main.points_px, demo_person().points_px
    same = torch.isclose(given, largest, equal_nan=True).all(-1).all(-1)
    assert int((~same).sum()) <= 1, "in one frame the detector cut the subject in two"

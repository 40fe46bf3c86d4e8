"""The report: figures as JSON; a page that is safe, small and complete; the page in a browser."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from muybridge.capture.finding import Finding
from muybridge.capture.take import Take
from muybridge.studio.pictures import take_pictures
from muybridge.studio.playback import MISSING, SHOWN_FRAMES, playback
from muybridge.studio.report import SCHEMA, write_report
from muybridge.studio.strip import CELLS
from tests.studio.browser import browse, picture
from tests.studio.synthetic_take import Faults, joints_world, synthetic_take, write_videos


def _report(take: Take, folder: Path) -> tuple[str, dict]:
    write_report(take, folder)
    figures = json.loads(
        (folder / "report.json").read_text(),
        parse_constant=lambda token: pytest.fail(f"{token} is no JSON"),
    )
    return (folder / "report.html").read_text(), figures


def _data(html: str) -> dict:
    found = re.search(r'<script type="application/json" id="take">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"people": 0},
        {"people": 3},
        {"frame_count": 1},
        {"frame_count": 2},
        {"camera_count": 2},
    ],
    ids=str,
)
def test_every_kind_of_take_gets_a_whole_report(options: dict, tmp_path: Path) -> None:
    html, figures = _report(synthetic_take(**options), tmp_path)
    assert figures["schema"] == SCHEMA
    assert len(figures["cameras"]) == options.get("camera_count", 4)
    assert len(figures["people"]) == options.get("people", 1)
    assert figures["verdict"].split(":")[0] in html
    assert not re.search(r"\b(nan|NaN|inf)\b", re.sub(r"<script.*?</script>", "", html, flags=re.S))
    assert "$" not in re.sub(r"<script.*?</script>", "", html, flags=re.S)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["report.html", "report.json"]


def test_nothing_is_loaded_from_elsewhere(tmp_path: Path) -> None:
    html, _ = _report(synthetic_take(), tmp_path)
    own = html.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?://|<link|@import|src=\"(?!data:)", own)


def test_names_are_escaped(tmp_path: Path) -> None:
    evil = "</script><img src=x onerror=alert(1)>&\"'"
    take = synthetic_take()
    take = replace(
        take,
        name=evil,
        cameras=replace(take.cameras, names=(evil, "b", "c", "d")),
        people=tuple(replace(p, name=evil) for p in take.people),
        findings=(Finding("detect", "error", evil, evil, evil),),
        seconds={evil: 1.0},
    )
    html, figures = _report(take, tmp_path)
    assert "<img" not in html
    assert _data(html)["cameras"][0]["name"] == evil
    assert figures["name"] == evil


def test_findings_of_the_stages_are_shown_with_ours(tmp_path: Path) -> None:
    take = synthetic_take(faults=Faults(bias_px={2: (10.0, 11.0)}))
    take = replace(take, findings=(Finding("detect", "error", "A lens was covered."),))
    html, figures = _report(take, tmp_path)
    assert [f["severity"] for f in figures["findings"]][:2] == ["error", "warning"]
    assert html.index("A lens was covered.") < html.index("cam03 is biased by 14 px")
    assert "Recalibrate cam03, or run without <code>--refine off</code>" in html
    assert figures["median_raw_px"] == figures["median_px"], "no offsets were estimated"


def test_positions_and_detections_survive_the_packing() -> None:
    take = synthetic_take(faults=Faults(hidden={"nose": 0.5}))
    person = take.people[0]
    data = playback(take, take_pictures(take, 45), 45)
    packed = data["people"][0]
    points = np.frombuffer(base64.b64decode(packed["marker_points_mm"]), "<i2").reshape(45, 17, 3)
    restored = points / 1000.0 + np.array(data["origin_m"])
    assert np.abs(restored - person.markers.points_world.numpy()).max() < 6e-4
    seen = np.frombuffer(base64.b64decode(packed["detections"]), "<i2").reshape(4, 45, 17, 2)
    truth = person.keypoints.points_px[:, :, 0].numpy()
    known = np.isfinite(truth)
    assert np.abs(seen[known] / 4.0 - truth[known]).max() <= 0.125 + 1e-9
    assert (seen[~known] == MISSING).all()


def test_long_take_is_thinned_and_says_so(tmp_path: Path) -> None:
    html, figures = _report(synthetic_take(frame_count=2500), tmp_path)
    data = _data(html)
    assert len(data["frames"]) <= SHOWN_FRAMES
    assert figures["frame_count"] == 2500
    assert f"plays {len(data['frames'])} of them" in html
    assert len(html) < 8_000_000


def test_pictures_stay_within_their_budget(tmp_path: Path) -> None:
    take = synthetic_take(frame_count=24)
    take = replace(take, videos=write_videos(take, tmp_path))
    plenty, few = take_pictures(take, 24), take_pictures(take, 24, budget_bytes=60_000)
    assert plenty.frames == tuple(range(24))
    assert 1 <= len(few.frames) < 24
    assert sum(len(j) for js in few.jpegs for j in js) <= 60_000 * 4 / 3 + 400


def test_pictures_follow_the_camera_clock(tmp_path: Path) -> None:
    take = synthetic_take(frame_count=12)
    take = replace(take, videos=write_videos(take, tmp_path))
    late = replace(take, offsets_frames=take.offsets_frames + 3.0)
    now, then = take_pictures(take, 12), take_pictures(late, 12)
    assert then.jpegs[0][3:] == now.jpegs[0][:9]
    assert then.jpegs[0][:3] == ("", "", "")  # the camera had not started


def test_lost_video_costs_only_its_pictures(tmp_path: Path) -> None:
    take = synthetic_take(frame_count=6)
    videos = write_videos(take, tmp_path / "videos")
    videos[1].path.unlink()
    html, _ = _report(replace(take, videos=videos), tmp_path / "out")
    jpegs = _data(html)["pictures"]["jpegs"]
    assert not any(jpegs[1])
    assert all(jpegs[0])


def test_contact_sheet_shows_the_poses_in_order(tmp_path: Path) -> None:
    html, _ = _report(synthetic_take(), tmp_path)
    frames = [int(f) for f in re.findall(r'class="cell" data-frame="(\d+)"', html)]
    assert len(frames) == CELLS
    assert frames == sorted(frames)
    assert (frames[0], frames[-1]) == (0, 44)


@pytest.mark.browser
def test_the_page_in_a_browser(tmp_path: Path) -> None:
    take = synthetic_take(
        frame_count=30, people=2, faults=Faults(bias_px={2: (10.0, 11.0)}, filled=(("head", 3, 9),))
    )
    take = replace(take, videos=write_videos(take, tmp_path / "videos"))
    write_report(take, tmp_path)
    painted = (
        "(() => { const c = document.getElementById('scene'); const g = c.getContext('webgl2');"
        "const p = new Uint8Array(c.width * c.height * 4);"
        "g.readPixels(0, 0, c.width, c.height, g.RGBA, g.UNSIGNED_BYTE, p);"
        "const s = new Set(); let h = 0; for (let i = 0; i < p.length; i += 4) {"
        "s.add(p[i] << 16 | p[i + 1] << 8 | p[i + 2]); h = (h * 31 + p[i] + p[i + 3]) | 0; }"
        "return [s.size, h]; })()"
    )
    scrub = (
        "(() => { const f = document.getElementById('frame'); f.value = 20;"
        "f.dispatchEvent(new Event('input')); })()"
    )
    overlay = (
        "(() => { const c = document.querySelector('#views canvas'); const d = c.getContext('2d')"
        ".getImageData(0, 0, c.width, c.height).data; const s = new Set();"
        "for (let i = 0; i < d.length; i += 4) s.add(d[i] << 16 | d[i + 1] << 8 | d[i + 2]);"
        "return s.size; })()"
    )
    steps = [
        {"eval": "document.body.innerText", "name": "text"},
        {"eval": painted, "name": "first"},
        {"eval": scrub, "name": "_"},
        {"wait": 700},
        {"eval": painted, "name": "scrubbed"},
        {"eval": overlay, "name": "overlay"},
        {"eval": "document.getElementById('clock').textContent", "name": "clock"},
        {"eval": "document.querySelectorAll('#plots svg').length", "name": "plots"},
        {"eval": "document.documentElement.scrollWidth <= innerWidth", "name": "fits"},
        {"select": "#colour", "value": "error_mm"},
        {"wait": 700},
        {"eval": painted, "name": "coloured"},
        {"press": " "},
        {"wait": 1200},
        {"press": " "},
        {"eval": "document.getElementById('frame').value", "name": "played"},
        {"shot": "light.png"},
        {"size": [390, 844]},
        {"wait": 500},
        {"eval": "document.documentElement.scrollWidth <= innerWidth", "name": "fits_phone"},
    ]
    answer = browse((tmp_path / "report.html").as_uri(), tmp_path, steps, wait_ms=1500)
    values = answer["values"]
    assert answer["console"] == []
    assert answer["requests"] == [(tmp_path / "report.html").as_uri()]
    assert "muybridge" in values["text"]
    assert "Poor: joints agree within" in values["text"]
    assert "cam03 is biased by 14 px to the lower right" in values["text"]
    assert values["first"][0] > 500, "the stage is blank"
    assert values["first"][1] != values["scrubbed"][1], "scrubbing moves nothing"
    assert values["scrubbed"][1] != values["coloured"][1], "colours change nothing"
    assert values["overlay"] > 300, "the pictures are blank"
    assert values["clock"].startswith("0.67 s")
    assert values["plots"] >= 6
    assert values["played"] != "20"
    assert values["fits"]
    assert values["fits_phone"]
    light = picture(tmp_path / "light.png")
    assert light.mean() > 150


@pytest.mark.browser
def test_dark_scheme_and_empty_take_in_a_browser(tmp_path: Path) -> None:
    write_report(synthetic_take(people=0), tmp_path)
    answer = browse(
        (tmp_path / "report.html").as_uri(),
        tmp_path,
        [{"shot": "dark.png"}, {"eval": "document.body.innerText", "name": "text"}],
        dark=True,
        wait_ms=1200,
    )
    assert answer["console"] == []
    assert "Nobody was reconstructed" in answer["values"]["text"]
    assert picture(tmp_path / "dark.png").mean() < 70


def test_synthetic_walk_is_what_it_claims() -> None:
    person = synthetic_take().people[0]
    apart = (person.markers.points_world - joints_world(person.clip)).norm(dim=-1)
    assert float(apart.mean()) < 0.01

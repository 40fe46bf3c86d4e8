"""The table of costs says the published figures, in full and in units."""

import json
from pathlib import Path

import pytest

from muybridge.cli.lm_count import Count
from muybridge.errors import InputError
from muybridge.language.decoder_folder import config_to_json
from muybridge.language.families import PUBLISHED, Size, make_family
from muybridge.language.hf import config_to_hf


def _told(count: Count, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """Name of a line, its unit added where a name is there twice, to the rest of it."""
    count.run()
    lines = capsys.readouterr().out.splitlines()
    return {line[:26].strip() + (" bytes" if " bytes " in line else ""): line for line in lines}


def test_both_counts_of_gpt3(capsys: pytest.CaptureFixture[str]) -> None:
    told = _told(Count("gpt3", tokens=300_000_000_000), capsys)
    assert "174,604,259,328 parameters" in told["all"]
    assert "175,181,291,520 parameters" in told["matrices"]
    assert "318.8 Z" in told["run"]  # the paper's 314 Z leave out the attention itself
    assert "325.2 GiB" in told["weights bytes"]
    assert "2.541 TiB" in told["weights, gradients, Adam bytes"]
    assert "72.77 GiB" in told["activations bytes"]
    assert "9 GiB" in told["cache bytes"]


def test_a_shorter_text_needs_less(capsys: pytest.CaptureFixture[str]) -> None:
    whole = _told(Count("llama3.1-405b"), capsys)
    short = _told(Count("llama3.1-405b", text=8192), capsys)
    assert "63 GiB" in whole["cache bytes"]
    assert "3.938 GiB" in short["cache bytes"]
    assert "405,853,388,800" in short["all"]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_size_has_a_table(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    told = _told(Count(name), capsys)
    assert all(len(line) < 120 for line in told.values())
    assert {"all", "run", "weights, gradients, Adam bytes", "cache bytes"} <= told.keys()


def test_folders_and_files_of_both_forms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = make_family("llama2", Size(100, 16, 2, 2, 32))
    tables = []
    for name, data in (("ours", config_to_json(config)), ("theirs", config_to_hf(config))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(data))
        for path in (tmp_path / name, tmp_path / name / "config.json"):
            tables.append(_told(Count(str(path)), capsys))
    assert len(tables) == 4
    assert all(table == tables[0] for table in tables)


@pytest.mark.parametrize(
    "content",
    ["", "[1]", "{}", '{"model_type": "bert"}', '{"type": "Reach"}', '{"model_type": "llama"}'],
)
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError):
        Count(str(tmp_path)).run()


@pytest.mark.parametrize(
    "count", [Count("gpt5"), Count("gpt3", tokens=0), Count("gpt3", text=-1), Count("")]
)
def test_what_is_no_model_or_length_is_refused(count: Count) -> None:
    with pytest.raises(InputError):
        count.run()

"""`muybridge lm import` and `lm export`: decoders from and to Hugging Face folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

__all__ = ["Export", "Import"]

TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Import:
    """Turn a Hugging Face folder (GPT-2, LLaMA, DeepSeek-V3) into a run's folder."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """With config.json and safetensors, one file or shards."""
    out: Path
    """Folder to write."""

    def run(self) -> None:
        """Read, check, write."""
        from muybridge.language.decoder_folder import save_decoder
        from muybridge.language.hf import import_hf

        _refuse_same(self.folder, self.out)
        _refuse_run(self.out)
        decoder = import_hf(self.folder, dtype=None)
        self.out.mkdir(parents=True, exist_ok=True)
        _copy_tokenizer(self.folder, self.out)
        save_decoder(decoder, self.out)
        _tell(sum(p.numel() for p in decoder.parameters()), self.out)


@dataclass(frozen=True)
class Export:
    """Turn a run's folder into a Hugging Face folder that transformers 5 loads."""

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """A run's folder, of a family that Hugging Face has."""
    out: Path
    """Folder to write."""

    def run(self) -> None:
        """Read, check, write."""
        from muybridge.language.decoder_folder import load_decoder
        from muybridge.language.hf import export_hf

        _refuse_same(self.folder, self.out)
        _refuse_run(self.out)
        decoder = load_decoder(self.folder)
        self.out.mkdir(parents=True, exist_ok=True)
        export_hf(decoder, self.out)
        _copy_tokenizer(self.folder, self.out)
        _tell(sum(p.numel() for p in decoder.parameters()), self.out)


def _refuse_same(folder: Path, out: Path) -> None:
    from muybridge.errors import InputError

    if folder.resolve() == out.resolve():
        raise InputError(
            f"expected another folder to write than the one to read, got {out} for both; name a "
            "new folder"
        )


def _refuse_run(out: Path) -> None:
    from muybridge.errors import InputError

    if (out / "run.json").is_file() or (out / "last.safetensors").is_file():
        raise InputError(
            f"expected a folder without a training of its own, got {out}; name a new folder"
        )


def _copy_tokenizer(folder: Path, out: Path) -> None:
    """The tokenizer as it is, if it is one that we compute: same name, same bytes."""
    from muybridge.atomic import write_bytes
    from muybridge.cli.progress import say
    from muybridge.errors import InputError
    from muybridge.language.tokenizer import load_tokenizer

    (out / TOKENIZER).unlink(missing_ok=True)  # of an earlier model
    if (folder / TOKENIZER).is_file():
        try:
            load_tokenizer(folder / TOKENIZER)
        except InputError as error:
            say(f"the tokenizer is left out: {error}")
            return
        write_bytes(out / TOKENIZER, (folder / TOKENIZER).read_bytes())


def _tell(parameters: int, out: Path) -> None:
    from muybridge.cli.progress import console

    console.print(f"{parameters:,} parameters", highlight=False)
    console.print(f"wrote {out}", highlight=False, soft_wrap=True)

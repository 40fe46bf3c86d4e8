"""`muybridge edit`: change clips; one verb a file, here they are put together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from muybridge.cli.edit_body import AlongPath, Fill, Mirror, Pin, Retarget, Smooth
from muybridge.cli.edit_keys import Keys
from muybridge.cli.edit_time import Blend, Cut, Join, Loop, Resample, Timewarp

__all__ = ["Edit"]

verb = tyro.conf.subcommand


@dataclass(frozen=True)
class Edit:
    """Edit motion: cut, join, blend, loop, retarget, and more; OUT may be one of the INs."""

    verb: Annotated[
        tyro.conf.OmitSubcommandPrefixes[
            Annotated[Resample, verb("resample")]
            | Annotated[Cut, verb("cut")]
            | Annotated[Join, verb("join")]
            | Annotated[Mirror, verb("mirror")]
            | Annotated[Blend, verb("blend")]
            | Annotated[Timewarp, verb("timewarp")]
            | Annotated[Loop, verb("loop")]
            | Annotated[Smooth, verb("smooth")]
            | Annotated[Retarget, verb("retarget")]
            | Annotated[Pin, verb("pin")]
            | Annotated[Fill, verb("fill")]
            | Annotated[AlongPath, verb("path")]
            | Annotated[Keys, verb("keys")]
        ],
        tyro.conf.arg(name=""),  # its options stand with the others in --help
    ]

    def run(self) -> None:
        """Run the verb."""
        self.verb.run()

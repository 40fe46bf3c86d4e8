"""The whole job from Python: a session folder in, a take out."""

import sys
from pathlib import Path

from muybridge.capture.pipeline import CaptureOptions, capture
from muybridge.capture.session import open_session
from muybridge.motion.kinematics import forward_clip


def main() -> None:
    """A guard is needed: detection starts worker processes."""
    take = capture(open_session(Path(sys.argv[1])), Path(sys.argv[2]), CaptureOptions(fps=30.0))
    for person in take.people:
        path = forward_clip(person.clip).positions[:, 0]
        walked = float((path[1:] - path[:-1]).norm(dim=-1).sum())
        print(f"{person.name}: {len(person.clip)} frames, {walked:.2f} m walked")


if __name__ == "__main__":
    main()

"""Writing files so that nothing is lost."""
from __future__ import annotations

import os
import secrets
from pathlib import Path


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Put `data` at `path` so that at every moment, whatever fails, the old file or the new one is there whole.

    A link is followed: what it points to gets the new content. OSError if it cannot be written; then nothing has changed.
    """
    target = Path(os.path.realpath(path))
    # a name of its own length: the target's may be as long as a name can be
    temporary = target.with_name(f".flowlab-{secrets.token_hex(8)}.tmp")
    try:    # twice: an interrupt may come in the clean-up, too
        try:
            with open(temporary, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if target.exists():
                os.chmod(temporary, target.stat().st_mode & 0o7777)
            os.replace(temporary, target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if os.name == "posix":  # the name itself reaches the disk only with its folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

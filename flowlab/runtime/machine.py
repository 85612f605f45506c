"""What this process may use of the machine: processors, memory, and the threads of BLAS."""
from __future__ import annotations

import math
import os
import threading
from pathlib import Path
from typing import Any

_CGROUPS = Path("/sys/fs/cgroup")
_PROC = Path("/proc")


def cpu_count() -> int:
    """How many processors this process may keep busy: its affinity, and the quota of its control group where there is one."""
    if hasattr(os, "process_cpu_count"):    # Python 3.13
        count = os.process_cpu_count() or 1
    elif hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    for folder in _cgroup_folders("cpu"):
        words = _read(folder / "cpu.max").split()                       # version 2: "quota period", or "max period"
        if len(words) != 2:
            words = [_read(folder / "cpu.cfs_quota_us").strip(), _read(folder / "cpu.cfs_period_us").strip()]
        quota, period = (_number(w) for w in words)
        if quota and period and quota > 0:
            count = min(count, math.ceil(quota / period))
    return max(1, count)


def memory_left() -> int | None:
    """Bytes that this process may still take, by the tightest of the system, its control group and its own limit; None where nothing tells."""
    found = []
    info = _fields(_PROC / "meminfo")
    if "MemAvailable" in info:
        found.append((info["MemAvailable"] + info.get("SwapFree", 0)) * 1024)
    elif (pages := _sysconf("SC_PHYS_PAGES")) and (size := _sysconf("SC_PAGE_SIZE")):
        found.append(pages * size)
    for folder in _cgroup_folders("memory"):
        for limit, used, kept in (("memory.max", "memory.current", "inactive_file"), ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")):
            top, now = _number(_read(folder / limit).strip()), _number(_read(folder / used).strip())
            if top is not None and now is not None and top < 1 << 60:
                found.append(top - now + _fields(folder / "memory.stat").get(kept, 0))    # files read are let go before anything is refused
    try:
        import resource
        soft = resource.getrlimit(resource.RLIMIT_AS)[0]
        if soft != resource.RLIM_INFINITY:
            mapped = _number((_read(_PROC / "self/statm").split() or [""])[0]) or 0
            found.append(soft - mapped * resource.getpagesize())
    except (ImportError, OSError, ValueError):
        pass
    return max(0, min(found)) if found else None


def amount(size: int) -> str:
    """Bytes in words: `4.0 TiB`."""
    power = min(max(size.bit_length() - 1, 0) // 10, 5)
    return f"{size} bytes" if not power else f"{size / 1024**power:.1f} {('KiB', 'MiB', 'GiB', 'TiB', 'PiB')[power - 1]}"


def _cgroup_folders(controller: str) -> list[Path]:
    """The folders that hold this process's limits, its own group's and those above it."""
    folders: list[Path] = []
    for line in _read(_PROC / "self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if number == "0" and not names:
            root = _CGROUPS
        elif controller in names.split(","):
            root = _CGROUPS / controller
        else:
            continue
        parts = [p for p in path.split("/") if p and p != ".."]
        folders += [root.joinpath(*parts[:k]) for k in range(len(parts), -1, -1)]
    return [f for f in folders if f.is_dir()]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _number(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _fields(path: Path) -> dict[str, int]:
    """Lines such as `MemAvailable: 24105 kB` or `inactive_file 4096`, as numbers."""
    out = {}
    for line in _read(path).splitlines():
        words = line.replace(":", " ").split()
        if len(words) >= 2 and (number := _number(words[1])) is not None:
            out[words[0]] = number
    return out


def _sysconf(name: str) -> int:
    try:
        return max(0, os.sysconf(name))
    except (AttributeError, ValueError, OSError):
        return 0


def let_go(lock: Any) -> None:
    """Release a re-entrant lock as often as this thread holds it: an interrupt at the end of a `with` may have left it held."""
    while lock._is_owned():
        lock.release()


class OneBlasThread:
    """Holds BLAS to one thread while anybody wants that; the last one out puts back what was there before the first came.

    `enter` and `leave` take a token of the caller's own: leaving twice, or without having entered, does nothing, so an interrupt anywhere between
    the two is made good by one `leave`.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._inside: set[Any] = set()
        self._before: list[tuple[Any, int]] = []
        self._libraries: list[Any] | None = None

    def libraries(self) -> list[Any]:
        """threadpoolctl's handles on the BLAS libraries that are loaded, looked for once: that reads the process's whole memory map."""
        if self._libraries is None:
            from threadpoolctl import ThreadpoolController
            self._libraries = ThreadpoolController().select(user_api="blas").lib_controllers
        return self._libraries

    def enter(self, token: Any) -> None:
        libraries = self.libraries()
        with self._lock:
            if not self._inside:
                self._before = [(library, library.get_num_threads()) for library in libraries]
            self._inside.add(token)
            for library, count in self._before:
                if count != 1:
                    library.set_num_threads(1)

    def leave(self, token: Any) -> None:
        let_go(self._lock)
        if token in self._inside:
            with self._lock:
                if len(self._inside) == 1:
                    for library, count in self._before:
                        if count != 1:
                            library.set_num_threads(count)
                self._inside.discard(token)     # last: an interrupt before it leaves the work to be done again
            let_go(self._lock)


ONE_BLAS_THREAD = OneBlasThread()

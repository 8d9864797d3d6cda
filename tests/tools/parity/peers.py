"""The environment of the peers: papermill, nbclient, nbconvert, and the kernel that they and Bindery run."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

LOCK = pathlib.Path(__file__).parents[2] / "parity" / "requirements.lock"


def prepare(folder):
    """Installs the locked packages into `folder` unless they are there. Two callers take turns."""
    folder = pathlib.Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_suffix(".turn"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        # Written last: an installation that was cut short is made anew.
        mark = folder / "installed"
        if not mark.exists() or mark.read_text() != version():
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys._base_executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--requirement", LOCK], check=True)
            mark.write_text(version())
    return folder


def version():
    """What the environment is made from; results of another one do not count."""
    return f"{sys.version.split()[0]} {hashlib.sha256(LOCK.read_bytes()).hexdigest()}"


def environment(folder, home):
    """The variables for whatever runs a notebook: the same kernels for all, nobody's settings, a home of its own."""
    own = ("BINDERY_", "JUPYTER", "IPYTHON", "MPL", "PYTHON", "PAPERMILL", "RUST_LOG", "XDG_")
    variables = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    # Made once, as it takes seconds: matplotlib's list of fonts.
    fonts = folder / "matplotlib"
    fonts.mkdir(exist_ok=True)
    return variables | {
        "VIRTUAL_ENV": str(folder),
        "PATH": f"{folder}/bin:{os.environ['PATH']}",
        "HOME": str(home),
        "MPLCONFIGDIR": str(fonts),
        "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        "COLUMNS": "80",
    }

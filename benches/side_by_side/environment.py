"""The environment of the peers, and the variables that every program under measurement runs with."""

import fcntl
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
REQUIREMENTS = HERE / "requirements.txt"
# The same versions for the kernels and for ploomber-engine, which has none and runs cells in its own process.
CONSTRAINTS = ROOT / "kernels" / "mlflow_kernel" / "requirements.lock"


def prepare(folder):
    """Installs the peers into `folder` unless they are there. Two callers take turns."""
    folder = pathlib.Path(folder).absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    version = hashlib.sha256(REQUIREMENTS.read_bytes() + CONSTRAINTS.read_bytes()).hexdigest()
    with open(folder.with_suffix(".turn"), "w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        # Written last: an installation that was cut short is made anew.
        mark = folder / "installed"
        if not mark.exists() or mark.read_text() != version:
            print(f"installing the peers into {folder}", file=sys.stderr)
            shutil.rmtree(folder, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            pip = [folder / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, "--requirement", REQUIREMENTS, "--constraint", CONSTRAINTS], check=True)
            mark.write_text(version)
    return folder


def variables(home, kernels):
    """The same kernels for all, nobody's settings, a home of its own."""
    own = ("BINDERY_", "JUPYTER", "IPYTHON", "MPL", "PYTHON", "PAPERMILL", "RUST_LOG", "XDG_", "VIRTUAL_ENV", "OMP_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    # The folder that holds `kernels/python3` and the others, as Bindery has installed them.
    return kept | {"HOME": str(home), "JUPYTER_PATH": str(kernels), "MPLCONFIGDIR": str(home / "matplotlib")}

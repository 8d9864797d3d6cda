"""``python -m bindery``: the program, with the kernels of this Python."""

import os
import sys

from ._binary import environment, find_bindery_bin

if __name__ == "__main__":
    program = find_bindery_bin()
    os.execve(program, [program, *sys.argv[1:]], environment())

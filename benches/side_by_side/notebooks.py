"""The notebooks that are run."""

import json

# 15 MB are 20 MB in base64.
IMAGE = 15_000_000
PANDAS_AND_SKLEARN = """\
import pandas as pd
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression

frame = pd.DataFrame({"x": range(100), "y": range(100)})
LinearRegression().fit(frame[["x"]], frame["y"]).score(frame[["x"]], frame["y"])
"""
BIG_IMAGE = f"""\
import os
from IPython.display import Image, display

display(Image(data=b"\\x89PNG\\r\\n\\x1a\\n" + os.urandom({IMAGE}), format="png"))
"""


def printing(size):
    """A cell that prints this many bytes, in lines of 100."""
    return f"print('\\n'.join(['x' * 99] * {size // 100}))"


def write(path, sources, kernel="python3"):
    """Writes a notebook of code cells, the first of them for parameters when it says so."""
    cells = [
        {
            "cell_type": "code", "execution_count": None, "id": f"cell-{index}", "metadata": {}, "outputs": [],
            "source": source,
        }
        for index, source in enumerate(sources)
    ]  # fmt: skip
    kernelspec = {"display_name": kernel, "language": "python", "name": kernel}
    metadata = {"kernelspec": kernelspec, "language_info": {"name": "python"}}
    path.write_text(json.dumps({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}, indent=1))
    return path

"""The module beside papermill, in an environment that has both: the same call, the same result, the same exception."""

from __future__ import annotations

import copy
import logging
import math
import os
import pickle
import subprocess
import sys
import unittest
from pathlib import Path
from typing import Any

import nbclient.exceptions
import nbformat
import papermill
from support import NOTEBOOKS, InFolder, notebook

import bindery

#: Notebooks of papermill's own tests, with parameters for them.
OF_PAPERMILL: list[tuple[str, dict[str, Any] | None]] = [
    ("simple_execute.ipynb", {"msg": "Hello"}),
    ("simple_execute.ipynb", None),
    ("no_parameters.ipynb", None),
    ("nb_version_4.4.ipynb", {"var": 1}),
    ("report_mode_test.ipynb", {"a": 1, "b": 2}),
]
FAILING = ["broken1.ipynb", "broken2.ipynb", "sysexit1.ipynb", "line_magic_error.ipynb"]


def node(given: dict[str, Any]) -> Any:
    return nbformat.from_dict(given)


def comparable(executed: Any) -> Any:
    """A notebook without what differs from run to run, and from papermill by decision."""
    executed = copy.deepcopy(executed)
    for metadata in (executed.metadata, *(cell.metadata for cell in executed.cells)):
        papermills = metadata.get("papermill", {})
        for name in ("start_time", "end_time", "duration", "version", "input_path"):
            papermills.pop(name, None)
        # JSON has no NaN: docs/adr/0003.
        papermills.get("parameters", {}).pop("foo", None)
        metadata.pop("execution", None)
        metadata.pop("orig_nbformat_minor", None)
        # Papermill puts an empty list where there are no tags.
        metadata.setdefault("tags", [])
    for cell in executed.cells:
        cell.pop("id", None)
        # Papermill has one output for each message, Bindery one for consecutive texts of a stream.
        outputs: list[Any] = []
        for output in cell.get("outputs", []):
            is_more = outputs and output.output_type == "stream" == outputs[-1].output_type
            if is_more and output.name == outputs[-1].name:
                outputs[-1].text += output.text
            else:
                outputs.append(output)
        if "outputs" in cell:
            cell.outputs = outputs
    executed.pop("nbformat_minor")
    return executed


class BesidePapermill(InFolder):
    maxDiff = None

    def setUp(self) -> None:
        super().setUp()
        # What both say of parameters and notebooks is another test's subject.
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        # And so is what papermill's kernels say while they end.
        stderr = os.dup(2)
        self.addCleanup(os.close, stderr)
        self.addCleanup(os.dup2, stderr, 2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        os.close(nowhere)

    def test_notebooks_come_back_the_same(self) -> None:
        for name, parameters in OF_PAPERMILL:
            with self.subTest(name, parameters=parameters):
                path = NOTEBOOKS / "papermill" / name
                ours, theirs = (
                    module.execute_notebook(path, None, parameters, kernel_name="python3", progress_bar=False)
                    for module in (bindery, papermill)
                )
                self.assertIs(type(ours), nbformat.NotebookNode)
                self.assertIs(type(ours.cells[0].metadata), nbformat.NotebookNode)
                nbformat.validate(ours)
                self.assertEqual(comparable(ours), comparable(theirs))

    def test_an_exception_has_the_same_fields_and_is_caught_as_papermills(self) -> None:
        for name in FAILING:
            with self.subTest(name):
                caught = []
                for module in (bindery, papermill):
                    with self.assertRaises(papermill.PapermillExecutionError) as raised:
                        path = NOTEBOOKS / "papermill" / name
                        module.execute_notebook(path, "out.ipynb", kernel_name="python3", progress_bar=False)
                    caught.append(raised.exception)
                ours, theirs = caught
                self.assertIsInstance(ours, bindery.PapermillExecutionError)
                self.assertEqual(type(ours).__name__, type(theirs).__name__)
                self.assertEqual(ours.args, theirs.args)
                self.assertEqual(str(ours), str(theirs))
                self.assertEqual(vars(ours).keys() - {"exit_code"}, vars(theirs).keys())
                again = pickle.loads(pickle.dumps(ours))
                self.assertIs(type(again), type(ours))

    def test_options_of_the_engine_do_the_same(self) -> None:
        sources = [
            "import sys\nprint(1, flush=True)\nprint(2, file=sys.stderr, flush=True)\nprint(3)",
            "1 / 0",
            "print(4)",
        ]

        def result(module: Any, options: dict[str, Any], tag: str) -> Any:
            given = notebook(*sources)
            given["cells"][1]["metadata"]["tags"] = [tag]
            try:
                return comparable(module.execute_notebook(node(given), None, progress_bar=False, **options))
            except papermill.PapermillExecutionError as error:
                return error.args

        options: dict[str, Any]
        for options, tag in [
            ({}, "none"),
            ({"force_raise_errors": True}, "raises-exception"),
            ({"allow_error_names": ["KeyError"]}, "none"),
            ({"skip_cells_with_tag": "slow"}, "slow"),
            ({"skip_cells_with_tag": "slow", "coalesce_streams": True, "record_timing": False}, "slow"),
            ({"coalesce_streams": False, "record_timing": True, "store_widget_state": True}, "skip-execution"),
            ({"iopub_timeout": 5, "raise_on_iopub_timeout": True, "store_widget_state": False}, "skip-execution"),
        ]:
            with self.subTest(**options):
                self.assertEqual(result(bindery, options, tag), result(papermill, options, tag))

    def test_other_exceptions_are_caught_as_papermills_and_nbclients(self) -> None:
        for arguments, options, expected in [
            (("{gone}.ipynb", None), {}, papermill.exceptions.PapermillMissingParameterException),
            (("in.ipynb", None), {"engine_name": "gone"}, papermill.PapermillException),
            (
                ("in.ipynb", None, {"a": 1}),
                {"language": "gone", "kernel_name": "gone", "prepare_only": True},
                papermill.PapermillException,
            ),
            (("gone.ipynb", None), {}, FileNotFoundError),
            ((node(notebook("while True: pass")), None), {"timeout": 1}, nbclient.exceptions.CellTimeoutError),
            ((node(notebook("import os; os._exit(1)")), None), {}, nbclient.exceptions.DeadKernelError),
        ]:
            Path("in.ipynb").write_text(nbformat.writes(node(notebook("1"))))
            for module in (bindery, papermill):
                with self.subTest(arguments=arguments[1:], module=module.__name__, expected=expected.__name__):
                    with self.assertRaises(expected):
                        module.execute_notebook(*arguments, progress_bar=False, **options)

    def test_an_exception_is_pickled_into_a_process_without_papermill(self) -> None:
        with self.assertRaises(papermill.PapermillExecutionError) as caught:
            bindery.execute_notebook(node(notebook("1 / 0")), None)
        code = (
            "import pickle, sys; error = pickle.load(sys.stdin.buffer); "
            "print(type(error).__name__, error.ename, 'papermill' in sys.modules)"
        )
        pickled = pickle.dumps(caught.exception)
        said = subprocess.run([sys.executable, "-c", code], input=pickled, stdout=subprocess.PIPE)
        self.assertEqual(said.stdout, b"PapermillExecutionError ZeroDivisionError False\n")

    def test_parameters_become_the_same_source(self) -> None:
        values = [None, True, 10**30, 0.1, 1e16, -0.0, math.inf, math.nan, "", "é\u2028\x00\\\"'\n", "😀", [1, [None]]]
        values += [{"a": {"b": [1.5]}}, {1: 2}, {None: 3}, []]
        parameters = {f"p{number}": value for number, value in enumerate(values)}
        ours, theirs = (
            module.execute_notebook(
                node(notebook("alpha = 1")), None, parameters, prepare_only=True, progress_bar=False
            )
            for module in (bindery, papermill)
        )
        self.assertEqual(ours.cells[1].source, theirs.cells[1].source)

    def test_inspection_says_the_same(self) -> None:
        for name in ("simple_execute.ipynb", "complex_parameters.ipynb", "no_parameters.ipynb", "binder.ipynb"):
            path = NOTEBOOKS / "papermill" / name
            with self.subTest(name):
                self.assertEqual(bindery.inspect_notebook(path), papermill.inspect_notebook(path))


if __name__ == "__main__":
    unittest.main()

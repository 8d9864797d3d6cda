"""The module as the wheel installs it, in an environment with ipykernel and without papermill and nbformat."""

from __future__ import annotations

import asyncio
import concurrent.futures
import enum
import importlib.metadata
import io
import json
import logging
import math
import multiprocessing
import os
import pickle
import pty
import signal
import subprocess
import sys
import threading
import unittest
from pathlib import Path

from support import InFolder, Line, notebook, printed

import bindery


class TheWheel(InFolder):
    def test_it_carries_the_program_and_needs_no_other_package(self) -> None:
        metadata = importlib.metadata.metadata("bindery")
        self.assertIsNone(metadata.get_all("Requires-Dist"))
        self.assertTrue("## From Python" in str(metadata))
        program = bindery.find_bindery_bin()
        self.assertEqual(Path(program).parent, Path(sys.prefix, "bin"))
        version = f"bindery {metadata['Version']}\n"
        for command in ([program], [sys.executable, "-m", "bindery"]):
            self.assertEqual(subprocess.check_output([*command, "--version"], text=True), version)

    def test_it_is_typed_and_imports_little(self) -> None:
        self.assertTrue(Path(bindery.__file__).with_name("py.typed").is_file())
        code = "import sys, bindery; print([it for it in ('papermill', 'nbformat', 'numpy') if it in sys.modules])"
        self.assertEqual(subprocess.check_output([sys.executable, "-c", code], text=True), "[]\n")

    def test_python_m_bindery_uses_the_kernels_of_its_python(self) -> None:
        Path("in.ipynb").write_text(json.dumps(notebook("import sys; print(sys.prefix)")))
        for command in ([sys.executable, "-m", "bindery"], [bindery.find_bindery_bin()]):
            # No environment is active: that of the program counts.
            variables = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
            subprocess.run([*command, "execute", "in.ipynb", "out.ipynb"], check=True, env=variables)
            self.assertEqual(printed(json.loads(Path("out.ipynb").read_text())), sys.prefix + "\n")


class ANotebook(InFolder):
    def test_is_executed_saved_and_returned(self) -> None:
        Path("in.ipynb").write_text(json.dumps(notebook("alpha = 1", "print(alpha)", "'last'")))
        executed = bindery.execute_notebook("in.ipynb", Path("out-{alpha}.ipynb"), {"alpha": 2})
        self.assertEqual(printed(executed), "2\n")
        self.assertEqual(executed.cells[3].outputs[0].data["text/plain"], "'last'")
        self.assertEqual(executed.metadata.papermill.parameters, {"alpha": 2})
        self.assertEqual(executed.metadata.papermill.output_path, "out-2.ipynb")
        self.assertEqual(printed(json.loads(Path("out-2.ipynb").read_text())), "2\n")
        self.assertIs(type(executed), bindery.NotebookNode)

    def test_runs_on_the_kernel_of_this_python(self) -> None:
        # Not on one that happens to lie in the data dir of the folder.
        spec = Path("bindery-data/kernels/python3/kernel.json")
        spec.parent.mkdir(parents=True)
        spec.write_text(json.dumps({"argv": ["false"], "display_name": "F", "language": "python"}))
        source = "import os, sys; print(sys.prefix, 'BINDERY_PYTHON_PREFIX' in os.environ)"
        self.assertEqual(printed(bindery.execute_notebook(notebook(source), None)), f"{sys.prefix} False\n")

    def test_may_be_an_object_and_need_not_be_written(self) -> None:
        given = notebook("alpha = 'é'\nprint(alpha)")
        executed = bindery.execute_notebook(given, None)
        self.assertEqual(printed(executed), "é\n")
        self.assertEqual(executed.cells[0].source, given["cells"][0]["source"])
        self.assertIsNone(executed.metadata.papermill.output_path)
        self.assertEqual(given["cells"][0]["outputs"], [])
        self.assertEqual(list(self.folder.iterdir()), [])
        # What was executed can be executed again, and files hold lines as Jupyter writes them.
        bindery.execute_notebook(executed, "out.ipynb")
        written = json.loads(Path("out.ipynb").read_text())
        self.assertEqual(written["cells"][0]["source"], ["alpha = 'é'\n", "print(alpha)"])

    def test_may_be_prepared_only(self) -> None:
        prepared = bindery.execute_notebook(
            notebook("alpha = 1"), "out.ipynb", {"alpha": [1]}, prepare_only=True, report_mode=True
        )
        self.assertEqual(prepared.cells[1].source, "# Parameters\nalpha = [1]\n")
        self.assertTrue(prepared.cells[1].metadata.jupyter.source_hidden)
        self.assertEqual([cell.execution_count for cell in prepared.cells], [None, None])
        self.assertTrue(Path("out.ipynb").is_file())

    def test_is_inspected(self) -> None:
        Path("a.ipynb").write_text(json.dumps(notebook("alpha: int = 1  # how much\nb = 'x'")))
        expected = {
            "alpha": {"name": "alpha", "inferred_type_name": "int", "default": "1", "help": "how much"},
            "b": {"name": "b", "inferred_type_name": "None", "default": "'x'", "help": ""},
        }
        self.assertEqual(bindery.inspect_notebook("{which}.ipynb", {"which": "a"}), expected)
        self.assertEqual(bindery.inspect_notebook(json.loads(Path("a.ipynb").read_text())), expected)
        self.assertEqual(bindery.inspect_notebook(notebook("1")), {})

    def test_takes_what_papermills_engine_takes(self) -> None:
        options = {"timeout": 60, "autosave_cell_every": 0.5, "kernel_name": "python3", "language": "python"}
        executed = bindery.execute_notebook(
            notebook("import os; print(os.getcwd())"), None, cwd="/", start_timeout=30.5, progress_bar={}, **options
        )
        self.assertEqual(printed(executed), "/\n")

    def test_of_any_size_is_returned(self) -> None:
        executed = bindery.execute_notebook(notebook("print('é' * 3_000_000)"), None)
        self.assertEqual(printed(executed), "é" * 3_000_000 + "\n")


class Parameters(InFolder):
    def setUp(self) -> None:
        super().setUp()
        # These notebooks have no cell for parameters, which is warned of.
        logging.disable(logging.WARNING)
        self.addCleanup(logging.disable, logging.NOTSET)

    def test_of_every_type_arrive(self) -> None:
        class Number(enum.IntEnum):
            THREE = 3

        class Word(str, enum.Enum):
            A = "a\n"

        values = {
            "nothing": None,
            "flags": [True, False],
            "integers": [0, -1, 2**64, -(10**40)],
            "floats": [0.1, -0.0, 1e16, 1e-7, 5e-324, 1.7976931348623157e308, math.inf, -math.inf],
            "texts": ["", "é😀", "\u2028\x00\x7f\x85\ufeff", "\\\"'#{}[]: - &*!|>%@`\t\r\n", "null", "1e5", "{x}", "~"],
            "nested": {"": {"k" * 5000: [[], {}, [None]]}, "a b": "c", "é": 1},
        }
        odd = {"tuple": (1, (2,)), "enums": [Number.THREE, Word.A], "keys": {1: 2, None: 3, 1.5: 4}}
        arrived_odd = {"tuple": [1, [2]], "enums": [3, "a\n"], "keys": {"1": 2, "None": 3, "1.5": 4}}
        names = [*values, *odd]
        source = f"import json\nprint(json.dumps({{name: globals()[name] for name in {names}}}), nan)"
        executed = bindery.execute_notebook(notebook(source), None, {**values, **odd, "nan": math.nan})
        self.assertEqual(printed(executed), json.dumps({**values, **arrived_odd}) + " nan\n")

    def test_of_another_type_are_refused_before_anything_runs(self) -> None:
        import datetime
        import decimal

        for value in (datetime.date(2020, 1, 1), decimal.Decimal(1), Path("/x"), {1}, b"x", 1j, object(), "\ud800"):
            with self.subTest(value), self.assertRaisesRegex(TypeError, r"parameter alpha\[0\]\['k'\] "):
                bindery.execute_notebook(notebook("1"), "out.ipynb", {"alpha": [{"k": value}]})
        itself: list[object] = []
        itself.append(itself)
        for parameters in ({"alpha": itself}, {1: 2}, {"alpha": {(1,): 2}}, "alpha: 1", [("alpha", 1)]):
            with self.subTest(parameters), self.assertRaises(TypeError):
                bindery.execute_notebook(notebook("1"), "out.ipynb", parameters)
        self.assertEqual(list(self.folder.iterdir()), [])

    @unittest.skipUnless(sys.platform == "linux", "looks into /proc")
    def test_are_not_in_the_list_of_processes(self) -> None:
        source = "import os\nprint(open(f'/proc/{os.getppid()}/cmdline').read().replace('\\0', ' '))"
        executed = bindery.execute_notebook(notebook(source), None, {"password": "hunter2"})
        self.assertIn("execute", printed(executed))
        self.assertNotIn("hunter2", printed(executed))


class Failures(InFolder):
    def test_of_a_cell_have_papermills_fields_and_the_notebook_is_saved(self) -> None:
        with self.assertRaises(bindery.PapermillExecutionError) as caught:
            bindery.execute_notebook(notebook("alpha = 1", "print('before')", "alpha / 0"), "out.ipynb", {"alpha": 2})
        error = caught.exception
        self.assertEqual((error.cell_index, error.exec_count, error.source), (3, 4, "alpha / 0"))
        self.assertEqual((error.ename, error.evalue), ("ZeroDivisionError", "division by zero"))
        self.assertIn("\x1b[", error.traceback[0])
        self.assertTrue(str(error).startswith(f'\n{"-" * 75}\nException encountered at "In [4]":\n'))
        self.assertTrue(str(error).endswith("ZeroDivisionError: division by zero\n"))
        self.assertIsInstance(error, bindery.PapermillException)
        self.assertIsInstance(error, bindery.BinderyError)
        self.assertEqual(printed(json.loads(Path("out.ipynb").read_text())), "before\n")
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), again.args, str(again)), (type(error), error.args, str(error)))

    def test_of_the_run_have_a_class_of_their_own(self) -> None:
        for source, expected, said in [
            ("import time; time.sleep(60)", bindery.CellTimeoutError, "longer than 1 s"),
            ("import os; os._exit(3)", bindery.DeadKernelError, "exit code 3"),
        ]:
            with self.subTest(source), self.assertRaisesRegex(expected, said) as caught:
                bindery.execute_notebook(notebook(source), None, execution_timeout=1)
            self.assertIsInstance(pickle.loads(pickle.dumps(caught.exception)), expected)
        self.assertTrue(issubclass(bindery.CellTimeoutError, TimeoutError))
        self.assertTrue(issubclass(bindery.DeadKernelError, RuntimeError))
        # An exception of the notebook's is one, whatever it is called.
        with self.assertRaises(bindery.PapermillExecutionError):
            bindery.execute_notebook(notebook("class DeadKernelError(Exception): pass\nraise DeadKernelError"), None)

    def test_say_what_the_program_says(self) -> None:
        Path("bad.ipynb").write_text("{")
        Path("in.ipynb").write_text(json.dumps(notebook("1")))
        for arguments, expected, said in [
            (("gone.ipynb", None), FileNotFoundError, "gone.ipynb"),
            (("in.ipynb", "gone/out.ipynb"), FileNotFoundError, "make it first"),
            (("bad.ipynb", None), bindery.BinderyError, "not valid JSON"),
            (("{gone}.ipynb", None), bindery.PapermillMissingParameterException, "Missing parameter 'gone'"),
            (("in.ipynb", None, {"not ok": 1}), bindery.BinderyError, "not ok"),
            (("in.ipynb", None, {}, "mine"), bindery.PapermillException, "No engine named 'mine' found"),
        ]:
            with self.subTest(arguments), self.assertRaisesRegex(expected, said) as caught:
                bindery.execute_notebook(*arguments)
            self.assertIsInstance(caught.exception, bindery.BinderyError)
            self.assertEqual(caught.exception.exit_code, 1)
        with self.assertRaisesRegex(bindery.BinderyError, 'no kernel is called "gone"'):
            bindery.execute_notebook("in.ipynb", None, kernel_name="gone")
        with self.assertRaises(FileNotFoundError):
            bindery.inspect_notebook("gone.ipynb")

    def test_of_the_call_are_found_before_anything_runs(self) -> None:
        Path("in.ipynb").write_text(json.dumps(notebook("1")))
        for options, named in [
            ({"unheard_of": 1}, "unheard_of"),
            ({"stdout_file": "out.txt"}, "stdout_file"),
            ({"start_timeout": "1"}, "start_timeout"),
            ({"execution_timeout": math.nan}, "execution_timeout"),
            ({"progress_bar": 1.5}, "progress_bar"),
            ({"kernel_name": 3}, "kernel"),
        ]:
            with self.subTest(options), self.assertRaisesRegex(TypeError, named):
                bindery.execute_notebook("in.ipynb", "out.ipynb", **options)
        with self.assertRaisesRegex(TypeError, "input_path"):
            bindery.execute_notebook(3, "out.ipynb")
        with self.assertRaisesRegex(TypeError, "notebook"):
            bindery.execute_notebook({"cells": {1}}, "out.ipynb")
        with self.assertRaises(ValueError):
            bindery.execute_notebook("in.ipynb", "")
        self.assertFalse(Path("out.ipynb").exists())


class Streams(InFolder):
    def test_are_logged_and_written_to_files(self) -> None:
        stdout, stderr = io.StringIO(), io.StringIO()
        source = "import sys\nprint('out 100%', flush=True)\nprint('err', file=sys.stderr, flush=True)\n'value'"
        with self.assertLogs("bindery", logging.INFO) as logs:
            bindery.execute_notebook(
                notebook("alpha = 1", source),
                None,
                {"beta": 1},
                log_output=True,
                stdout_file=stdout,
                stderr_file=stderr,
            )
        self.assertEqual((stdout.getvalue(), stderr.getvalue()), ("out 100%\n", "err\n"))
        for line in [
            "WARNING:bindery:Passed unknown parameter: beta",
            "INFO:bindery:Executing notebook with kernel: python3",
            "INFO:bindery:out 100%\n",
            "WARNING:bindery:err\n",
            "INFO:bindery:'value'",
        ]:
            self.assertIn(line, logs.output)

    def test_that_cannot_be_written_end_the_run_with_their_exception(self) -> None:
        class Full(io.StringIO):
            def write(self, text: str, /) -> int:
                raise OSError("full")

        line = Line(self.folder)
        with concurrent.futures.ThreadPoolExecutor() as pool:
            cells = [line.tell, "print('x', flush=True)\nwhile True: pass"]
            running = pool.submit(bindery.execute_notebook, notebook(*cells), "out.ipynb", stdout_file=Full())
            kernel = line.wait()
            self.assertRaisesRegex(OSError, "full", running.result)
            line.cut(kernel)
        self.assertEqual(printed(json.loads(Path("out.ipynb").read_text())), "x\n")

    def test_may_be_those_of_the_process(self) -> None:
        code = "import bindery; bindery.execute_notebook('-', '-', {'alpha': 2})"
        given = json.dumps(notebook("alpha = 1", "print(alpha)"))
        written = subprocess.run([sys.executable, "-c", code], input=given, stdout=subprocess.PIPE, text=True)
        self.assertEqual(printed(json.loads(written.stdout)), "2\n")


class Company(InFolder):
    def test_of_threads_and_of_an_event_loop(self) -> None:
        def run(number: int) -> str:
            return printed(bindery.execute_notebook(notebook("alpha = 0", "print(alpha)"), None, {"alpha": number}))

        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            self.assertEqual(list(pool.map(run, range(4))), [f"{number}\n" for number in range(4)])

        async def in_loop() -> tuple[str, str]:
            return run(1), await asyncio.to_thread(run, 2)

        self.assertEqual(asyncio.run(in_loop()), ("1\n", "2\n"))

    def test_of_processes_that_are_forked_while_a_notebook_runs(self) -> None:
        line = Line(self.folder)
        go_on = self.folder / "go on"
        os.mkfifo(go_on)
        cells = [line.tell, f"open({str(go_on)!r}).read()\nprint('done')"]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = pool.submit(bindery.execute_notebook, notebook(*cells), None)
            kernel = line.wait()
            context = multiprocessing.get_context("fork")
            with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as forked:
                failed = forked.submit(bindery.execute_notebook, notebook("1 / 0"), None)
                self.assertRaisesRegex(bindery.PapermillExecutionError, "ZeroDivisionError", failed.result)
                go_on.write_text("")
                # Before the forked process ends, which holds copies of this one's pipes.
                self.assertEqual(printed(running.result()), "done\n")
            line.cut(kernel)


#: A program that runs a notebook and tells how that ended.
PROGRAM = """
import signal, sys, bindery
# Whoever runs these tests in the background of a shell has had it ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
try:
    bindery.execute_notebook("in.ipynb", "out.ipynb")
except KeyboardInterrupt:
    sys.exit("interrupted")
"""


class Interruptions(InFolder):
    def setUp(self) -> None:
        super().setUp()
        self.line = Line(self.folder)
        cells = ["print('before')", f"{self.line.tell}\nwhile True: pass"]
        Path("in.ipynb").write_text(json.dumps(notebook(*cells)))

    def check_saved(self) -> None:
        executed = json.loads(Path("out.ipynb").read_text())
        self.assertEqual(printed(executed), "before\n")
        self.assertEqual(executed["cells"][-1]["outputs"][-1]["ename"], "KeyboardInterrupt")

    def test_ctrl_c_in_a_terminal_saves_the_notebook_under_a_bar(self) -> None:
        process, terminal = pty.fork()
        if process == 0:
            # Without a terminal's name there is no bar.
            os.execve(sys.executable, [sys.executable, "-c", PROGRAM], {**os.environ, "TERM": "xterm"})
        kernel = self.line.wait()
        os.write(terminal, b"\x03")
        said = b""
        try:
            while more := os.read(terminal, 1024):
                said += more
        except OSError:
            # So Linux says that nobody is left on the other side.
            pass
        self.line.cut(kernel)
        self.assertEqual(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), 1)
        os.close(terminal)
        self.assertIn(b"interrupted", said)
        self.assertIn(b"Executing:", said)
        self.check_saved()

    def test_sigint_is_handed_on(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM], stderr=subprocess.PIPE, text=True)
        kernel = self.line.wait()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.communicate()[1], "interrupted\n")
        self.line.cut(kernel)
        self.check_saved()

    def test_a_program_that_is_killed_leaves_a_saved_notebook_and_no_kernel(self) -> None:
        process = subprocess.Popen([sys.executable, "-c", PROGRAM])
        kernel = self.line.wait()
        process.kill()
        process.wait()
        # The kernel ends after the notebook was saved.
        self.line.cut(kernel)
        self.check_saved()

    def test_any_exception_in_the_thread_that_waits_ends_the_run(self) -> None:
        class TimeIsUp(Exception):
            pass

        def raise_it(*_: object) -> None:
            raise TimeIsUp

        # As Airflow's time limits do it.
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, raise_it))
        kernels: list[int] = []

        def interrupt() -> None:
            kernels.append(self.line.wait())
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with self.assertRaises(TimeIsUp):
            bindery.execute_notebook("in.ipynb", "out.ipynb")
        thread.join()
        self.line.cut(kernels[0])
        self.check_saved()


if __name__ == "__main__":
    unittest.main()

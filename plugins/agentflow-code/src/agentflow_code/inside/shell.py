"""IPython's shell without a terminal: it runs cells, and collects what they show instead of printing it."""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import traceback
import warnings
from typing import TYPE_CHECKING, Any, Final

from IPython.core.compilerop import CachingCompiler
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from traitlets import Type
from traitlets.config import Config

from agentflow_code.inside import bundles, files, variables

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Shell", "current", "made"]

TRACEBACK_CHARS: Final = 16 * 1024
MESSAGE_CHARS: Final = 4000


def _shell(part: DisplayHook | DisplayPublisher) -> Shell:
    shell = part.shell
    assert isinstance(shell, Shell)
    return shell


class _Compiler(CachingCompiler):
    def get_code_name(self, raw_code: str, transformed_code: str, number: int) -> str:
        return f"<cell {number}>"


#: The files in which an interrupt is raised.
_OURS: Final = frozenset({os.path.join(os.path.dirname(os.path.abspath(__file__)), "serving.py")})


class _Hook(DisplayHook):
    """Takes the value of a cell's last expression."""

    def write_output_prompt(self) -> None:
        pass

    def write_format_data(self, format_dict: dict[str, Any], md_dict: Any = None) -> None:
        _shell(self).shown.add(
            "result", format_dict, bundles.table_of(self.exec_result.result if self.exec_result else None)
        )

    def log_output(self, format_dict: dict[str, Any]) -> None:
        """Nothing is kept of what was shown: a session may show much."""

    def finish_displayhook(self) -> None:
        self._is_active = False


class _Publisher(DisplayPublisher):
    """Takes what is shown with ``display``."""

    def publish(self, data: Any, metadata: Any = None, source: Any = None, **options: Any) -> None:
        _shell(self).shown.add("display", data)

    def clear_output(self, wait: bool = False) -> None:
        _shell(self).shown.clear()


class Shell(InteractiveShell):
    """One user's namespace and how cells run in it; the only one of its process."""

    displayhook_class = Type(_Hook)
    display_pub_class = Type(_Publisher)
    compiler_class = Type(_Compiler)
    system = InteractiveShell.system_raw  # the other one makes a terminal

    def __init__(self, **options: Any) -> None:
        self.shown = bundles.Shown()
        self.late: BaseException | None = None
        self.plots = "png"
        self.folder = os.getcwd()
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def init_profile_dir(self, profile_dir: Any) -> None:
        """No folder of its own: nothing is written."""
        self.profile_dir = None

    def init_virtualenv(self) -> None:
        """The interpreter is what it is."""

    def showtraceback(self, exc_tuple: Any = None, *args: Any, **options: Any) -> None:
        """Errors are told in the reply, not printed; this one may be of showing a value."""
        self.late = self.late or (exc_tuple[1] if exc_tuple else sys.exc_info()[1])

    def ask_exit(self) -> None:
        """What ``exit`` does."""
        raise SystemExit

    def showsyntaxerror(self, *args: Any, **options: Any) -> None:
        """Errors are told in the reply, not printed."""

    def show_usage_error(self, exc: Any) -> None:
        """Errors are told in the reply, not printed."""

    def enable_gui(self, gui: Any = None) -> None:
        """There is none."""

    def enable_matplotlib(self, gui: Any = None) -> tuple[str, str]:
        """Figures are shown as they are; ``%matplotlib inline`` changes nothing."""
        return "agg", "agg"

    def show_figures(self) -> None:
        """Show and close the figures that are open, if anything has made some."""
        if "matplotlib.pyplot" in sys.modules:
            from agentflow_code.inside import plots  # it imports matplotlib

            for bundle in plots.rendered(self.plots):
                self.shown.add("display", bundle)

    def rehearse(self) -> None:
        """Run through what a cell needs, so that what is imported late is imported, and forget it again."""
        self.folder = os.devnull
        self.run("1 / 0")
        self.run("0")
        self.reset(new_session=False)  # type: ignore[no-untyped-call]
        self.execution_count = 1

    def visible(self) -> dict[str, Any]:
        """The user's own variables."""
        return variables.visible(self.user_ns, self.user_ns_hidden)

    def run(self, code: str) -> dict[str, Any]:
        """Run a cell; what it showed, its error, and what it changed. `KeyboardInterrupt` may come out at any point."""
        self.shown, self.late = bundles.Shown(), None
        before = variables.marks(self.visible())
        seen = files.scan(self.folder)
        done = self.run_cell(code, store_history=True)  # type: ignore[no-untyped-call]
        error = done.error_before_exec or done.error_in_exec or self.late
        told: dict[str, Any] = {"error": None if error is None else error_of(error)}
        try:
            self.show_figures()
        except Exception as late:  # noqa: BLE001 - drawing runs code of the user
            told["error"] = told["error"] or error_of(late)
        told["results"] = self.shown.bundles
        told["results_dropped"] = self.shown.dropped
        told["variables"] = variables.changes(before, self.visible(), variables.assigned(code))
        told["files"] = files.changes(seen, files.scan(self.folder))
        told["threads"] = threading.active_count() - 1
        told["number"] = self.execution_count - 1
        self.shown, self.late = bundles.Shown(), None
        return told


def error_of(error: BaseException) -> dict[str, Any]:
    """Name, message and traceback of an error, without the frames that are ours."""
    try:
        value = str(error)
    except Exception:  # noqa: BLE001 - code of the user
        value = "<its message cannot be shown>"
    try:
        said = traceback.TracebackException(type(error), error, _users(error.__traceback__), compact=True)
        said.stack[:] = [frame for frame in said.stack if frame.filename not in _OURS]
        text = "".join(said.format())
    except Exception:  # noqa: BLE001 - code of the user
        text = f"{type(error).__name__}: {value}"
    if len(text) > TRACEBACK_CHARS:
        half = TRACEBACK_CHARS // 2
        text = f"{text[:half]}\n… {len(text) - TRACEBACK_CHARS} characters …\n{text[-half:]}"
    return {"name": type(error).__name__, "value": value[:MESSAGE_CHARS], "traceback": text}


def _users(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first frame on that is a cell's; all of it if none is."""
    found = trace
    while found is not None:
        if found.tb_frame.f_code.co_filename.startswith("<cell "):
            return found
        found = found.tb_next
    return None


def made() -> Shell:
    """The shell of this process, made now."""
    config = Config()
    config.HistoryManager.enabled = False  # else it keeps a database, and a thread
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.cache_size = 0
    config.InteractiveShell.colors = "nocolor"
    config.InteractiveShell.autocall = 0
    config.InteractiveShell.history_length = 0
    config.InteractiveShell.history_load_length = 0
    shell: Shell = Shell.instance(config=config, ipython_dir=tempfile.gettempdir())
    warnings.filterwarnings("ignore", message="To exit: use", category=UserWarning)
    shell.set_hook("show_in_pager", _page)  # type: ignore[no-untyped-call]
    return shell


def _page(shell: Any, data: Any, start: int = 0, screen_lines: int = 0) -> None:
    """Print what would be paged."""
    print(_text(data))  # noqa: T201


def _text(data: Any) -> str:
    return str(data.get("text/plain", "")) if isinstance(data, dict) else str(data)


def current() -> Shell:
    """The shell of this process."""
    shell: Shell = Shell.instance()
    return shell

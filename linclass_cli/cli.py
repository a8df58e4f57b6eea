"""The Typer app, and the one place where errors become a line on stderr and an exit code."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import sys
from typing import Annotated, Any

import typer
from typer.exceptions import Abort, Exit, TyperException

from linclass_cli import __version__
from linclass_cli.commands import (
    cache,
    config,
    cv,
    demo,
    doctor,
    download,
    evaluate,
    export,
    extract,
    gradcheck,
    import_,
    plot,
    predict,
    report,
    runs,
    train,
    warmup,
)
from linclass_cli.commands.completion import quick_completion
from linclass_cli.commands.deferred import Group
from linclass_cli.commands.session import COMMON_FLAGS, paragraphs
from linclass_cli.errors import LinclassError, ResourceError, did_you_mean
from linclass_cli.memory import address_space, is_shortage, shortage, spare_address_space
from linclass_cli.show.streams import silence_stdout
from linclass_cli.show.tables import notice, print_line
from linclass_cli.signals import Stopped, farewell, unwinding

HELP = r"""
Linear image classifiers from a terminal: logistic regression and linear SVMs on image features.

Images become features (`extract`), which are kept in a verified store; a linear model is fitted to them
(`train`) or chosen by cross-validation (`cv`); every fit is a run, which `evaluate` judges, `plot` draws and
`predict` puts to use. Your own pictures become a dataset by `import`. Try it all on pictures that come with
the package: `linclass demo`. Where something is not well, `linclass doctor` says what to do.

Exit codes: 0 done, 2 wrong usage, 3 bad input or settings, 4 something named is not there, 5 damaged data,
6 disk, memory, permission or network, 130 and 143 after an interrupt; 1 is a bug in linclass.

Example: linclass download cifar10 && linclass train --loss softmax && linclass plot run1
"""


_LONGEST_LINE = 1600  # characters of an error
_DID_YOU_MEAN = re.compile(r"\. Did you mean '?([^'?]*)'?\?$")  # as Typer says it of commands


class Program(Group):
    """The group of commands, with the error boundary around it."""

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, and leave with the exit code of the contract; bugs keep their traceback."""
        if not extra.pop("standalone_mode", True):
            return super().main(*args, **{**extra, "standalone_mode": False})
        with quick_completion() if "_LINCLASS_COMPLETE" in os.environ else contextlib.nullcontext():
            sys.exit(self._exit_code(*args, **extra))

    def _exit_code(self, *args: Any, **extra: Any) -> int:
        try:
            code = super().main(*args, **{**extra, "standalone_mode": False})
        except TyperException as error:
            if not error.format_message():  # no arguments: the help has been shown
                error.show()  # type: ignore[attr-defined]
            else:
                notice(f"error: {wrong_usage(error)}")
            return error.exit_code
        except Abort:  # no answer to a question
            notice(farewell(signal.SIGINT))
            return 130
        except SystemExit as error:
            if not isinstance(error.__context__, BrokenPipeError):
                raise
            silence_stdout()  # a help page whose reader has left: Typer would call that an error
            return 0
        except OSError as error:  # a help page, and a full disk behind stdout
            return _cannot(error)
        # After a command the code is None; after --help, and from Typer's Exit, it is a number.
        return code if isinstance(code, int) else 0

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LinclassError as error:
            notice(f"error: {_one_line(str(error))}")
            raise Exit(error.exit_code) from error
        except BrokenPipeError:
            # Whoever read our output has left; nothing more can be said there.
            silence_stdout()
            raise Exit(0) from None
        except (MemoryError, ImportError, RuntimeError, OSError) as error:
            if is_shortage(error):
                notice(f"error: {shortage()}")
                raise Exit(ResourceError.exit_code) from error
            if not isinstance(error, OSError):
                raise
            raise Exit(_cannot(error)) from error


def _cannot(error: OSError) -> int:
    """Tell of an error of the system, and return the exit code.

    It is whatever no stage has named: a folder that may not be searched, a name too long, a full disk behind
    stdout.
    """
    silence_stdout()
    where = f" {error.filename}" if error.filename else ""
    notice(f"error: cannot read or write{where}: {(error.strerror or str(error)).lower()}")
    return ResourceError.exit_code


def wrong_usage(error: Any) -> str:
    """What is wrong with the command line, what was probably meant, and where the usage is."""
    context, option = getattr(error, "ctx", None), getattr(error, "option_name", "")
    said = _one_line(error.format_message())
    if getattr(error, "possibilities", None) is not None and context is not None:
        flags = [
            flag
            for param in context.command.get_params(context)
            for flag in (*param.opts, *param.secondary_opts)
        ]
        said = error.message + did_you_mean(option, flags)
        if hasattr(context.command, "commands") and option in COMMON_FLAGS:
            said = f"{error.message} here; options stand behind the command, as in `linclass train {option}`"
    said = _DID_YOU_MEAN.sub(r"; did you mean \1?", said)
    command = context.command_path if context else "linclass"
    return f"{said}; `{command} --help` shows the usage"


def _one_line(text: str) -> str:
    line = " ".join(text.split()).rstrip(".")
    # What a server or a file says may be as long as it likes; the way out stands at the end.
    return line if len(line) <= _LONGEST_LINE else f"{line[:1200]} … {line[-300:]}"


app = typer.Typer(
    name="linclass",
    cls=Program,
    help=paragraphs(HELP),
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        print_line(f"linclass {__version__}")
        raise typer.Exit


@app.callback()
def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    pass


for module in (
    download,
    import_,
    extract,
    train,
    cv,
    evaluate,
    plot,
    report,
    predict,
    export,
    demo,
    runs,
    cache,
    warmup,
    doctor,
    gradcheck,
    config,
):
    module.add(app)


def main() -> None:
    """The program ``linclass``, once `entry` has loaded it."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character shows another one in its place.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
    spare_address_space()
    try:
        with unwinding():
            app(prog_name="linclass")
    except SystemExit as end:
        if address_space() is None:
            raise
        # Libraries that got no memory may end the process in a crash, when it is they that end it.
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError, AttributeError):
                stream.flush()
        os._exit(end.code if isinstance(end.code, int) else 0)
    except Stopped as stopped:
        notice(farewell(stopped.number))
        os._exit(128 + stopped.number)  # not waiting for threads, which may be compiling

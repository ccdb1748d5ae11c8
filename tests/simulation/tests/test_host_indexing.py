"""An app that cannot run is refused at start, with the function and the reason."""

from pathlib import Path

import pytest

from tests.simulation.host.failures import HostNotStartedError
from tests.simulation.host.functions import expand
from tests.simulation.host.process import HostProcess

HEAD = "import typing\nimport azure.functions as func\n\napp = func.FunctionApp()\n\n"
TRIGGER = '@app.queue_trigger(arg_name="msg", queue_name="%s", connection="AzureWebJobsStorage")\n'
OUTPUT = '@app.queue_output(arg_name="out", queue_name="other", connection="AzureWebJobsStorage")\n'


def refusal(folder: Path, source: str) -> str:
    """Answers with what the host says about an app."""
    (folder / "host.json").write_text('{"version": "2.0"}')
    (folder / "function_app.py").write_text(source)
    with pytest.raises(HostNotStartedError) as raised:
        HostProcess.start(folder, {"AzureWebJobsStorage": "UseDevelopmentStorage=false"}, log=folder / "log")
    return str(raised.value)


def test_every_mistake_of_every_function_is_named_at_once(tmp_path: Path) -> None:
    source = HEAD + (
        '@app.timer_trigger(arg_name="timer", schedule="99 * * * * *")\n'
        "def late(timer: func.TimerRequest) -> None: ...\n\n"
        '@app.timer_trigger(arg_name="timer", schedule="%NO_SUCH_SETTING%")\n'
        "def never(timer: func.TimerRequest) -> None: ...\n\n"
        f"{TRIGGER % 'Not_A_Queue'}"
        "def shout(msg: func.QueueMessage) -> None: ...\n\n"
        '@app.route(route="a/{b:even}")\n'
        "def odd(req: func.HttpRequest) -> str: ...\n\n"
        '@app.function_name("two words")\n'
        f"{TRIGGER % 'fine'}"
        "def spaced(msg: func.QueueMessage) -> None: ...\n"
    )

    said = refusal(tmp_path, source)

    assert "function late: schedule '99 * * * * *', second: '99' is not in 0 to 59" in said
    assert "function never: the setting NO_SUCH_SETTING is missing" in said
    assert "function shout: binding msg: 'Not_A_Queue' is no queue name" in said
    assert "function odd: route 'a/{b:even}'" in said
    assert "function two words: a name starts with a letter" in said


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param(
            HEAD + TRIGGER % "q" + OUTPUT + "def f(msg: func.QueueMessage, out: func.Out[list[str]]) -> None: ...\n",
            "cannot load the f function",
            id="an output type that only the worker refuses",
        ),
        pytest.param(
            HEAD + TRIGGER % "q" + "def f(message: func.QueueMessage) -> None: ...\n",
            "cannot load the f function",
            id="a parameter that is called otherwise",
        ),
        pytest.param(HEAD + "import no_such_module\n", "No module named 'no_such_module'", id="a missing module"),
        pytest.param(HEAD + "second = func.FunctionApp()\n", "More than one", id="two apps"),
        pytest.param(HEAD, "no functions", id="no function"),
    ],
)
def test_an_app_is_refused_with(tmp_path: Path, source: str, expected: str) -> None:
    assert expected in refusal(tmp_path, source)


def test_the_line_that_raised_is_shown(tmp_path: Path) -> None:
    said = refusal(tmp_path, HEAD + "def broken():\n    raise ValueError('no vendors')\n\nbroken()\n")

    assert "ValueError: no vendors" in said
    assert 'function_app.py", line 7, in broken' in said


def test_every_setting_of_a_text_is_filled_in() -> None:
    assert expand("a-%B%-%C%", {"B": "1", "C": "2"}) == "a-1-2"

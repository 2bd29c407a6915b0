"""Fixture that runs commands in the test process, without the user's cache of compiled programs."""

import pytest
from typer.testing import CliRunner

from lcjax.cli import app


@pytest.fixture(scope="session")
def lcjax():
    """Run `lcjax ARGUMENTS` and return its exit status, standard output and standard error."""

    def invoke(*arguments, **environment):
        environment = {"LCJAX_CACHE": "", "COLUMNS": "200", **environment}
        result = CliRunner().invoke(app, [*map(str, arguments)], env=environment)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout, result.stderr

    return invoke

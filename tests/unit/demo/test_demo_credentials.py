"""Vendors' credentials and the demo: refused by name, in words, before anything starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from jupyter_quantum.exceptions import Refused
from jupyter_quantum.hub.demo import credentials

SECRET = "s3cret-value"
SETS = ["QISKIT_IBM_TOKEN", "AWS_SECRET_ACCESS_KEY", "IONQ_API_KEY", "IQM_TOKEN", "AQT_TOKEN", "AZURE_CLIENT_SECRET"]


@pytest.mark.parametrize("name", SETS)
def test_a_credential_is_refused_by_name(name: str) -> None:
    """The message names the variable, whose it is and how to start without it; never the value."""
    with pytest.raises(Refused) as caught:
        credentials.refuse({"PATH": "/bin", name: SECRET})
    assert caught.value.code == "demo.credentials"
    assert f"env -u {name} jupyter quantum demo" in str(caught.value)
    assert "share this unix user" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_everything_else_may_stay() -> None:
    """Regions, addresses, empty variables and tokens of other things do not stand in the way."""
    there = {
        "AWS_REGION": "x",
        "QISKIT_IBM_TOKEN": "",
        "QISKIT_IN_PARALLEL": "TRUE",
        "GITHUB_TOKEN": "x",
        "IQM_URL": "x",
    }
    credentials.refuse(there)


def test_the_demo_does_not_start_with_one() -> None:
    """The command itself: status 1, the reason on stderr, nothing on stdout, and no value anywhere."""
    done = subprocess.run(
        [sys.executable, "-c", "from jupyter_quantum.cli import main; main()", "demo", "--port", "0"],
        env=os.environ | {"QISKIT_IBM_TOKEN": SECRET},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert "QISKIT_IBM_TOKEN" in done.stderr
    assert SECRET not in done.stderr

"""tests/run.sh: what it promises CI."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.install.conftest import ROOT


@pytest.mark.parametrize(
    "test",
    ["import pytest\ndef test_it():\n    pytest.skip('no browser')\n",
     "import pytest\npytest.importorskip('no_such_module')\ndef test_it():\n    pass\n",
     "import pytest\n@pytest.mark.skip(reason='no browser')\ndef test_it():\n    pass\n"],
)
def test_a_skipped_test_fails_in_ci(tmp_path: Path, test: str) -> None:
    (tmp_path / "test_it.py").write_text(test)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.support.no_skips", "-c", os.devnull, str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, timeout=150,
    )
    assert done.returncode != 0, done.stdout
    assert "counts as a failure in CI" in done.stdout


def test_ci_runs_it_from_any_folder_and_passes_its_arguments_on() -> None:
    run = (ROOT / ".ci/run").read_text()
    assert "../tests/run.sh" in run and '"$@"' in run

"""Types of the flat names: a user's program type-checks strictly, and no call returns `Any`."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
USER_CODE = ROOT / "tests" / "typing" / "user_code.py"
NUMPY = "ndarray[tuple[Any, ...], dtype[Any]]"  # NumPy's own spelling of any array


@pytest.mark.slow
def test_user_code_has_no_untyped_value(tmp_path):
    source = USER_CODE.read_text()
    names = [
        node.targets[0].id
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and not node.targets[0].id.endswith("_")
    ]
    revealing = tmp_path / "user_code.py"
    revealing.write_text(source + "".join(f"reveal_type({name})\n" for name in names))
    command = [Path(sys.executable).with_name("mypy"), "--strict", "--no-warn-unused-ignores", revealing]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert "error:" not in done.stdout, done.stdout
    revealed = re.findall(r'Revealed type is "(.*)"', done.stdout)
    assert len(revealed) == len(names), done.stdout
    untyped = {
        name: kind
        for name, kind in zip(names, revealed, strict=True)
        if re.search(
            r"\bAny\b", re.sub(re.escape(NUMPY), "ndarray", kind.replace("numpy.", "").replace("builtins.", ""))
        )
    }
    assert untyped == {}

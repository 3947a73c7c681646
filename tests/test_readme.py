"""The README's Python example runs as it stands, in an empty folder."""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def test_the_python_example_runs(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    ran = subprocess.run(
        [sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    # The policy and its reference start equal: the first loss is ln 2.
    assert "'loss': 0.693" in ran.stdout
    assert (tmp_path / "my-dpo" / "model" / "config.json").exists()


def test_every_page_that_the_readme_names_is_there() -> None:
    text = README.read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []

"""`palate diagnose` on folders of every kind: finished, running, torn, foreign, newer."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from palate.cli.app import main
from palate.measures.findings.finding import Finding

SICK = {"eos_rate": 0.125, "length": 20.0}
FINE = {"eos_rate": 0.9, "length": 20.0}


def _folder(
    path: Path, rows: list[dict[str, float]], *, stage: str = "ppo", version: str = "0.1.0"
) -> Path:
    """A run folder as training leaves it."""
    path.mkdir()
    (path / "recipe.yaml").write_text(yaml.safe_dump({"stage": stage, "max_steps": 20}))
    (path / "manifest.json").write_text(json.dumps({"versions": {"palate": version}}))
    lines = [json.dumps({"step": number, **row}) + "\n" for number, row in enumerate(rows, 1)]
    (path / "metrics.jsonl").write_text("".join(lines))
    return path


def _said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["diagnose", *arguments])
    told = capsys.readouterr()
    return code, told.out, told.err


def test_findings_with_figures_remedy_and_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sick, fine = _folder(tmp_path / "sick", [SICK] * 4), _folder(tmp_path / "fine", [FINE] * 4)
    code, out, err = _said(capsys, str(sick), str(fine))
    assert (code, err) == (4, "")
    assert out.splitlines() == [
        f"{sick}: ppo, step 4",
        "  sick: no-endings, step 3: samples do not end",
        "    12% of the samples end by themselves, 12% at first",
        "    eos_rate 0.125 (step 1)",
        "    eos_rate 0.125 (step 3)",
        "    what to do: raise max_new_tokens or missing_eos_penalty, and see that SFT rows end",
        "    docs/findings.md#no-endings",
        f"{fine}: ppo, step 4",
        "  nothing found",
    ]


def test_a_note_alone_is_no_alarm(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [FINE, *[{**FINE, "length": 31.0}] * 4]
    code, out, _ = _said(capsys, str(_folder(tmp_path / "run", rows)), "--json")
    (run,) = json.loads(out)["runs"]
    assert code == 0
    assert [(f["name"], f["level"], f["step"]) for f in run["findings"]] == [
        ("length-drift", "note", 4)
    ]


def test_json_is_one_object(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = _folder(tmp_path / "run", [SICK] * 4)
    code, out, _ = _said(capsys, str(run), "--json")
    (told,) = json.loads(out)["runs"]
    assert code == 4
    assert {k: told[k] for k in ("run", "stage", "step", "torn")} == {
        "run": str(run), "stage": "ppo", "step": 4, "torn": False,
    }  # fmt: skip
    (finding,) = told["findings"]
    assert finding["evidence"][1] == {"metric": "eos_rate", "step": 3, "value": 0.125}
    assert finding["remedy"]
    assert Finding.from_json(finding).name == "no-endings"


def test_a_dead_run_without_a_row_tells_why_it_died(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _folder(tmp_path / "run", [], stage="dpo")
    (run / "metrics.jsonl").unlink()
    told = Finding("wrong-reference", "sick", 1, "policy and reference differ")
    (run / "findings.jsonl").write_text(json.dumps(told.to_json()) + '\n{"name": "ov')
    code, out, _ = _said(capsys, str(run))
    assert code == 4
    assert out.startswith(f"{run}: dpo, step 0; no row of the log yet\n  sick: wrong-reference")


def test_a_half_line_at_the_end_is_left_out_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _folder(tmp_path / "run", [FINE] * 4)
    whole = (run / "metrics.jsonl").read_bytes()
    for cut in range(1, len(whole) // 4, 5):
        (run / "metrics.jsonl").write_bytes(whole + whole[:cut])
        code, out, _ = _said(capsys, str(run))
        assert code == 0
        assert "step 4 (the log ends in half a line, which is left out)" in out


def _spoil(name: str, content: bytes) -> Any:
    return lambda run: (run / name).write_bytes(content)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda run: (run / "recipe.yaml").unlink(), "not a run folder (no recipe.yaml)"),
        (_spoil("recipe.yaml", b"a: [b"), "recipe.yaml: cannot be read"),
        (_spoil("recipe.yaml", b"stage: baking"), "names none of the stages sft, reward, dpo"),
        (_spoil("manifest.json", b"{"), "manifest.json: cannot be read (JSONDecodeError)"),
        (_spoil("manifest.json", b'{"versions": {"palate": "9.0.0"}}'), "is newer than this one"),
        (_spoil("metrics.jsonl", b'{"step": 1}\n{"st\n{"step": 3}\n'), "jsonl:2: not a row"),
        (_spoil("metrics.jsonl", b'{"loss": 1.0}\n'), "metrics.jsonl:1: not a row"),
        (_spoil("metrics.jsonl", b"\xff\xfe\n"), "metrics.jsonl:1: not a row"),
        (_spoil("findings.jsonl", b'{"name": 1}\n'), "findings.jsonl:1: not a finding"),
    ],
)  # fmt: skip
def test_a_damaged_foreign_or_newer_folder_is_one_line(
    spoil: Any, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = _folder(tmp_path / "run", [FINE] * 4)
    spoil(run)
    code, out, err = _said(capsys, str(run))
    assert (code, out) == (2, "")
    assert message in err
    assert len(err.splitlines()) == 1


def test_no_such_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = _said(capsys, str(tmp_path / "nowhere"))
    assert code == 2
    assert "there is no such folder" in err


def test_it_loads_no_torch(tmp_path: Path) -> None:
    run = _folder(tmp_path / "run", [SICK] * 4)
    program = (
        "import sys\nfrom palate.cli.app import main\n"
        f"code = main(['diagnose', {str(run)!r}])\n"
        "assert 'torch' not in sys.modules\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (4, "")

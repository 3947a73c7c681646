import subprocess
import sys

import pytest

import palate.measures


def test_every_public_name_is_there() -> None:
    for name in palate.measures.__all__:
        assert callable(getattr(palate.measures, name))
        assert name in dir(palate.measures)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = palate.measures.nonsense


def test_measuring_loads_no_torch() -> None:
    probe = (
        "import sys, palate.measures as room\n"
        "[getattr(room, name) for name in room.__all__]\n"
        "print('torch' in sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr

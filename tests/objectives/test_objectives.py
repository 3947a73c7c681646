import subprocess
import sys

import pytest

import palate.objectives


def test_every_public_name_is_there() -> None:
    for name in palate.objectives.__all__:
        assert getattr(palate.objectives, name).__class__ is not None
        assert name in dir(palate.objectives)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = palate.objectives.nonsense


def test_importing_the_room_loads_no_torch() -> None:
    probe = "import sys, palate.objectives; print('torch' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert result.stdout.strip() == "False", result.stderr

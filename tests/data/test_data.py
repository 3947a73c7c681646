import subprocess
import sys

import pytest

import palate.data


def test_every_public_name_is_there() -> None:
    for name in palate.data.__all__:
        assert getattr(palate.data, name) is not None
        assert name in dir(palate.data)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = palate.data.nonsense


@pytest.mark.parametrize("module", ["records", "faults", "hh", "sources", "splits", "check"])
def test_reading_data_loads_no_torch(module: str) -> None:
    probe = (
        f"import sys, palate.data.{module}; "
        f"print([name for name in ('torch', 'transformers', 'datasets') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert result.stdout.strip() == "[]", result.stderr

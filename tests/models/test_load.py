"""What is refused before a model is read, each with one sentence."""

import json
import os
import socket
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tests import tiny

from palate.errors import ModelError
from palate.models.attention import ATTENTION
from palate.models.load import hub_answers, load, refuse_unsafe, weights_hash
from palate.models.roles import Roles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model folder."""
    home = tmp_path / "model"
    tiny.llama().save_pretrained(home)
    tiny.tokenizer().save_pretrained(home)
    return home


def _refusal(name: Path | str) -> str:
    with pytest.raises(ModelError) as caught:
        load(name)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    return str(caught.value)


def test_a_folder_is_loaded_as_it_was_saved(folder: Path) -> None:
    loaded = load(folder)
    assert weights_hash(loaded.model) == weights_hash(tiny.llama())
    assert loaded.model.config._attn_implementation == ATTENTION
    assert not loaded.model.training
    assert loaded.adapter is None
    assert loaded.tokenizer.eos_token_id == tiny.EOS
    assert load(folder, dtype=torch.bfloat16).model.dtype == torch.bfloat16


def test_an_adapter_folder_names_its_base(folder: Path, tmp_path: Path) -> None:
    loaded = load(folder)
    roles = Roles(loaded.model, loaded.tokenizer)
    with torch.random.fork_rng():
        roles.add_policy(tiny.lora())
    tiny.nudge(roles, "policy")
    roles.save("policy", tmp_path / "adapter")

    again = load(tmp_path / "adapter")
    assert again.adapter == tmp_path / "adapter"
    assert weights_hash(again.model) == weights_hash(tiny.llama())

    path = tmp_path / "adapter" / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base_model_name_or_path": "../model"}))
    assert weights_hash(load(tmp_path / "adapter").model) == weights_hash(tiny.llama())
    path.write_text(json.dumps(config | {"base_model_name_or_path": None}))
    assert "does not say which base model" in _refusal(tmp_path / "adapter")


def test_code_beside_the_weights_is_refused(folder: Path) -> None:
    (folder / "modeling_own.py").write_text("raise SystemExit")
    assert "holds code (modeling_own.py), which is never run" in _refusal(folder)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_remote_code_is_refused(folder: Path, name: str) -> None:
    path = folder / name
    path.write_text(json.dumps(json.loads(path.read_text()) | {"auto_map": {"AutoModel": "m.M"}}))
    message = _refusal(folder)
    assert name in message
    assert "auto_map" in message


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "model.pth", "model.pkl"])
def test_pickled_weights_are_refused_unread(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert f"weights are pickled ({name})" in _refusal(folder)


def test_a_pickled_adapter_is_refused_whatever_stands_beside_it(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.bin").write_bytes(b"pickle")
    (tmp_path / "other.safetensors").write_bytes(b"")
    with pytest.raises(ModelError, match="weights are pickled"):
        refuse_unsafe(tmp_path)
    (tmp_path / "adapter_model.bin").unlink()
    with pytest.raises(ModelError, match="the adapter has no weights"):
        refuse_unsafe(tmp_path)


def test_missing_folders_and_files_are_named(folder: Path, tmp_path: Path) -> None:
    assert "no such folder" in _refusal(tmp_path / "nowhere")
    assert "no such folder" in _refusal("./nowhere")
    assert "not a folder" in _refusal(folder / "config.json")
    (tmp_path / "empty").mkdir()
    assert "no config.json" in _refusal(tmp_path / "empty")
    (folder / "model.safetensors").unlink()
    assert "cannot be loaded as a causal language model" in _refusal(folder)


def test_broken_settings_are_named(folder: Path) -> None:
    (folder / "config.json").write_text("{")
    assert "config.json: not JSON" in _refusal(folder)


def test_weights_that_would_be_random_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    del weights["lm_head.weight"]
    save_file(weights, path, metadata={"format": "pt"})
    assert "1 weights are not in the folder and would be random (first: lm_head.weight)" in (
        _refusal(folder)
    )


def test_a_hub_that_cannot_be_reached_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub_answers.__wrapped__()
    assert not hub_answers.__wrapped__()
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
    assert hub_answers.__wrapped__()


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_torn_weights_are_refused(folder: Path, keep: int) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    assert str(folder) in _refusal(folder)


def test_the_hash_tells_weights_apart() -> None:
    assert weights_hash(tiny.llama()) == weights_hash(tiny.llama())
    assert weights_hash(tiny.llama()) != weights_hash(tiny.llama(seed=1))

"""Name or folder → causal language model and tokenizer, and what is refused on the way.

Weights are read from safetensors only, code in a model folder is never run, and a folder on disk
is never completed from a hub.
"""

import json
import os
import socket
import textwrap
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from peft import PeftConfig
from peft.tuners.tuners_utils import BaseTunerLayer
from safetensors import SafetensorError
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from palate.errors import ModelError
from palate.models.attention import ATTENTION
from palate.models.fused.fitting import fit
from palate.models.quiet import quiet

PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl")


@dataclass(frozen=True)
class Loaded:
    """A model with its tokenizer; `adapter` is the PEFT folder that was named, if it was one."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    adapter: Path | None = None


def load(
    name: str | Path, *, dtype: torch.dtype = torch.float32, base: str | None = None
) -> Loaded:
    """Load a causal language model for training or scoring.

    Args:
        name: a Hugging Face folder, a PEFT adapter folder (its base is loaded, the adapter is
            returned as a path for the roles to take up), or a hub name.
        dtype: type of the weights in memory.
        base: an adapter's base, where it is not where the adapter says.

    Raises:
        ModelError: the folder is missing or incomplete, holds code or pickled weights, or the
            weights do not fill the model.
    """
    folder = Path(name)
    adapter = None
    if folder.exists():
        refuse_unsafe(folder)
        if (folder / "adapter_config.json").exists():
            adapter = folder
            base = base or PeftConfig.from_pretrained(str(folder)).base_model_name_or_path
            if not base:
                raise ModelError(f"{folder}: the adapter does not say which base model it is for")
            # A base beside the adapter may be named relative to it.
            beside = (folder / base).resolve()
            model_name = str(beside) if beside.is_dir() else base
            if Path(model_name).exists():
                refuse_unsafe(Path(model_name))
        else:
            model_name = str(folder)
        if adapter is None and not (folder / "config.json").exists():
            raise ModelError(f"{folder}: no config.json; name a Hugging Face model folder")
    elif str(name).startswith((".", "/", "~")) or str(name).count("/") > 1:
        raise ModelError(f"{name}: no such folder; name a Hugging Face model folder or hub name")
    else:
        model_name = str(name)
    tokenizer_home = (
        folder if adapter and (folder / "tokenizer_config.json").exists() else model_name
    )
    return Loaded(read_weights(model_name, dtype=dtype), _tokenizer(str(tokenizer_home)), adapter)


def read_weights(
    name: str, *, dtype: torch.dtype, kind: Any = AutoModelForCausalLM
) -> PreTrainedModel:
    """The model of a folder or hub name, with every weight that its class (`kind`) has.

    Raises:
        ModelError: it cannot be read, or weights are missing that would be random.
    """
    local = Path(name).exists() or not hub_answers()
    try:
        with quiet():
            model, report = kind.from_pretrained(
                name,
                dtype=dtype,
                trust_remote_code=False,
                use_safetensors=True,
                local_files_only=local,
                # Else transformers asks the hub for an adapter all the same.
                adapter_kwargs={"local_files_only": local},
                output_loading_info=True,
            )
    except (OSError, ValueError, KeyError, SafetensorError) as error:
        raise ModelError(
            f"{name}: cannot be loaded as a causal language model: {_reason(error)}"
        ) from error
    missing = [*report["missing_keys"], *report["mismatched_keys"]]
    if missing:
        raise ModelError(
            f"{name}: {len(missing)} weights are not in the folder and would be random "
            f"(first: {missing[0]}); the folder is incomplete or of another architecture"
        )
    return prepare(model)


def prepare(model: PreTrainedModel) -> PreTrainedModel:
    """Give a model tree attention and thrifty pieces, and switch its dropout off, in place."""
    model.set_attn_implementation(ATTENTION)
    model.eval()
    fit(model)
    return model


def _tokenizer(name: str) -> PreTrainedTokenizerBase:
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            name, trust_remote_code=False, local_files_only=Path(name).exists() or not hub_answers()
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"{name}: its tokenizer cannot be loaded: {_reason(error)}") from error
    assert isinstance(tokenizer, PreTrainedTokenizerBase)
    return tokenizer


@cache
def hub_answers() -> bool:
    """Whether the hub can be reached; asked once, or a mistyped folder costs minutes of retries."""
    if any(name.lower() in ("https_proxy", "http_proxy", "all_proxy") for name in os.environ):
        return True  # the proxy may reach what this machine cannot
    hub = urlsplit(os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    port = hub.port or (80 if hub.scheme == "http" else 443)
    try:
        socket.create_connection((hub.hostname or "", port), timeout=3).close()
    except OSError:
        return False
    return True


def _reason(error: Exception) -> str:
    """What an error of another library says, on one line of readable length."""
    return textwrap.shorten(str(error), width=240, placeholder=" …")


def refuse_unsafe(folder: Path) -> None:
    """Refuse a model folder that could run code.

    Raises:
        ModelError: names the file and what to do instead.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: not a folder; name the folder that holds config.json")
    code = sorted(folder.glob("*.py"))
    if code:
        raise ModelError(
            f"{folder}: holds code ({code[0].name}), which is never run; convert the model to an "
            "architecture that transformers knows"
        )
    # PEFT would read pickled weights of an adapter whatever else the folder holds.
    adapter = (folder / "adapter_config.json").exists()
    safe = any(folder.glob("adapter_model.safetensors" if adapter else "*.safetensors"))
    pickles = sorted(path for pattern in PICKLES for path in folder.glob(pattern))
    if pickles and not safe:
        raise ModelError(
            f"{folder}: weights are pickled ({pickles[0].name}), which can run code; convert them "
            "once with safetensors (model.save_pretrained) on a machine you can lose"
        )
    if adapter and not safe:
        raise ModelError(f"{folder}: no adapter_model.safetensors; the adapter has no weights")
    for name in ("config.json", "tokenizer_config.json"):
        path = folder / name
        if not path.exists():
            continue
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{path}: not JSON: {error}") from error
        if "auto_map" in settings or settings.get("trust_remote_code"):
            raise ModelError(
                f"{path}: asks for remote code (auto_map), which is never run; use a model of an "
                "architecture that transformers knows"
            )


def weights_hash(model: PreTrainedModel, *, adapter: str | None = None) -> str:
    """A hash of all weights: names a reference, shows that a frozen base stayed frozen.

    Args:
        model: adapters on it do not count, but for the one that is named.
        adapter: its LoRA weights and scales count; its name does not.
    """
    digest = sha256()
    own = {
        name.replace(".base_layer", ""): tensor
        for name, tensor in model.state_dict().items()
        if "lora_" not in name
    }
    if adapter is not None:
        own |= {
            f"{name}.".replace(f".{adapter}.", "."): tensor
            for name, tensor in model.state_dict().items()
            if f".{adapter}." in f"{name}."
        }
        scales = [m.scaling.get(adapter) for m in model.modules() if isinstance(m, BaseTunerLayer)]
        digest.update(repr(scales).encode())
    for name in sorted(own):
        digest.update(name.encode())
        digest.update(own[name].detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()

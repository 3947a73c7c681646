"""Arguments that do not exist here: errors that name what to use instead."""

import difflib
import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from palate.errors import RecipeError

P = ParamSpec("P")
R = TypeVar("R")

# What TRL's and transformers' trainers take, and how the same is said here.
INSTEAD = {
    "tokenizer": "it is called processing_class",
    "data_collator": "rows need no padding, so there is nothing to collate; give train_dataset",
    "optimizers": "the optimizer is AdamW; set learning_rate, adam_beta1 … in args",
    "optimizer_cls_and_kwargs": "the optimizer is AdamW; set learning_rate, adam_beta1 … in args",
    "compute_metrics": "evaluate() gives loss and accuracies; score saved models for others",
    "compute_loss_func": "choose the loss by args (loss_type in DPOConfig)",
    "preprocess_logits_for_metrics": "logits are never kept; evaluate() gives loss and accuracies",
    "model_init": "make the model first and give it as model",
    "model_init_kwargs": "load the model with them first and give it as model",
    "formatting_func": "write the rows' text into columns first (train_dataset.map)",
    "force_use_ref_model": "an explicit ref_model is always used",
    "ref_adapter_name": "a PeftModel's adapter, frozen as it is, is the reference",
    "model_adapter_name": "give a PeftModel with one adapter as model",
    "reward_processing_classes": "reward functions get text; a reward folder shares the tokenizer",
    "reward_function": "it is called reward_funcs",
    "reward_func": "it is called reward_funcs",
    "reward": "give a folder as reward_model, or a function as reward_funcs",
    "value_model": "say value_model='shared' or 'separate' in PPOConfig",
    "trial": "hyperparameter search is not built in; call train() once for each args",
    "ignore_keys": "evaluate() returns numbers alone; leave it out",
    "ignore_keys_for_eval": "evaluate() returns numbers alone; leave it out",
}


def strict(function: Callable[P, R]) -> Callable[P, R]:
    """A call with arguments that `function` has not is a `RecipeError` with a hint."""
    signature = inspect.signature(function)
    known = [name for name in signature.parameters if name != "self"]
    made, _, method = function.__qualname__.rpartition(".")

    @wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        # The class that was called, which may have its constructor from another.
        name = type(args[0]).__name__ if args else made
        owner = name if method == "__init__" else f"{name}.{method}"
        for key in kwargs:
            if key not in known:
                raise RecipeError(f"{owner} takes no {key!r}; {_hint(key, known)}")
        try:
            signature.bind(*args, **kwargs)
        except TypeError as error:
            raise RecipeError(f"{owner}: {error}; it takes {', '.join(known)}") from None
        return function(*args, **kwargs)

    return checked


def _hint(key: str, known: list[str]) -> str:
    if key in INSTEAD:
        return INSTEAD[key]
    near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    return f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(known)}"

"""The learning rate of each optimizer step."""

import math

from palate.training.settings import StageSettings


def learning_rate(settings: StageSettings, step: int, num_steps: int) -> float:
    """Step size at optimizer step 1…num_steps: a linear warm-up, then the schedule's shape."""
    warmup = settings.warmup_steps
    warmup = math.ceil(warmup * num_steps) if warmup < 1 else warmup
    if step <= warmup:
        return settings.learning_rate * step / warmup
    # The step after the last one would have rate 0.
    left = (num_steps + 1 - step) / (num_steps + 1 - max(warmup, 1))
    shape = {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 + math.cos(math.pi * (1 - left)))}
    return settings.learning_rate * shape[settings.lr_scheduler_type]

"""The experiment trackers that accelerate knows, by name, and what must be installed for each."""

from importlib.metadata import PackageNotFoundError, distribution

from palate.errors import RecipeError

# One of the packages is enough; the first is the one to recommend.
TRACKERS = {
    "aim": ("aim",),
    "clearml": ("clearml",),
    "comet_ml": ("comet_ml",),
    "dvclive": ("dvclive",),
    "mlflow": ("mlflow", "mlflow-skinny"),
    "swanlab": ("swanlab",),
    "tensorboard": ("tensorboard", "tensorboardX"),
    "trackio": ("trackio",),
    "wandb": ("wandb",),
}


def check_tracker(name: str, *, given: str) -> None:
    """Refuse a tracker that there is none of, or whose package is not installed.

    Args:
        name: one tracker.
        given: the whole of `report_to`, for the message.

    Raises:
        RecipeError: says which names there are, or what to install.
    """
    if name not in TRACKERS:
        raise RecipeError(
            f"report_to is {given!r}, and {name!r} is no tracker; it is none, or some of "
            f"{', '.join(TRACKERS)}, comma separated"
        )
    packages = TRACKERS[name]
    if not any(_is_installed(package) for package in packages):
        raise RecipeError(
            f"report_to is {given!r}, but the package {packages[0]} is not installed; pip install "
            f"{packages[0]}, or set report_to to none"
        )


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True

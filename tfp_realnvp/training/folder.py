"""Ownership of a run's folder: which run it belongs to, and which process writes to it."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from tfp_realnvp import paths, storage
from tfp_realnvp.training.checkpoint import CheckpointError

CONFIG = "config.json"
# The entries of a config that programs read, and the required ones.
_ENTRIES = {"preset": str, "model": dict, "epochs": int, "versions": dict, "command": list, "init_from": dict}
_NEEDED = ("preset", "model")
_WORDS = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
_WORDS |= {int: "a number", float: "a number"}
# Files that file systems create in folders by themselves. Hidden files are treated the same.
_NOBODYS = ("lost+found",)


@contextlib.contextmanager
def open_run(
    output_dir: str | pathlib.Path,
    config: dict[str, Any],
    comparable: Callable[[dict[str, Any]], dict[str, Any]] = dict,
) -> Iterator[None]:
    """A context in which this process alone owns `output_dir`, the folder of the run described by `config`.

    Args:
      output_dir: the folder: this run's, empty, or new.
      config: content of a new run's `config.json`. Its entry "model" must match for a run to be resumed.
      comparable: maps the "model" entry of an existing, perhaps older, run to today's form.

    Raises:
      CheckpointError: if the folder belongs to another run, contains anything else, cannot be written, or is in use by
        another process. Nothing is written in that case.
    """
    output_dir = paths.local(output_dir)
    _is_ours(output_dir, config, comparable)  # Before locking, which creates a file.
    with exclusive(output_dir):
        if not _is_ours(output_dir, config, comparable):
            storage.write(output_dir / CONFIG, storage.to_json(config, indent=2) + "\n")
        yield


@contextlib.contextmanager
def exclusive(output_dir: str | pathlib.Path) -> Iterator[None]:
    """A context in which no other process writes to a run's folder, which is created if needed.

    Unfinished files of killed processes are removed.

    Raises:
      CheckpointError: if another process is using it, or it cannot be written.
    """
    with contextlib.ExitStack() as stack:
        try:
            paths.local(output_dir).mkdir(parents=True, exist_ok=True)
            stack.enter_context(storage.locked(paths.local(output_dir)))
        except storage.InUseError as error:
            raise CheckpointError(str(error)) from error
        except OSError as error:
            raise CheckpointError(f"{output_dir} cannot be written: {error.strerror}") from error
        storage.sweep(paths.local(output_dir))
        yield


def read_config(run_dir: str | pathlib.Path) -> dict[str, Any]:
    """The `config.json` of a run's folder.

    Raises:
      CheckpointError: if there is none, or it is not a run's.
    """
    path = paths.local(run_dir) / CONFIG
    if not path.exists():
        raise CheckpointError(f"expected a run's folder with a {CONFIG}, found none in {run_dir}")
    try:
        config = json.loads(path.read_text())
    except ValueError as error:
        raise CheckpointError(f"expected a run's {CONFIG} in {run_dir}, got no JSON: {error}") from error
    if not isinstance(config, dict):
        raise CheckpointError(f"expected a run's {CONFIG} in {run_dir}, got {_WORDS[type(config)]}")
    for name, kind in _ENTRIES.items():
        if name not in config and name in _NEEDED:
            raise CheckpointError(f'expected a run\'s {CONFIG} in {run_dir}, got one without an entry "{name}"')
        if name in config and not isinstance(config[name], kind):
            raise CheckpointError(
                f'expected {_WORDS[kind]} as entry "{name}" of {run_dir}/{CONFIG}, got {_WORDS[type(config[name])]}'
            )
    return config


def update_config(run_dir: str | pathlib.Path, **entries: Any) -> None:
    """Replaces entries of the `config.json` of a run's folder, which this process must own."""
    known = read_config(run_dir)
    if known != known | entries:
        storage.write(paths.local(run_dir) / CONFIG, storage.to_json(known | entries, indent=2) + "\n")


def _is_ours(folder: pathlib.Path, config: dict[str, Any], comparable: Callable[..., dict[str, Any]]) -> bool:
    """Whether a folder belongs to this run; false if it is empty or missing.

    Raises:
      CheckpointError: if it contains anything else.
    """
    if (folder / CONFIG).exists():
        try:
            known = comparable(read_config(folder)["model"])
        except ValueError as error:
            raise CheckpointError(f"expected a run's {CONFIG} in {folder}, got another: {error}") from error
        # Compared as JSON, where a tuple is a list.
        ours, theirs = (json.loads(json.dumps(model)) for model in (config["model"], known))
        differing = [key for key in sorted(ours.keys() | theirs.keys()) if ours.get(key) != theirs.get(key)]
        if differing:
            differences = ", ".join(f"{key}={theirs.get(key)} (here {ours.get(key)})" for key in differing)
            raise CheckpointError(
                f"{folder} contains a run of another model, with {differences}: choose another --output_dir"
            )
        return True
    try:
        found = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be a run's folder: {error.strerror}") from error
    if foreign := [name for name in found if name not in _NOBODYS]:
        more = f" and {len(foreign) - 1} more" if len(foreign) > 1 else ""
        raise CheckpointError(
            f"expected an empty folder or a run's folder with a {CONFIG}, got {folder} with {foreign[0]}{more}: "
            "choose another --output_dir"
        )
    return False

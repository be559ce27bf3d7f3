"""A hook of mkdocs: each version of the package has a folder of its own, so that links to a version stay.

    site/index.html      goes on to the newest version
    site/versions.json   the versions, for the menu at the top of each page, as the program `mike` writes it
    site/0.1.0/          the pages of a version

What is in other folders of the site stays: to publish a version, build into a copy of what is published.
"""

from __future__ import annotations

import json
import pathlib
import runpy
from typing import Any

import packaging.version

_VERSION = runpy.run_path(str(pathlib.Path(__file__).parents[1] / "tfp_realnvp/version.py"))["__version__"]
_REDIRECT = '<!doctype html><title>tfp_realnvp</title><meta http-equiv="refresh" content="0; url={}/index.html">\n'


def on_config(config: Any) -> Any:
    """Builds into the folder of the version."""
    config.site_dir = str(pathlib.Path(config.site_dir, _VERSION))
    return config


def on_post_build(*, config: Any) -> None:
    """Writes the list of versions, and the page that leads to the newest."""
    root = pathlib.Path(config.site_dir).parent
    found = [path.parent.name for path in root.glob("*/index.html")]
    versions = sorted(found, key=packaging.version.parse, reverse=True)
    listed = [{"version": version, "title": version, "aliases": []} for version in versions]
    (root / "versions.json").write_text(json.dumps(listed) + "\n")
    (root / "index.html").write_text(_REDIRECT.format(versions[0]))

"""Trains in an interpreter of its own what `benchmarks.tabular.Remote` asks for."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any


def serve(make_learner: Callable[..., Any]) -> None:
    """Each line of the standard input is a method of the learner, or "start", and its arguments."""
    # Whatever a library prints must not get between the replies.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    learner = None
    for line in sys.stdin:
        method, arguments = json.loads(line)
        reply: dict[str, Any] = {}
        try:
            if method == "start":
                learner = make_learner(**arguments)
            else:
                reply["result"] = getattr(learner, method)(**arguments)
        except Exception as error:  # Reported in the table.
            reply["error"] = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        print(json.dumps(reply), file=replies, flush=True)

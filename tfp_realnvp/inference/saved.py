"""Files of posteriors."""

from __future__ import annotations

import os
import pickle
from typing import Any

import numpy as np

from tfp_realnvp import paths
from tfp_realnvp.inference.posterior import FORMAT, Posterior, PosteriorModel
from tfp_realnvp.inference.support import Support


def load(path: str | os.PathLike[str], *, prior: Any = None) -> Posterior:
    """A posterior that `Posterior.save` has written, with its weights.

    The file is a pickle: load only files that you trust, with the version of the package that wrote them.

    Args:
      path: of the file.
      prior: the prior that it was trained with, which is not in the file; None if there was none.

    Raises:
      ValueError: if the file is none of a posterior, or for a prior with another support.

    ```python
    prior = tfd.Sample(tfd.HalfNormal(1.0), 2)
    theta = prior.sample(200, seed=1)
    nvp.inference.fit_posterior(theta, theta + 1, prior=prior, max_epochs=2).save("posterior.pickle")
    posterior = nvp.inference.load("posterior.pickle", prior=prior)
    posterior.sample(5, theta[0] + 1)  # [5, 2]
    ```
    """
    content = paths.local(path).read_bytes()
    try:
        found = pickle.loads(content)
    except Exception as error:  # Of any kind: the bytes say what is called.
        raise ValueError(f"expected a file by Posterior.save, got {type(error).__name__}: {error}") from error
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"expected a file by Posterior.save, got another one: {path}")
    support = Support(found["parts"], prior, found["example"])
    probe = support.probe()
    if probe.shape != found["probe"].shape or not np.allclose(probe, found["probe"], rtol=1e-5):
        raise ValueError(f"expected the prior that the posterior was trained with, got {prior} with another support")
    members = [PosteriorModel(*member, l2=0.0) for member in found["members"]]
    return Posterior(members, support, found["observations"], found["histories"])

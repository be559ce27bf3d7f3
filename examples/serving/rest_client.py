"""Query TensorFlow Serving over REST with the standard library alone.

    python examples/serving/rest_client.py --model=digits --sample=4 --seed=1
    python examples/serving/rest_client.py --model=digits --score=images.npy
    python examples/serving/rest_client.py --model=digits

--score takes an array [n, height, width, channels] of integers, to which the server adds noise, or of dequantised
floats. Without --score and --sample, prints the model's signatures.
"""

import argparse
import json
import sys
import urllib.error
import urllib.request

import numpy as np


def ask(url: str, body: dict | None = None) -> dict:
    """The server's answer; a refused request ends the program with the reason."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        sys.exit(f"error: {json.load(error).get('error', error)}")
    except urllib.error.URLError as error:
        sys.exit(f"error: no server at {url}: {error.reason}")


def score(url: str, images: np.ndarray) -> dict:
    """The log_prob and bits_per_dim of each image."""
    images = integers_as_uint8(images)
    signature = "log_prob_uint8" if images.dtype == np.uint8 else "log_prob"
    # "inputs" instead of "instances": each input appears once for all rows.
    return ask(f"{url}:predict", {"signature_name": signature, "inputs": {"images": images.tolist()}})["outputs"]


def integers_as_uint8(images: np.ndarray) -> np.ndarray:
    """Other integers would be sent as floats, without noise."""
    if np.issubdtype(images.dtype, np.integer) and images.dtype != np.uint8:
        if images.size and not 0 <= images.min() <= images.max() <= 255:
            sys.exit(f"error: expected integers in 0 ... 255, got {images.min()} ... {images.max()}")
        return images.astype(np.uint8)
    return images


def sample(url: str, count: int, seed: int, temperature: float) -> np.ndarray:
    """uint8 [count, height, width, channels]."""
    inputs = {"count": count, "seed": [seed, 0], "temperature": temperature}
    outputs = ask(f"{url}:predict", {"signature_name": "sample", "inputs": inputs})["outputs"]
    return np.asarray(outputs["pixels"], np.uint8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="http://localhost:8501")
    parser.add_argument("--model", default="digits", help="name of the model, as in models.config")
    parser.add_argument("--score", metavar="FILE", help="a .npy file of images")
    parser.add_argument("--sample", metavar="COUNT", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--output", default="samples.npy", help="output file of --sample")
    values = parser.parse_args()
    url = f"{values.server}/v1/models/{values.model}"
    if values.score:
        answers = score(url, np.load(values.score))
        for nats, bits in zip(answers["log_prob"], answers["bits_per_dim"]):
            print(f"{nats:.4f} nats, {bits:.4f} bits/dim")
    elif values.sample is not None:
        np.save(values.output, sample(url, values.sample, values.seed, values.temperature))
        print(f"Wrote {values.output}")
    else:
        print(json.dumps(ask(f"{url}/metadata"), indent=2))


if __name__ == "__main__":
    main()

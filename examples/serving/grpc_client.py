"""Query TensorFlow Serving over gRPC; needs `pip install tensorflow-serving-api`.

    python examples/serving/grpc_client.py --model=digits --sample=4 --seed=1
    python examples/serving/grpc_client.py --model=digits --score=images.npy

--score takes an array [n, height, width, channels] of integers, to which the server adds noise, or of dequantised
floats. Images are sent as bytes, ten times smaller than JSON.
"""

import argparse
import sys

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc


class Client:
    """A model on a server."""

    def __init__(self, server: str, model: str):
        channel = grpc.insecure_channel(server, [("grpc.max_receive_message_length", -1)])
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._model = model

    def ask(self, signature: str, **inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs of a signature by name.

        Raises:
          grpc.RpcError: INVALID_ARGUMENT with the reason, for an invalid request.
        """
        request = predict_pb2.PredictRequest()
        request.model_spec.name = self._model
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        response = self._stub.Predict(request, timeout=60)
        return {name: tf.make_ndarray(value) for name, value in response.outputs.items()}

    def score(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """The log_prob and bits_per_dim of each image; the server adds noise to integers."""
        if np.issubdtype(images.dtype, np.integer):
            if images.size and not 0 <= images.min() <= images.max() <= 255:
                sys.exit(f"error: expected integers in 0 ... 255, got {images.min()} ... {images.max()}")
            return self.ask("log_prob_uint8", images=images.astype(np.uint8))
        return self.ask("log_prob", images=images.astype(np.float32))

    def sample(self, count: int, seed: int, temperature: float = 1.0) -> np.ndarray:
        """uint8 [count, height, width, channels]."""
        drawn = self.ask("sample", count=np.int32(count), seed=np.int32([seed, 0]), temperature=np.float32(temperature))
        return drawn["pixels"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", default="localhost:8500")
    parser.add_argument("--model", default="digits", help="name of the model, as in models.config")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--score", metavar="FILE", help="a .npy file of images")
    what.add_argument("--sample", metavar="COUNT", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.0)
    parser.add_argument("--output", default="samples.npy", help="output file of --sample")
    values = parser.parse_args()
    client = Client(values.server, values.model)
    try:
        if values.score:
            answers = client.score(np.load(values.score))
            for nats, bits in zip(answers["log_prob"], answers["bits_per_dim"]):
                print(f"{nats:.4f} nats, {bits:.4f} bits/dim")
        else:
            np.save(values.output, client.sample(values.sample, values.seed, values.temperature))
            print(f"Wrote {values.output}")
    except grpc.RpcError as error:
        sys.exit(f"error: {error.code().name}: {error.details()}")


if __name__ == "__main__":
    main()

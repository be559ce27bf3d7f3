"""The files of launch/serving, and the clients of examples/serving against a stand-in for TensorFlow Serving."""

import concurrent.futures
import http.server
import json
import pathlib
import re
import subprocess
import tempfile
import threading

import grpc
import numpy as np
import tensorflow as tf
from absl.testing import absltest, parameterized
from google.protobuf import text_format
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from tensorflow_serving.config import model_server_config_pb2

from tests.launch import programs
from tests.serving import exported

try:
    import yaml
except ImportError:
    yaml = None

_ROOT = pathlib.Path(__file__).parents[2]
_DEPLOYMENT = _ROOT / "launch" / "serving"
_IMAGE = "tensorflow/serving:2.20.0"


class FilesTest(absltest.TestCase):
    def test_models(self):
        config = text_format.Parse(
            (_DEPLOYMENT / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
        )
        models = {model.name: model.base_path for model in config.model_config_list.config}
        self.assertEqual(models, {name: f"/models/{name}" for name in models})
        released = {path.parent.name for path in (_ROOT / "saved_models").glob("*/README.md")}
        self.assertNotEmpty(released)
        self.assertEqual(set(models), released)

    def test_batches(self):
        # The API package does not have its message. Sizes rise to the largest, as the server wants it.
        text = (_DEPLOYMENT / "batching_parameters.txt").read_text()
        sizes = [int(size) for size in re.findall(r"^allowed_batch_sizes: (\d+)$", text, re.MULTILINE)]
        self.assertEqual(sizes, sorted(sizes))
        self.assertEqual(sizes[-1], int(re.search(r"^max_batch_size { value: (\d+) }$", text, re.MULTILINE)[1]))

    def test_docker(self):
        folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory()))
        docker = folder / "docker"
        docker.write_text("#!/usr/bin/env bash\nprintf '%s\\n' \"$@\"\n")
        docker.chmod(0o755)
        arguments = subprocess.check_output(
            [_DEPLOYMENT / "docker.sh", "--enable_batching"],
            env={"PATH": f"{folder}:/usr/bin:/bin", "MODELS": "."},
            cwd=folder,
            text=True,
        ).splitlines()
        mounts = dict(
            argument.removesuffix(":ro").rsplit(":", 1)[::-1] for argument in arguments if argument.endswith(":ro")
        )
        self.assertEqual(mounts["/models"], str(folder.resolve()))
        config = next(a for a in arguments if a.startswith("--model_config_file=")).split("=")[1]
        self.assertTrue((pathlib.Path(mounts["/config"]) / pathlib.Path(config).name).exists())
        self.assertEqual(arguments[-1], "--enable_batching")
        published = [arguments[i + 1] for i, argument in enumerate(arguments) if argument == "--publish"]
        self.assertEqual(published, ["127.0.0.1:8500:8500", "127.0.0.1:8501:8501"])
        options = dict(zip(arguments, arguments[1:]))
        self.assertEqual((options["--memory"], options["--user"]), ("4g", "65534:65534"))
        self.assertContainsSubset({_IMAGE}, arguments)

    @absltest.skipIf(yaml is None, "PyYAML is not installed")
    def test_kubernetes(self):
        service, deployment = yaml.safe_load_all((_DEPLOYMENT / "kubernetes.yaml").read_text())
        pod = deployment["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        self.assertEqual(service["spec"]["selector"], pod["metadata"]["labels"])
        self.assertEqual(deployment["spec"]["selector"]["matchLabels"], pod["metadata"]["labels"])
        served = {port["containerPort"] for port in container["ports"]}
        self.assertEqual({port["port"] for port in service["spec"]["ports"]}, served)
        self.assertEqual({int(arg.split("=")[1]) for arg in container["args"] if "port=" in arg}, served)
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        self.assertCountEqual(mounts, [volume["name"] for volume in pod["spec"]["volumes"]])
        self.assertIn(f"--model_config_file={mounts['config']}/models.config", container["args"])
        self.assertEqual(container["image"], _IMAGE)
        self.assertEqual(service["spec"]["type"], "ClusterIP")
        self.assertTrue(pod["spec"]["securityContext"]["runAsNonRoot"])
        self.assertEqual(container["resources"]["limits"], {"memory": "4Gi"})
        for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
            ports = [check["port"] for check in container[probe].values() if isinstance(check, dict)]
            self.assertContainsSubset(ports, served)


class _Stub(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers as TensorFlow Serving does, over both protocols."""

    def __init__(self, path):
        self._signatures = tf.saved_model.load(str(path)).signatures

    def answer(self, name, inputs):
        specs = self._signatures[name].structured_input_signature[1]
        return self._signatures[name](**{key: tf.constant(inputs[key], spec.dtype) for key, spec in specs.items()})

    def Predict(self, request, context):
        try:
            outputs = self.answer(
                request.model_spec.signature_name, {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
            )
        except tf.errors.InvalidArgumentError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message)
        response = predict_pb2.PredictResponse()
        for key, value in outputs.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response

    def handler(stub):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    outputs = stub.answer(body["signature_name"], body["inputs"])
                    status, answer = 200, {"outputs": {k: v.numpy().tolist() for k, v in outputs.items()}}
                except tf.errors.InvalidArgumentError as error:
                    status, answer = 400, {"error": error.message}
                self.send_response(status if self.path == "/v1/models/digits:predict" else 404)
                self.end_headers()
                self.wfile.write(json.dumps(answer).encode())

            def log_message(self, *unused):
                pass

        return Handler


@parameterized.parameters("rest", "grpc")
class ClientsTest(parameterized.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.folder = pathlib.Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        stub = _Stub(exported.path())
        rest = http.server.ThreadingHTTPServer(("localhost", 0), stub.handler())
        threading.Thread(target=rest.serve_forever, daemon=True).start()
        cls.addClassCleanup(rest.server_close)
        cls.addClassCleanup(rest.shutdown)
        server = grpc.server(concurrent.futures.ThreadPoolExecutor(2))
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(stub, server)
        port = server.add_insecure_port("localhost:0")
        server.start()
        cls.addClassCleanup(server.stop, None)
        cls.servers = {"rest": f"http://localhost:{rest.server_port}", "grpc": f"localhost:{port}"}

    def _client(self, protocol, *flags):
        client = f"examples.serving.{protocol}_client"
        return programs.run(client, f"--server={self.servers[protocol]}", *map(str, flags))

    def test_scores(self, protocol):
        file = self.folder / f"{protocol}.npy"
        images = exported.distribution().sample(3, seed=(0, 1)).numpy()
        np.save(file, images)
        lines = self._client(protocol, f"--score={file}").output.splitlines()
        found = [float(line.split()[0]) for line in lines]
        np.testing.assert_allclose(found, exported.distribution().log_prob(images), rtol=1e-4, atol=1e-3)
        answers = []
        for dtype in (np.uint8, np.int64):
            np.save(file, np.clip(images, 0, 16).astype(dtype))
            answers.append(self._client(protocol, f"--score={file}").output.splitlines())
        self.assertLen(answers[0], 3)
        self.assertEqual(*answers)
        np.save(file, np.full_like(images, 256, np.int32))
        self.assertIn("expected integers in 0 ... 255, got 256", self._client(protocol, f"--score={file}").errors)

    def test_draws(self, protocol):
        file = self.folder / f"{protocol}_samples.npy"
        result = self._client(protocol, "--sample=3", "--seed=4", f"--output={file}")
        self.assertEqual(result.output, f"Wrote {file}\n", result.errors)
        expected = np.clip(np.floor(exported.distribution().sample(3, seed=(4, 0))), 0, 16)
        found = np.load(file)
        self.assertEqual(found.dtype, np.uint8)
        self.assertLessEqual(np.sum(found != expected), 1)  # Of what rounds down at the edge of a level.

    def test_says_what_the_server_refuses(self, protocol):
        result = self._client(protocol, "--sample=100000")
        self.assertEqual(result.status, 1)
        self.assertIn("error: ", result.errors)
        self.assertIn("expected a count in 1 ... 4 (max_samples), got", result.errors)


if __name__ == "__main__":
    absltest.main()

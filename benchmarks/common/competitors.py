"""Who takes part in a comparison of whole networks, and how one step of each is done.

A competitor is (name, kind, step). Kinds: "dense" (the ratios are against the fastest of these),
"ssc", "smaller" (dense with as few weights), "other".
"""

import tempfile
from pathlib import Path

import keras
import numpy as np

import keras_ssc
from common import alternatives, deepsparse_engine, machine, torch_networks
from common.piped import NotInstalled, Piped

MORE = {
    "masked": alternatives.masked,
    "separable": alternatives.separable,
    "groups": alternatives.groups,
}


# How a model is made fast for inference, by the ending of the competitor's name.
FOR_INFERENCE = {", folded": keras_ssc.fold, ", optimized": keras_ssc.optimize_for_inference}


class NotRun(Exception):
    """Why a competitor does not take part."""


def keras_step(model, task, x, y, jit_compile="auto"):
    """Return a callable that does one training step or one inference and waits for it."""
    model.compile(
        keras.optimizers.SGD(0.01, momentum=0.9),
        "sparse_categorical_crossentropy",
        jit_compile=jit_compile,
    )
    if task == "train":
        return lambda: float(np.asarray(model.train_on_batch(x, y)))
    return lambda: model.predict_on_batch(x)


class Comparison:
    """All competitors at one network, task and batch; closes what it started.

    Args:
        subject: Subject.
        task: `"infer"` or `"train"`.
        batch: int.
        exported: path of a folder of ONNX files, which serve all batches.
        torch_python, deepsparse_python: str, interpreters that have these, or None.
        more: tuple of names of `MORE`, or "XLA", or "bfloat16", to take in too.
    """

    def __init__(
        self, subject, task, batch, exported, torch_python=None, deepsparse_python=None, more=()
    ):
        self.subject, self.task, self.more, self.exported = subject, task, more, exported
        self.torch_python, self.deepsparse_python = torch_python, deepsparse_python
        random = np.random.default_rng(0)
        shape = subject.images["input_shape"]
        self.x = random.normal(size=(batch, *shape)).astype("float32")
        self.y = random.integers(0, subject.images["classes"], batch)

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self._open = []
        np.save(self.folder / "images.npy", self.x)
        np.save(self.folder / "labels.npy", self.y)
        return self

    def __exit__(self, *_):
        for step in self._open:
            step.close()
        self._folder.cleanup()

    def __iter__(self):
        """Yield (name, kind, step or why it is not run, facts about the network)."""
        for name, kind, model, jit in self.in_keras():
            facts = {
                "parameters": model.count_params(),
                "kernel_sparsity": round(keras_ssc.summary(model).network_sparsity, 4),
            }
            yield name, kind, keras_step(model, self.task, self.x, self.y, jit), facts
        for name, kind, start in self.elsewhere():
            try:
                step = start()
                step()
            except (NotRun, NotInstalled) as error:
                step = str(error)
            except Exception as error:  # another's failure is no reason to lose the run
                step = f"{type(error).__name__}: {error}".splitlines()[0]
            yield name, kind, step, {"version": getattr(step, "version", "")}

    def in_keras(self):
        """Yield (name, kind, model, jit_compile)."""
        infer, auto = self.task == "infer", "auto"
        dense = self.subject.build(sparsity=0)
        plain = alternatives.in_keras(dense, alternatives.dense)
        yield "dense, Keras's layers", "dense", plain, auto
        yield "dense, our BatchNormalization", "dense", dense, auto
        if infer:
            for ending, form in FOR_INFERENCE.items():
                yield f"dense{ending}", "dense", form(plain), auto
        models = {name: self.subject.build(**own) for name, own in self.subject.sparse.items()}
        for name, model in models.items():
            yield f"SSC {name}", "ssc", model, auto
            if infer:
                for ending, form in FOR_INFERENCE.items():
                    yield f"SSC {name}{ending}", "ssc", form(model), auto
        first = next(iter(models.values()))
        thinner = alternatives.thinner(dense, first.count_params())
        forms = FOR_INFERENCE if infer else {"": lambda model: model}
        for ending, form in forms.items():
            yield f"thinner dense{ending}", "smaller", form(thinner), auto
        if infer and "bfloat16" in self.more:
            yield from self.in_bfloat16(plain, models)
        for name in self.more:
            if name == "bfloat16":
                continue
            if name == "XLA":
                again = alternatives.in_keras(dense, alternatives.dense)
                yield "dense, XLA", "dense", again, True
            else:
                yield name, "other", alternatives.in_keras(first, MORE[name]), auto

    def in_bfloat16(self, plain, models):
        """As `in_keras`: Keras's mixed policy for the dense network, and products of bfloat16."""
        policy = keras.config.dtype_policy()
        keras.config.set_dtype_policy("mixed_bfloat16")
        try:
            mixed = alternatives.in_keras(self.subject.build(sparsity=0), alternatives.dense)
        finally:
            keras.config.set_dtype_policy(policy)
        yield "dense, folded, mixed_bfloat16", "other", keras_ssc.fold(mixed), "auto"
        named = {"dense": plain} | {f"SSC {name}": model for name, model in models.items()}
        for name, model in named.items():
            fast = keras_ssc.optimize_for_inference(model, dtype="bfloat16")
            yield f"{name}, optimized, bfloat16", "other", fast, "auto"

    def elsewhere(self):
        """Yield (name, kind, function that returns the step) of other libraries."""
        folded = "folded, " if self.task == "infer" else ""
        yield f"PyTorch dense, {folded}channels_last", "dense", self.in_torch
        if self.task == "train":
            return
        yield "ONNX Runtime, dense", "dense", lambda: self.in_onnx_runtime("dense")
        yield "DeepSparse, dense", "dense", lambda: self.in_deepsparse("dense")
        for name in self.subject.sparse:
            yield f"ONNX Runtime, SSC {name}", "other", lambda n=name: self.in_onnx_runtime(n)
            yield f"DeepSparse, masked {name}", "other", lambda n=name: self.in_deepsparse(n)

    def in_torch(self):
        """PyTorch's dense network, folded for inference."""
        if self.torch_python is None:
            raise NotRun("no --torch-python")
        model = alternatives.in_keras(self.subject.build(sparsity=0), alternatives.dense)
        model = keras_ssc.fold(model) if self.task == "infer" else model
        path = self.folder / "network.npz"
        torch_networks.describe(model, path)
        files = [path, self.folder / "images.npy", self.folder / "labels.npy"]
        return self._piped(self.torch_python, torch_networks, *files, self.task, machine.threads())

    def in_onnx_runtime(self, name):
        """The exported network, dense or SSC."""
        try:
            import onnxruntime
        except ImportError:
            raise NotRun("not installed") from None
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = machine.threads()
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = self._onnx_file(name, masked=False)
        session = onnxruntime.InferenceSession(path, options, ["CPUExecutionProvider"])
        feed = {session.get_inputs()[0].name: self.x}
        return lambda: session.run(None, feed)

    def in_deepsparse(self, name):
        """The dense network, or SSC as a dense one with zeros, which DeepSparse skips."""
        if self.deepsparse_python is None:
            raise NotRun("no --deepsparse-python")
        path = self._onnx_file(name, masked=True)
        images = self.folder / "images.npy"
        return self._piped(
            self.deepsparse_python, deepsparse_engine, path, images, machine.threads()
        )

    def _onnx_file(self, name, masked):
        if keras.backend.backend() != "tensorflow":
            raise NotRun("ONNX is written with TensorFlow's backend")
        masked = masked and name != "dense"
        side = self.subject.images["input_shape"][0]
        words = [self.subject.builder, side, name, *["masked"] * masked]
        path = self.exported / f"{'-'.join(map(str, words))}.onnx"
        if not path.exists():
            model = self.subject.build(**self.subject.sparse.get(name, {"sparsity": 0}))
            if masked:
                model = keras_ssc.densify(model)
            try:
                keras_ssc.export(model, path, "onnx")
            except ImportError as error:
                raise NotRun(f"not installed: {error.name}") from error
        return path

    def _piped(self, python, module, *arguments):
        step = Piped(python, module.__name__, *arguments)
        self._open.append(step)
        return step

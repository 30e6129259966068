"""The devices of a distributed training: several of one machine, and those of several processes."""

import os

import keras

from keras_ssc.arguments import integer


def data_parallel(devices=None):
    """Return a strategy whose `scope()` keeps a copy of a model on each device.

    Build, compile and load the model under the scope; `fit` then splits every batch among the
    devices and sums their gradients.

    Args:
        devices: int, so many of the devices of this machine; None: all, those of the other
            processes too.

    Returns:
        `tf.distribute.MirroredStrategy` or `keras.distribution.DataParallel`.

    Raises:
        ValueError: there are not so many devices.
        RuntimeError: the backend is neither TensorFlow nor JAX.

    Example:

    >>> with data_parallel(1).scope():
    ...     model = keras_ssc.applications.ResNet20(width=4, g=2, p=2)

    Reference: Dean et al., "Large Scale Distributed Deep Networks" (synchronous form).
    """
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax"):
        raise RuntimeError(f"Training on several devices needs TensorFlow or JAX, not {backend}")
    names = _names(backend)
    if devices is not None:
        devices = integer("devices", devices, 1)
        if devices > len(names):
            raise ValueError(
                f"`devices` must be at most {len(names)}: there are {names}. Received: {devices}"
            )
    if backend == "jax":
        # Every process reads its own part of the images: nothing is left for Keras to divide.
        return keras.distribution.DataParallel(devices=names[:devices], auto_shard_dataset=False)
    import tensorflow as tf

    return tf.distribute.MirroredStrategy(names[:devices])


def _names(backend):
    """Names of the devices of the best kind."""
    if backend == "jax":
        return keras.distribution.list_devices()
    import tensorflow as tf

    kinds = [tf.config.list_logical_devices(kind) for kind in ("GPU", "CPU")]
    return [device.name for device in next(filter(None, kinds))]


def split_cpu(devices):
    """Divide the CPU into `devices` logical devices, to try on one machine what runs on many.

    Call it before anything is computed.

    Args:
        devices: int, how many.

    Raises:
        RuntimeError: the backend runs already.

    Example:

        split_cpu(4)
        strategy = data_parallel()
    """
    if keras.backend.backend() == "jax":
        import jax

        jax.config.update("jax_num_cpu_devices", devices)
        return
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    parts = [tf.config.LogicalDeviceConfiguration()] * devices
    tf.config.set_logical_device_configuration(cpu, parts)


def join(address, processes, process, heartbeat=20):
    """Join the processes of one training, on one or several machines. JAX only.

    Call it before anything is computed, in every process; it returns when all are there.

    Args:
        address: str, host:port of process 0.
        processes: int, how many there are.
        process: int from 0, which one this is.
        heartbeat: int, seconds without a sign of life after which a process counts as lost.

    Raises:
        RuntimeError: the backend is not JAX.
        ValueError: an argument is out of range.

    Example:

        join("10.0.0.1:1234", processes=4, process=0)
    """
    if keras.backend.backend() != "jax":
        raise RuntimeError(
            "Training in several processes needs KERAS_BACKEND=jax: `fit` of Keras 3 on "
            "TensorFlow does not work with MultiWorkerMirroredStrategy (keras issue 20585)"
        )
    processes = integer("processes", processes, 1)
    if process not in range(processes):
        raise ValueError(
            f"`process` must be in 0 ... {processes - 1}. Received: process={process!r}"
        )
    if not address or ":" not in address:
        raise ValueError(f"`address` must be host:port of process 0. Received: {address!r}")
    import jax

    if os.environ.get("JAX_PLATFORMS", "cpu") == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
    jax.distributed.initialize(address, processes, process, heartbeat_timeout_seconds=heartbeat)


def synchronized(model):
    """Return the model with BatchNormalization over the whole batch, not each device's part.

    On TensorFlow the moments are otherwise those of a device's part of the batch, and the result
    depends on the number of devices. On JAX they always are of the whole batch, and the model is
    returned as it is.

    Args:
        model: functional or Sequential Keras model, not compiled; weights are copied.

    Example:

    >>> model = synchronized(keras_ssc.applications.ResNet20(width=4, g=2, p=2))
    >>> model.get_layer("stem_bn").synchronized or keras.backend.backend() == "jax"
    True

    Reference: Peng et al., "MegDet" (cross-GPU batch normalisation).
    """
    if keras.backend.backend() != "tensorflow":
        return model

    def copy(layer):
        config = layer.get_config()
        if isinstance(layer, keras.layers.BatchNormalization):
            config["synchronized"] = True
        return type(layer).from_config(config)

    new = keras.models.clone_model(model, clone_function=copy)
    new.set_weights(model.get_weights())
    return new

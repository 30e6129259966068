"""Train one network at several sparsities: accuracy against bytes and multiply-adds."""

from keras_ssc.cli.config_arguments import add_config_arguments, given

_DEFAULTS = {"model": "ResNet20", "epochs": 5, "batch_size": 32, "learning_rate": 0.02}
_DATA = ("dataset", "data_dir", "image_size", "validation_split", "test_split", "limit", "seed")


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add = parser.add_argument
    add_config_arguments(parser, ("model",), **_DEFAULTS)
    add("--sparsities", type=float, nargs="+", default=[0, 0.8, 0.9, 0.95],
        help="0 is the dense network; 0 0.8 0.9 0.95")  # fmt: skip
    add("--nearest", action="store_true", help="in place of what can't be reached, the nearest")
    add_config_arguments(parser, _DATA)
    add("--epochs", type=int, default=_DEFAULTS["epochs"], help="of each training; 5")
    add("--batch-size", type=int, default=_DEFAULTS["batch_size"], help="32")
    add("--learning-rate", type=float, default=_DEFAULTS["learning_rate"],
        help="at the start of a cosine; 0.02")  # fmt: skip
    add("--run-dir", required=True, help="folder for rows, models, table and picture; resumes")


def run(arguments):
    """Train what is missing in the folder, print the table, draw the picture."""
    import keras

    from keras_ssc import applications
    from keras_ssc.sweep_plots import plot_sweep
    from keras_ssc.sweeps import sweep, sweep_table
    from keras_ssc.training.config import TrainingConfig
    from keras_ssc.training.data import load_data
    from keras_ssc.training.loop import fed, fit
    from keras_ssc.training.progress import Progress

    config = TrainingConfig(**_DEFAULTS | given(arguments))
    data = load_data(config)

    def build(sparsity):
        network = getattr(applications, config.model)
        classes = len(data.class_names)
        return network(input_shape=data.input_shape, classes=classes, sparsity=sparsity)

    def train(model):
        steps = config.epochs * len(data.train)
        rate = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
        model.compile(
            keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        bar = Progress(config.epochs, len(data.train))
        try:
            fit(model, data.train, config.epochs, [bar], validation_data=data.test)
        finally:
            bar.stop()

    rows = sweep(
        build,
        arguments.sparsities,
        train=train,
        validation=fed(data.test),
        nearest=arguments.nearest,
        seed=config.seed,
        folder=arguments.run_dir,
    )
    print(f"\n{sweep_table(rows)}\n")
    try:
        plot_sweep(rows, f"{arguments.run_dir}/sweep.png")
    except ImportError as error:
        print(f"No picture. {error}")
    print(f"Everything is in {arguments.run_dir}")

"""Train one network at several sparsities: accuracy against bytes and multiply-adds."""


def add_arguments(parser):
    """Add the arguments of the subcommand to an `argparse.ArgumentParser`."""
    add = parser.add_argument
    add("--model", default="ResNet20", help="a builder of keras_ssc.applications; ResNet20")
    add("--sparsities", type=float, nargs="+", default=[0, 0.8, 0.9, 0.95],
        help="0 is the dense network; 0 0.8 0.9 0.95")  # fmt: skip
    add("--nearest", action="store_true", help="in place of what can't be reached, the nearest")
    add("--dataset", default="digits", help="a set of keras_ssc.datasets; digits")
    add("--data-dir", help="folder of the set")
    add("--epochs", type=int, default=5, help="of each training; 5")
    add("--batch-size", type=int, default=32)
    add("--learning-rate", type=float, default=0.02, help="at the start of a cosine; 0.02")
    add("--seed", type=int, default=0)
    add("--limit", type=int, help="use only so many training and test images")
    add("--run-dir", required=True, help="folder for rows, models, table and picture; resumes")


def run(arguments):
    """Train what is missing in the folder, print the table, draw the picture."""
    import keras

    from keras_ssc import applications, datasets
    from keras_ssc.arguments import integer, known, number
    from keras_ssc.sweep_plots import plot_sweep
    from keras_ssc.sweeps import sweep, sweep_table

    known("model", arguments.model, applications.__all__)
    for name in ("epochs", "batch_size"):
        integer(name, getattr(arguments, name), 1)
    number("learning_rate", arguments.learning_rate, 0)
    data = datasets.load(arguments.dataset, arguments.data_dir)
    part = slice(arguments.limit)
    common = {"mean": data.mean, "std": data.std, "classes": data.classes}
    test = datasets.Batches(data.x_test[part], data.y_test[part], 256, **common)

    def build(sparsity):
        network = getattr(applications, arguments.model)
        shape = data.x_train.shape[1:]
        return network(input_shape=shape, classes=data.classes, sparsity=sparsity)

    def train(model):
        batches = datasets.Batches(
            data.x_train[part], data.y_train[part], arguments.batch_size, augment=True,
            flip=data.flip, shuffle=True, seed=arguments.seed, **common,
        )  # fmt: skip
        steps = arguments.epochs * len(batches)
        rate = keras.optimizers.schedules.CosineDecay(arguments.learning_rate, steps)
        model.compile(
            keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
            "sparse_categorical_crossentropy",
            metrics=["accuracy"],
        )
        model.fit(batches, epochs=arguments.epochs, shuffle=False, verbose=2)

    rows = sweep(
        build,
        arguments.sparsities,
        train=train,
        validation=test,
        nearest=arguments.nearest,
        seed=arguments.seed,
        folder=arguments.run_dir,
    )
    print(f"\n{sweep_table(rows)}\n")
    try:
        plot_sweep(rows, f"{arguments.run_dir}/sweep.png")
    except ImportError as error:
        print(f"No picture. {error}")
    print(f"Everything is in {arguments.run_dir}")

"""Make the convolutions of a saved Keras model sparse, and save the new model.

python applications/sparsify.py --model dense.keras --output sparse.keras --sparsity 0.9
"""

import argparse
import os

from _program import run, stop

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def parse():
    """Return the parsed command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", required=True, help="the dense model, a .keras file")
    add("--output", help="where to write the sparse model, a .keras file; without it: only look")
    add("--sparsity", type=float, default=0.9, help="of the converted layers together; 0.9")
    add("--keep", nargs="+", metavar="LAYER", help="stay dense; first convolution and classifier")
    add("--from-dense", action="store_true", help="start at the weights of the dense kernels")
    add("--dense", action="store_true", help="convert Dense layers on maps too")
    add("--execution", default="auto", help="how the sparse layers compute")
    add("--overwrite", action="store_true", help="replace the file at --output")
    return parser.parse_args()


def main():
    """Convert, save, and print what was done."""
    arguments = parse()
    # Imported here, so that --help and a mistyped flag answer at once.
    import keras_ssc
    from keras_ssc.atomic_write import check_new_file, new_file
    from keras_ssc.model_file import read_model

    chosen = {"keep": arguments.keep, "dense": arguments.dense}
    try:
        if arguments.output:
            check_new_file(arguments.output, ".keras", arguments.overwrite)
        model = read_model(arguments.model)
        plan = keras_ssc.conversion_plan(model, arguments.sparsity, **chosen)
        print(plan)
        if not arguments.output:
            return
        sparse = keras_ssc.sparsify(
            model,
            arguments.sparsity,
            from_dense=arguments.from_dense,
            execution=arguments.execution,
            **chosen,
        )
        with new_file(arguments.output, ".keras", arguments.overwrite) as temporary:
            sparse.save(temporary)
    except (OSError, TypeError, ValueError) as error:
        stop(error)
    sizes = [f"{os.path.getsize(path):,}" for path in (arguments.output, arguments.model)]
    print(f"\n{arguments.output}: {sizes[0]} bytes; {arguments.model}: {sizes[1]} bytes")


if __name__ == "__main__":
    run(main)

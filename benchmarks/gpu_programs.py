"""What a network's program for a GPU consists of: launches of kernels, and bytes that they move.

pip install "jax[cuda13]"       # its compiler; no GPU is needed
KERAS_BACKEND=jax python benchmarks/gpu_programs.py --csv gpu-programs.csv

XLA compiles the programs of gpu_networks.py for a card that need not be there, and its result is
read: each instruction of the loop over steps that is a launch, with the sizes of the arrays that it
reads and writes. Nothing is run: these are counts, not times. An array that the card's cache still
holds counts like any other.
"""

import argparse
import collections
import functools
import math
import os
import re
from importlib import metadata
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # for the models; the programs are for the card

import gpu_networks
import jax
from jax.experimental import topologies

from common import results
from keras_ssc.native.gpu import build, lowering, passes

CARD = Path(__file__).with_name("common") / "h200.txtpb"  # XLA's description of the card
ARCHITECTURE, SHARED = build.architecture_of("9.0")
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4, "f32": 4}
# Instructions that launch nothing.
FREE = ("parameter", "get-tuple-element", "tuple", "bitcast", "constant", "while", "after-all")
COMPUTATION = re.compile(r"(?:ENTRY )?%?[\w.\-]+ \(.*\{\s*$")
INSTRUCTION = re.compile(r"\s+(?:ROOT )?%([\w.\-]+) = (.*?) ([\w\-]+)\((.*)$")
LIBRARIES = gpu_networks.LIBRARIES
KINDS = {build.TARGET: "our kernels", "__cudnn": LIBRARIES, "__cublas": LIBRARIES}
OWN = "XLA's own"


def size(shape):
    """Bytes of the arrays in XLA's text of a shape."""
    found = re.findall(r"(\w+)\[([\d,]*)\]", shape)
    return sum(
        BYTES[dtype] * math.prod(int(n) for n in sides.split(",") if n)
        for dtype, sides in found
        if dtype in BYTES
    )


def launches(text):
    """[(kind of kernel, bytes read and written)] of the longest computation of XLA's program."""
    computations = [[]]
    for line in text.splitlines():
        if COMPUTATION.match(line):
            computations.append([])
        elif found := INSTRUCTION.match(line):
            computations[-1].append(found.groups())
    body = max(
        computations, key=lambda own: sum(op in ("fusion", "custom-call") for *_, op, _ in own)
    )
    shapes, found = {}, []
    for name, shape, op, rest in body:
        shapes[name] = shape
        if op in FREE:
            continue
        read = dict.fromkeys(re.findall(r"%([\w.\-]+)", rest.split("), ")[0]))
        # A slice by itself reads as much as it writes.
        alone = name.startswith("wrapped_slice")
        inputs = size(shape) if alone else sum(size(shapes.get(one, "")) for one in read)
        target = re.search(r'custom_call_target="([^"]+)"', rest)
        kinds = [kind for start, kind in KINDS.items() if target and target[1].startswith(start)]
        found.append((next(iter(kinds), OWN), inputs + size(shape)))
    return found


def card():
    """XLA's description of one card, as a sharding for the arguments of programs."""
    try:
        topology = topologies.get_topology_desc(
            platform="cuda", target_config=CARD.read_text(), topology="1x1x1"
        )
    except Exception as error:
        raise SystemExit(
            f'JAX can\'t compile for NVIDIA GPUs here; pip install "jax[cuda13]". {error}'
        ) from None
    mesh = jax.sharding.Mesh(topology.devices, ("card",))
    return jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())


def trace_for_the_card():
    """Make layers take the GPU's kernels, as they would on the card."""
    build.tell_jax(build.launch_library())
    lowering.register()
    device = passes.Device(SHARED, functools.partial(lowering.call, ARCHITECTURE))
    lowering.find = lambda: (device, None)
    jax.default_backend = lambda: "gpu"


def program(name, form, task, batch, place):
    """The text of a network's program, compiled for the card."""
    model = gpu_networks.built(name, form)
    run, state = gpu_networks.TASKS[task](model, 2)
    shape = gpu_networks.NETWORKS[name][1].get("input_shape", (32, 32, 3))
    state = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape, a.dtype, sharding=place), state)
    images = jax.ShapeDtypeStruct((3, batch, *shape), "float32", sharding=place)
    labels = jax.ShapeDtypeStruct((3, batch), "int32", sharding=place)
    own = jax.jit(run, donate_argnums=0 if task == "training" else ())
    traced = own.trace(state, images, labels)
    return traced.lower(lowering_platforms=("cuda",)).compile().as_text()


def main():
    """Parse the command line, compile, count, save."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = list(gpu_networks.NETWORKS)
    parser.add_argument("--networks", nargs="+", choices=names, default=names)
    parser.add_argument("--tasks", nargs="+", default=list(gpu_networks.TASKS))
    parser.add_argument("--forms", nargs="+", default=["dense", "native"])
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--csv", default="gpu-programs.csv")
    arguments = parser.parse_args()
    place = card()
    trace_for_the_card()
    rows = []
    for name in arguments.networks:
        for task in arguments.tasks:
            for form in arguments.forms:
                found = launches(program(name, form, task, arguments.batch, place))
                count, moved = collections.Counter(), collections.Counter()
                for kind, own in found:
                    count[kind] += 1
                    moved[kind] += own
                for kind in count:
                    rows.append({
                        "network": name, "task": task, "form": form, "kind": kind,
                        "launches": count[kind], "megabytes": moved[kind] / 1e6,
                        "card": place.mesh.devices.flat[0].device_kind, "batch": arguments.batch,
                        "jax": metadata.version("jax"), "keras": metadata.version("keras"),
                    })  # fmt: skip
                print(f"{name:28}{task:10}{form:8}{count.total():6} launches"
                      f"{moved.total() / 1e6:10.0f} MB", flush=True)  # fmt: skip
                results.save(rows, arguments.csv, "gpu-programs")


if __name__ == "__main__":
    main()

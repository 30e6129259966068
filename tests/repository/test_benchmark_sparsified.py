"""benchmarks/sparsified.py: complete rows, and the table that stands in the docs."""

import csv
import sys

import keras
from benchmark_programs import programs_found  # noqa: F401


def test_table_of_sparsified_networks_is_what_the_program_makes():
    import sparsified

    from common import results

    text = sparsified.PAGE.read_text(encoding="utf-8")
    (path,) = results.FOLDER.glob("sparsified-*.csv")
    rows = results.read(path)
    made = sparsified.with_section(text, sparsified.MAKER, sparsified.section(rows))
    assert made == text
    assert {row["competitor"] for row in rows} >= {sparsified.DENSE, sparsified.OURS}


def test_networks_of_keras_are_timed_as_they_are_and_sparsified(tmp_path, monkeypatch, capsys):
    import sparsified

    def small(weights, input_shape, classes):
        inputs = keras.Input(input_shape)
        x = keras.layers.Conv2D(16, 3)(inputs)
        for _ in range(2):
            x = keras.layers.ReLU()(keras.layers.BatchNormalization()(x))
            x = keras.layers.Conv2D(16, 3, padding="same")(x)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(classes, "softmax")(x))

    monkeypatch.setattr(keras.applications, "ResNet50", small)
    path = tmp_path / "sparsified.csv"
    words = ["--networks", "ResNet50", "--side", "8", "--batch", "2", "--repeats", "1"]
    monkeypatch.setattr(sys, "argv", ["sparsified.py", *words, "--csv", str(path)])
    sparsified.main()
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["pass"] for row in rows] == ["train"] * 3 + ["infer"] * 5
    assert all(float(row["median_ms"]) > 0 for row in rows)
    dense = {row["competitor"] for row in rows if row["kind"] == "dense"}
    assert dense == {"dense", "dense, optimized"}
    assert sparsified.section(rows).count("| ResNet50 |") == 2

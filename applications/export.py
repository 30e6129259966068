"""Export a saved `.keras` model for another runtime, and compare the two before the file is kept.

python applications/export.py --model runs/digits/best.keras --format onnx --path network.onnx
python applications/export.py --model runs/digits/best.keras --format litert --path network.tflite \
    --quantize int8 --calibration digits
"""

from _program import door

if __name__ == "__main__":
    door("export")

"""What a module can be run with: this package, and what people use instead.

Each side is told a module and prepared untimed; what it returns is timed.
"""

OURS = "ModuleLayer"
KERAS_LAYER = "tensorflow_hub.KerasLayer"
SAVED_MODEL = "tf.saved_model.load"
BARE_FUNCTION = "bare concrete function"
SESSION = "TF1 session"
TWIN = "native Keras twin"
# What compile() would not choose by itself; XLA slows some models on a CPU.
TWIN_WITHOUT_XLA = "native Keras twin, no XLA"
COMPILED = "hub.compile"  # By whichever engine is fastest.
ONNX_RUNTIME = "ONNX Runtime by hand"
OPENVINO = "OpenVINO by hand"
# In tables, whichever side that is.
BEST = "best of the others"


def compiled_by(engine: str) -> str:
    """hub.compile with one engine."""
    return f"{COMPILED}, {engine}"

"""TensorFlow 1's control flow, rewritten as functions of TensorFlow 2.

For graphs that run in a function. In TensorFlow 1 a loop is a ring of Enter,
Merge, Switch, NextIteration and Exit ops, a conditional a pair of Switch and
Merge. A TensorFlow 2 function runs such ops but does not differentiate them
reliably: even with their contexts restored, building a loop's gradient recursed
without end in TensorFlow 2.21, and with that worked round, a loop and a
conditional in one function got a wrong gradient without an error. ``While`` and
``If`` ops, which call functions, it differentiates.
"""

from hub_keras_bridge.graphs.control_flow.rewrite import functionalize, has_control_flow
from hub_keras_bridge.graphs.control_flow.subgraph import Irregular
from hub_keras_bridge.graphs.control_flow.tensor_arrays import flows

__all__ = ["Irregular", "flows", "functionalize", "has_control_flow"]

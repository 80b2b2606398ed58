"""Every op that safe mode refuses, by every way that a module can come to run it.

An audit names it, and no way runs it. Modules are made by hand (handmade.py), so
that there is nothing but safe mode to refuse them.
"""

import pytest
import tensorflow as tf

import hub_keras_bridge as hub
from helpers.handmade import Handmade, all_nodes
from helpers.plans import all_plans
from helpers.routes import IN_SESSIONS, ROUTES
from hub_keras_bridge.compat import tensorflow as private_tf
from hub_keras_bridge.graphs.ops.reach import Reach, reviewed_ops
from hub_keras_bridge.plans.audit import audit_module
from hub_keras_bridge.plans.program import Programs
from hub_keras_bridge.plans.selection import select
from hub_keras_bridge.plans.trust import EVERYTHING, Trust

v1 = tf.compat.v1

_INSIDE = {Reach.COMPUTE, Reach.STATE, Reach.NAMED}


def takes_references(op):
    return any(argument.is_ref for argument in private_tf.op_def(op).input_arg)


# What is on references is refused as such, before anyone asks what it reaches.
REFUSED = [
    op
    for op, reach in sorted(reviewed_ops().items())
    if reach not in _INSIDE and private_tf.op_def(op) is not None and not takes_references(op)
]
SEVERAL = ["WriteFile", "ReadFile", "PyFunc", "RpcCall", "Timestamp", "FIFOQueueV2", "MapDataset"]


def module_by(route, op):
    module = Handmade()
    ROUTES[route](module, lambda body: body.node_of(op))
    return module


def endpoints(spec, trust):
    """What a layer of all outputs, to be trained, looks at before it is made."""
    selection = select(
        spec,
        signature=None,
        output_key=None,
        as_dict=True,
        trainable_patterns=None,
        tags=None,
        training_tags=None,
    )
    return selection.endpoints(Programs(spec), trust, trainable=True)


def ops_imported(spec):
    """The ops of all that calls of the signature import and make."""
    variant = spec.variant(())
    plans = all_plans(variant, ["default"])
    made = {maker.op for plan in plans for maker in plan.makers}
    return made | {node.op for plan in plans for node in all_nodes(plan.graph_def)}


def check(route, op):
    """No way between: it is refused, and named, or it is not there."""
    spec = module_by(route, op).spec()
    audit = audit_module(spec)
    named = [finding for finding in audit.findings if finding.op == op]
    assert named, "the audit does not name it"
    assert all(finding.needed_by == ("default",) for finding in named)
    assert op in audit.refused_ops
    if route in IN_SESSIONS or _makes_resource(op):
        assert not _is_taken(spec) or op not in ops_imported(spec)
        return
    with pytest.raises(hub.UnsafeModuleError) as caught:
        endpoints(spec, Trust())
    assert f"({op}: {named[0].kind.value})" in str(caught.value)


def _is_taken(spec):
    try:
        endpoints(spec, Trust())
    except hub.UnsafeModuleError:
        return False
    return True


def check_trust(route, op):
    """What the audit prints is enough, and all of it is needed."""
    spec = module_by(route, op).spec()
    told = audit_module(spec).refused_ops
    endpoints(spec, Trust(told))
    if op in ops_imported(spec):
        with pytest.raises(hub.UnsafeModuleError, match=f"{op}: "):
            endpoints(spec, Trust(told - {op}))


def _makes_resource(op):
    """Whether a node of it is state, which is made where it is read, and for nothing else."""
    definition = private_tf.op_def(op)
    return not definition.input_arg and [arg.type for arg in definition.output_arg] == [
        tf.resource.as_datatype_enum
    ]


def test_there_are_enough():
    assert len(REFUSED) > 700
    assert len(ROUTES) > 30


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("op", SEVERAL)
def test_several_ops_by_each_route(route, op):
    check(route, op)
    check_trust(route, op)


def test_each_op_by_one_route():
    for op in REFUSED:
        check("stateful_partitioned_call", op)


@pytest.mark.slow
@pytest.mark.parametrize("route", ROUTES)
def test_each_op_by_each_route(route):
    for op in REFUSED:
        check(route, op)


def test_trusted_they_are_taken():
    """So it is safe mode that refuses them, and nothing else."""
    for op in REFUSED:
        endpoints(module_by("control_edge", op).spec(), EVERYTHING)

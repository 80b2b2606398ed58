"""The shape of a message, and what an old caller's except clause catches."""

import copy
import pickle

import pytest
import tensorflow as tf

from hub_keras_bridge import errors
from hub_keras_bridge.errors import HubError, Subject


def test_message_says_what_where_and_what_to_do():
    subject = Subject("/m", frozenset({"train"})).with_signature("default")
    error = errors.SignatureError(
        "No such output.", subject, expected="'a'", found="'b'", advice="pass 'a'"
    )
    assert str(error) == (
        "No such output.\n"
        "  In: module '/m', tags {'train'}, signature 'default'\n"
        "  Expected: 'a'\n"
        "  Found: 'b'\n"
        "  What to do: pass 'a'"
    )


def test_message_leaves_out_what_is_not_known():
    assert str(HubError("It failed.")) == "It failed."
    assert str(Subject()) == ""


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (errors.HandleError, OSError),
        (errors.HandleError, ValueError),
        (errors.FormatError, ValueError),
        (errors.FormatError, OSError),
        (errors.TagsError, KeyError),
        (errors.TagsError, RuntimeError),
        (errors.SignatureError, ValueError),
        (errors.SignatureError, KeyError),
        (errors.AttachmentError, KeyError),
        (errors.InputError, TypeError),
        (errors.InputError, ValueError),
        (errors.TrainingError, ValueError),
        (errors.UnknownOpError, RuntimeError),
        (errors.UnsafeModuleError, ValueError),
        (errors.CheckpointError, ValueError),
        (errors.PublishError, ValueError),
        (errors.PublishError, TypeError),
        (errors.ExportError, OSError),
        (errors.BackendError, RuntimeError),
        (errors.ArchiveError, ValueError),
        (errors.ArchiveError, OSError),
        (errors.DownloadError, OSError),
        (errors.DownloadError, ValueError),
        (errors.CacheError, OSError),
    ],
)
def test_builtin_base(error, builtin):
    with pytest.raises(builtin, match="expected thing") as caught:
        raise error("Failed.", expected="the expected thing")
    assert isinstance(caught.value, HubError)
    # A KeyError's own text would be the repr of its argument.
    assert str(caught.value).startswith("Failed.\n")


def test_survives_pickling_and_copying():
    error = errors.HandleError("Failed.", Subject("/m"), found="nothing")
    for other in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error)):
        assert type(other) is errors.HandleError
        assert str(other) == str(error)


def test_leaves_a_function_as_it_is():
    """AutoGraph makes an error of its own of others, with the traceback in its text."""

    @tf.function
    def function(x):
        raise errors.InputError("Cannot feed a module.", found=f"rank {x.shape.rank}")

    with pytest.raises(errors.InputError) as caught:
        function(tf.ones([2]))
    assert str(caught.value) == "Cannot feed a module.\n  Found: rank 1"

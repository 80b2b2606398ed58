"""The original's settings: variables of the environment, and absl's flags behind them."""

import re
from contextlib import contextmanager

import pytest
from absl import flags
from absl.testing import flagsaver

import hub_keras_bridge as hub
from hub_keras_bridge.files.fetch import cache_directory, remote, settings

FLAGS = flags.FLAGS
VARIABLES = ("TFHUB_CACHE_DIR", "TFHUB_MODEL_LOAD_FORMAT")


@contextmanager
def without_flags():
    """As if nobody had defined them; what is defined meanwhile goes again."""
    names = (settings.CACHE_DIR.flag, settings.LOAD_FORMAT.flag)
    saved = {name: FLAGS[name] for name in names}
    for name in names:
        delattr(FLAGS, name)
    try:
        yield
    finally:
        for name, flag in saved.items():
            if name in FLAGS:
                delattr(FLAGS, name)
            FLAGS[name] = flag


@pytest.fixture(autouse=True)
def _own_flags(monkeypatch):
    """Nothing is set, and the flags are this package's: other tests import the original."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    with without_flags():
        settings._define_flags()
        with flagsaver.flagsaver():
            yield


def parse(*argv):
    """What absl.app.run does with a command line."""
    FLAGS(["program", *argv])


# Recorded from the original: per command line, what TFHUB_* were, and what counted.
@pytest.mark.parametrize(
    ("argv", "variable", "folder", "load_format"),
    [
        ((), None, None, "AUTO"),
        ((), "", None, "AUTO"),
        ((), "/env", "/env", "COMPRESSED"),
        (
            ("--tfhub_cache_dir=/flag", "--tfhub_model_load_format=UNCOMPRESSED"),
            None,
            "/flag",
            "UNCOMPRESSED",
        ),
        (
            ("--tfhub_cache_dir=/flag", "--tfhub_model_load_format=UNCOMPRESSED"),
            "",
            "/flag",
            "UNCOMPRESSED",
        ),
        (
            ("--tfhub_cache_dir=/flag", "--tfhub_model_load_format=UNCOMPRESSED"),
            "/env",
            "/env",
            "COMPRESSED",
        ),
        (("--tfhub_cache_dir=",), None, None, "AUTO"),
    ],
)
def test_which_counts(argv, variable, folder, load_format, monkeypatch):
    parse(*argv)
    if variable is not None:
        monkeypatch.setenv("TFHUB_CACHE_DIR", variable)
        monkeypatch.setenv("TFHUB_MODEL_LOAD_FORMAT", variable and "COMPRESSED")
    found = cache_directory.directory()
    assert found == folder if folder else found.endswith("tfhub_modules")
    assert remote.load_format() == load_format


def test_without_parsing():
    """A notebook's command line is never parsed, and some delete all flags there."""
    with flagsaver.flagsaver():
        FLAGS.unparse_flags()
        assert cache_directory.directory().endswith("tfhub_modules")
        assert remote.load_format() == "AUTO"
        FLAGS.mark_as_parsed()
    with without_flags():
        assert settings.CACHE_DIR.value is None
        assert remote.load_format() == "AUTO"


def test_a_format_that_is_none():
    with pytest.raises(flags.IllegalFlagValueError, match="COMPRESSED"):
        parse("--tfhub_model_load_format=ZIPPED")


def test_errors_say_what_was_set():
    parse("--tfhub_cache_dir=https://host/cache")
    with pytest.raises(hub.CacheError) as caught:
        cache_directory.directory()
    assert caught.value.found == "--tfhub_cache_dir=https://host/cache"


def test_modules_are_kept_there(tmp_path, scale_path):
    from hub_keras_bridge.files import archive

    archive.pack(scale_path, str(tmp_path / "scale.tar"))
    parse(f"--tfhub_cache_dir={tmp_path / 'cache'}")
    assert hub.resolve(tmp_path / "scale.tar").startswith(str(tmp_path / "cache"))


def test_flags_tell_what_they_are():
    for setting in (settings.CACHE_DIR, settings.LOAD_FORMAT):
        flag = FLAGS[setting.flag]
        assert re.search(rf"\b{setting.variable}\b", flag.help)
        assert setting.variable in VARIABLES


@pytest.mark.parametrize("default", [None, "/theirs"])
def test_nobody_else_is_in_the_way(default):
    """The original, or a program, defines flags of the same names: after these, and before."""
    flags.DEFINE_string("tfhub_cache_dir", default, "theirs")
    flags.DEFINE_enum("tfhub_model_load_format", "AUTO", list(settings.LOAD_FORMATS), "theirs")
    assert FLAGS["tfhub_cache_dir"].help == "theirs"
    settings._define_flags()
    assert FLAGS["tfhub_cache_dir"].help == "theirs"
    assert settings.CACHE_DIR.value == default
    parse("--tfhub_cache_dir=/flag")
    assert cache_directory.directory() == "/flag"

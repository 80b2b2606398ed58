"""Caches that others may write to: who is told of, and whose modules are taken."""

import os
import shutil
import stat
import tempfile

import pytest

import hub_keras_bridge as hub
from helpers.places import ZOO
from hub_keras_bridge.files.fetch import cache, cache_entries, ownership

HANDLE = "https://example.org/m"
MODULE = ZOO / "text_embed" / "module"
STRANGER = 54321  # No machine has that many users.
TEAM = 54322

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def status(mode, user=1000, group=1000, kind=stat.S_IFDIR):
    return os.stat_result((kind | mode, 1, 1, 2, user, group, 0, 0, 0, 0))


@pytest.mark.parametrize(
    ("facts", "others"),
    [
        (status(0o755), None),
        (status(0o755, user=0), None),
        (status(0o755, user=STRANGER), f"user {STRANGER}"),
        (status(0o700, user=STRANGER), f"user {STRANGER}"),
        (status(0o777), "anybody"),
        (status(0o1777, user=0), "anybody"),
        (status(0o757, group=0), "anybody"),
        (status(0o775, group=TEAM), f"group {TEAM}"),
        (status(0o2770, group=TEAM), f"group {TEAM}"),
        (status(0o750, group=TEAM), None),
        (status(0o2755, group=TEAM), None),
        (status(0o775), None),
        (status(0o775, group=0), None),
    ],
)
def test_who_may_write(facts, others):
    assert ownership.who_may_write(facts, {0, 1000}, {0, 1000}) == others


@pytest.mark.parametrize(
    ("named", "users"),
    [
        ("", set()),
        ("54321", {54321}),
        ("54321,54322", {54321, 54322}),
        (" 54321, 54322 ", {54321, 54322}),
        ("no-such-user", set()),
        ("root", {0}),
    ],
)
def test_trusted_users(named, users, monkeypatch):
    monkeypatch.setenv("HUB_KERAS_BRIDGE_CACHE_OWNERS", named)
    assert ownership.trusted_users() == {0, os.geteuid()} | users


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "cache").mkdir(mode=0o755)
    return tmp_path / "cache"


@pytest.fixture
def told(monkeypatch):
    texts = []
    monkeypatch.setattr(cache_entries, "_TOLD", set())
    monkeypatch.setattr(
        cache_entries.logging, "warning", lambda text, *args: texts.append(text % args)
    )
    return texts


def obtain():
    def fill(folder):
        shutil.copytree(MODULE, folder, dirs_exist_ok=True)
        return cache.Receipt("https://example.org")

    return cache.obtain(HANDLE, fill)


class TestWarning:
    def test_none_where_nobody_else_may_write(self, folder, told):
        for _ in range(2):
            obtain()
        assert told == []

    @pytest.mark.parametrize("mode", [0o777, 0o1777, 0o757])
    def test_of_a_folder_for_anybody(self, mode, folder, told):
        folder.chmod(mode)
        for _ in range(3):
            obtain()
        (text,) = told
        assert text.startswith(
            f"The cache of TF1 Hub modules in {folder} may be changed by anybody, at {folder}. "
        )
        assert "point TFHUB_CACHE_DIR to another folder" in text

    def test_of_a_folder_above(self, folder, told):
        folder.parent.chmod(0o777)
        obtain()
        assert f"may be changed by anybody, at {folder.parent}." in told[0]

    def test_none_of_a_sticky_folder_above(self, folder, told):
        """As /tmp: nobody can replace there what is another's."""
        folder.parent.chmod(0o1777)
        obtain()
        assert told == []

    def test_of_the_folder_that_a_link_leads_to(self, folder, told, tmp_path, monkeypatch):
        (tmp_path / "link").symlink_to(folder)
        monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "link"))
        folder.chmod(0o777)
        obtain()
        assert f"may be changed by anybody, at {folder}." in told[0]

    def test_of_a_module_for_anybody(self, folder, told):
        path = obtain()
        os.chmod(path, 0o777)
        obtain()
        assert f"may be changed by anybody, at {path}." in told[0]

    @as_root
    def test_of_a_group(self, folder, told):
        os.chown(folder, 0, TEAM)
        folder.chmod(0o2775)
        obtain()
        assert f"may be changed by group {TEAM}, at {folder}." in told[0]

    @as_root
    def test_none_where_a_group_may_only_read(self, folder, told):
        os.chown(folder, 0, TEAM)
        folder.chmod(0o2750)
        obtain()
        assert told == []

    @as_root
    def test_of_another_users_folder(self, folder, told, monkeypatch):
        os.chown(folder, STRANGER, TEAM)
        obtain()
        assert f"may be changed by user {STRANGER}, at {folder}." in told[0]
        told.clear()
        cache_entries._TOLD.clear()
        monkeypatch.setenv(ownership.VARIABLE, str(STRANGER))
        obtain()
        assert told == []


class TestEntries:
    @staticmethod
    def assert_refused(where):
        with pytest.raises(hub.CacheError) as caught:
            cache.obtain(HANDLE, lambda folder: pytest.fail("it was fetched"))
        message = str(caught.value)
        assert "Refused a cached TF1 Hub module: it is another user's." in message
        assert f"Expected: files of user {os.geteuid()}, who runs this process" in message
        assert f"Found: some of user {STRANGER}, at {where}" in message
        assert "name them in HUB_KERAS_BRIDGE_CACHE_OWNERS" in message
        with pytest.raises(hub.CacheError, match="it is another user's"):
            cache_entries.lookup(HANDLE)
        assert cache_entries.entry_of(HANDLE).fault == f"it is of user {STRANGER}, at {where}"

    @as_root
    @pytest.mark.parametrize("name", ["", "saved_model.pb", "variables", "assets/zoo_vocab_1.txt"])
    def test_of_others_are_refused_in_any_part(self, name, folder, told, monkeypatch):
        path = obtain()
        place = os.path.join(path, name) if name else path
        os.chown(place, STRANGER, STRANGER)
        self.assert_refused(place)
        monkeypatch.setenv(ownership.VARIABLE, str(STRANGER))
        assert cache.obtain(HANDLE, None) == path

    @as_root
    def test_descriptor_of_others(self, folder, told):
        """It may say that an archive had the checksum that is asked for."""
        path = obtain()
        os.chown(f"{path}.descriptor.txt", STRANGER, STRANGER)
        self.assert_refused(f"{path}.descriptor.txt")

    @as_root
    @pytest.mark.parametrize("whose", ["link", "file", "folder"])
    def test_links(self, whose, folder, told, tmp_path):
        path = obtain()
        shutil.copytree(MODULE, tmp_path / "elsewhere")
        name = "variables" if whose == "folder" else "saved_model.pb"
        link, target = os.path.join(path, name), tmp_path / "elsewhere" / name
        shutil.rmtree(link) if whose == "folder" else os.remove(link)
        os.symlink(target, link)
        assert cache.obtain(HANDLE, None) == path
        if whose == "link":
            os.chown(link, STRANGER, STRANGER, follow_symlinks=False)
            self.assert_refused(link)
        elif whose == "file":
            os.chown(target, STRANGER, STRANGER)
            self.assert_refused(link)
        else:
            os.chown(target / "variables.index", STRANGER, STRANGER)
            self.assert_refused(os.path.join(link, "variables.index"))

    def test_links_in_a_circle(self, folder, told):
        path = obtain()
        os.symlink(".", os.path.join(path, "here"))
        os.symlink("..", os.path.join(path, "above"))
        assert cache.obtain(HANDLE, None) == path

    @as_root
    def test_planted_leftovers_are_not_put_into_the_cache(self, folder, told):
        folder.chmod(0o777)
        entry = cache_entries.entry_of(HANDLE)
        left = folder / f".{os.path.basename(entry.path)}.x.partial"
        shutil.copytree(MODULE, left / "work" / "old")
        (left / "work" / "old.descriptor.txt").write_text("Module: planted\n")
        for inside, folders, names in os.walk(left):
            for name in (".", *folders, *names):
                os.chown(os.path.join(inside, name), STRANGER, STRANGER)
        obtain()
        assert entry.handle == HANDLE
        assert left.exists()
        assert cache.remove_leftovers() == []

    @as_root
    def test_by_a_user_who_is_not_root(self, told, monkeypatch):
        """In a cache that anybody may write to, another user's module is not taken."""
        # pytest's own folders can be entered by who runs it alone.
        with_all = tempfile.mkdtemp()
        try:
            os.chmod(with_all, 0o1777)
            monkeypatch.setenv("TFHUB_CACHE_DIR", with_all)
            path = obtain()
            for inside, _, names in os.walk(path):
                for name in (".", *names):
                    os.chown(os.path.join(inside, name), STRANGER, STRANGER)
            message = as_user(65534, 65534, [], lambda: cache.obtain(HANDLE, lambda folder: None))
        finally:
            shutil.rmtree(with_all)
        assert "it is another user's" in message
        assert "files of user 65534" in message
        assert f"some of user {STRANGER}, at {path}" in message


def as_user(user, group, groups, run):
    """What a function returns, or the text of its error, in a fork that is another user's."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.setgroups(groups)
            os.setgid(group)
            os.setuid(user)
            os.umask(0o027)
            text = run()
        except BaseException as error:
            text = str(error)
        os.write(writing, text.encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as stream:
        return stream.read()


@as_root
def test_team_of_which_one_fills_and_all_read(told, monkeypatch):
    """As docs/hosting.md has it."""
    filler, reader = STRANGER, STRANGER + 10
    shared = tempfile.mkdtemp()
    archive = shutil.copytree(MODULE, os.path.join(shared, "published"))
    place = os.path.join(shared, "cache")
    try:
        os.chmod(shared, 0o755)
        os.mkdir(place)
        os.chown(place, filler, TEAM)
        os.chmod(place, 0o2750)
        monkeypatch.setenv("TFHUB_CACHE_DIR", place)

        def fill(folder):
            shutil.copytree(archive, folder, dirs_exist_ok=True)
            return cache.Receipt("https://example.org")

        path = as_user(filler, filler, [TEAM], lambda: cache.obtain(HANDLE, fill))
        assert path == cache_entries.entry_of(HANDLE).path
        assert os.stat(path).st_gid == TEAM

        def read():
            found = cache.obtain(HANDLE, fill)
            with open(os.path.join(found, "saved_model.pb"), "rb") as stream:
                assert stream.read()
            return "\n".join([found, *told])

        assert "it is another user's" in as_user(reader, reader, [TEAM], read)
        monkeypatch.setenv(ownership.VARIABLE, str(filler))
        assert as_user(reader, reader, [TEAM], read) == path
        # Who is not in the group sees none.
        assert path not in as_user(reader, reader, [], read).splitlines()
        os.chmod(place, 0o2770)
        assert f"may be changed by group {TEAM}" in as_user(reader, reader, [TEAM], read)
    finally:
        shutil.rmtree(shared)

"""Modules that try to reach outside: the oracles, the mutants, and a slice of them."""

import contextlib
import pathlib
import random
import socket
import subprocess
import sys
import time

import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.protobuf import saved_model_pb2

from helpers.places import ROOT
from hub_keras_bridge.graphs.ops.reach import reviewed_ops
from stress.reaching import mutants, payloads, wraps
from stress.reaching.bases import bases
from stress.reaching.canary import Canary, Listener
from stress.reaching.case import Case, NotApplicable, Outside, Part, const, node
from stress.reaching.outcomes import Outcome
from stress.reaching.pool import Pool
from stress.reaching.watch import Policy, Watch, can_watch

# What a watched process does: a name, and Python that raises OSError if it is refused.
REACHES = {
    "read": "open('{outside}/secret')",
    "read by a way around": "open('{own}/../outside/secret')",
    "read by a link": "open('{own}/link')",
    "read from where it is": "open('../outside/secret')",
    "look": "os.stat('{outside}/secret')",
    "list": "os.listdir('{outside}')",
    "write": "open('{outside}/new', 'w')",
    "make": "os.mkdir('{outside}/new')",
    "rename into": "os.rename('{own}/file', '{outside}/new')",
    "remove": "os.remove('{outside}/secret')",
    "speak": "socket.socket()",
    "fork": "os.fork()",
    "execute": "os.execv('/bin/true', ['true'])",
    "signal": "os.kill(1, 0)",
    "write what it may read": "open('{readable}', 'a')",
}
KEEPS_IN = {
    "read": "open('{own}/file').read()",
    "write": "open('{own}/new', 'w').write('')",
    "rename": "os.rename('{own}/new', '{own}/newer')",
    "read what it may": "open('{readable}').read()",
    "look for folders above": "os.lstat('{above}')",
    "read of itself": "open('/proc/self/status').read()",
    "thread": "threading.Thread(target=print).start()",
    "signal to itself": "os.kill(os.getpid(), 0)",
}

# A function that another's attribute names is run by nobody, and two put other
# things in place of what they wrap.
REALLY_RUN = {wrap.__name__ for wrap in wraps.WRAPS} - {"passed_on", "by_placeholder"}


class TestWatch:
    @pytest.fixture
    def watched(self, tmp_path):
        """Runs statements in a watched process; name -> whether it was let, and the breaches."""
        if not can_watch():
            pytest.skip("the kernel asks no supervisor")
        own, outside, readable = tmp_path / "own", tmp_path / "outside", tmp_path / "readable"
        own.mkdir(), outside.mkdir()
        for file in (own / "file", outside / "secret", readable):
            file.write_text("3")
        (own / "link").symlink_to(outside / "secret")
        names = {"own": own, "outside": outside, "readable": readable, "above": tmp_path}

        def run(statements):
            program = "import os, socket, sys, threading\n"
            program += "from stress.reaching.watch import be_watched\n"
            program += f"os.chdir({str(own)!r})\n"
            program += f"be_watched(socket.socket(fileno={theirs.fileno()}))\n"
            for name, statement in statements.items():
                program += (
                    f"os.path.exists('{tmp_path}/marks/{name}')\n"
                    f"try: {statement.format(**names)}; told = 'let'\n"
                    "except OSError as error: told = error.strerror\n"
                    f"os.path.exists('{tmp_path}/marks/')\n"
                    f"print(f'{name}: {{told}}', flush=True)\n"
                )
            process = subprocess.Popen(
                [sys.executable, "-c", program],
                stdout=subprocess.PIPE,
                text=True,
                cwd=ROOT,
                pass_fds=[theirs.fileno()],
            )
            theirs.close()
            system = ("/proc/self", "/usr", sys.prefix, sys.base_prefix, "/etc/ld.so.cache")
            policy = Policy(system, (str(readable),), (str(own),), f"{tmp_path}/marks/")
            try:
                watch = Watch(ours, policy)
            except ConnectionError:
                pytest.skip("this process may set up no filter")
            told = process.communicate()[0].splitlines()
            assert process.returncode == 0
            return dict(line.split(": ") for line in told if line), watch.breaches()

        ours, theirs = socket.socketpair()
        with ours:
            yield run

    def test_what_reaches_outside_does_not_happen(self, watched, tmp_path):
        told, breaches = watched(REACHES)
        assert told == dict.fromkeys(REACHES, "Operation not permitted")
        assert [breach.during for breach in breaches] == list(REACHES)
        assert {p.name for p in (tmp_path / "outside").iterdir()} == {"secret"}

    def test_what_is_the_process_s_own_happens(self, watched):
        told, breaches = watched(KEEPS_IN)
        assert breaches == []
        assert told == dict.fromkeys(KEEPS_IN, "let")


class TestCanary:
    @pytest.fixture
    def outside(self, tmp_path):
        (tmp_path / "secret").write_text("3")
        return Outside(str(tmp_path), 0, "a mark")

    def test_a_folder_and_a_port(self, outside):
        listener = Listener()
        canary = Canary(outside.folder, listener)
        assert canary.breaches() == []
        with open(f"{outside.folder}/secret") as stream:
            stream.read()
        assert {breach.what for breach in canary.breaches()} == {f"{outside.folder}/secret"}
        pathlib.Path(outside.folder, "new").touch()
        assert "creation" in {breach.syscall for breach in canary.breaches()}
        socket.create_connection(("127.0.0.1", listener.port)).close()
        for _ in range(500):
            if listener.visits:
                break
            time.sleep(0.01)
        assert [breach.syscall for breach in canary.breaches()] == ["connect"]
        listener.close()

    @pytest.mark.parametrize("kind", ["_loud", "_text_lines", "_records", "_reader", "_summary"])
    def test_payloads_do_reach_it(self, outside, kind):
        """Without safe mode: what no payload can do, no oracle can see."""
        canary = Canary(outside.folder, Listener())
        reached = set()
        for seed in range(25 if kind == "_loud" else 1):
            case = Case(_saved_model(), random.Random(seed), outside)
            part = getattr(payloads, kind)(case)
            with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
                tf.import_graph_def(graph_pb2.GraphDef(node=part.nodes), name="")
                with contextlib.suppress(tf.errors.OpError):  # The file is none of its kind.
                    session.run(graph.get_operation_by_name(part.runs))
            if canary.breaches():
                reached.add(part.told)
        assert len(reached) == (6 if kind == "_loud" else 1), reached

    @pytest.mark.parametrize("wrap", sorted(REALLY_RUN))
    def test_wraps_do_run_what_they_wrap(self, outside, wrap):
        canary = Canary(outside.folder, Listener())
        for seed in range(6):  # Of two branches, one is taken.
            case = Case(_saved_model(), random.Random(seed), outside)
            path = const("path", f"{outside.folder}/written", tf.string)
            write = node("write", "WriteFile", ["path", "path"])
            part = getattr(wraps, wrap)(case, Part((path, write), "write", "WriteFile"))
            case.graph_def.node.extend(part.nodes)
            case.graph_def.versions.producer = 1500
            with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
                tf.import_graph_def(case.graph_def, name="")
                session.run(graph.get_operation_by_name(part.runs))
            if canary.breaches():
                return
        pytest.fail(f"{wrap} did not run it")


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    return bases(tmp_path_factory.mktemp("bases"))


class TestMutants:
    def test_a_number_makes_the_same_mutant_again(self, known, tmp_path):
        outside = Outside(str(tmp_path), 1, "a mark")
        made = [mutants.make(3, 14, known, tmp_path / name, outside) for name in ("one", "two")]
        assert made[0].told == made[1].told
        graphs = [(each.folder / "saved_model.pb").read_bytes() for each in made]
        assert graphs[0] == graphs[1]

    @pytest.mark.parametrize("name", mutants.MUTATORS)
    def test_each_mutator_finds_something_to_change(self, known, name):
        outside, drawn = Outside("/nowhere", 1, "a mark"), random.Random(1)

        def changes(folder):
            original = saved_model_pb2.SavedModel.FromString(
                (folder / "saved_model.pb").read_bytes()
            )
            copy = saved_model_pb2.SavedModel()
            copy.CopyFrom(original)
            try:
                told = mutants.MUTATORS[name](Case(copy, drawn, outside))
            except NotApplicable:
                return False
            assert told
            return copy != original

        assert any(changes(folder) for folder in known.values() for _ in range(3))

    def test_payloads_are_all_that_safe_mode_refuses(self):
        ops = {*payloads.refused_ops(), *payloads._ATTRIBUTES}
        assert ops <= set(reviewed_ops())
        assert {"WriteFile", "PyFunc", "Abort", "RemoteCall", "TextLineDataset"} <= ops


@pytest.mark.slow
def test_a_slice():
    """``python -m stress reaching`` tries more."""
    results = list(Pool(2).tried(2026, range(100)))
    assert sorted(result.number for result in results) == list(range(100))
    assert [result for result in results if result.is_finding] == []
    assert {Outcome.UNSAFE, Outcome.DAMAGED, Outcome.RAN} <= {r.outcome for r in results}


def _saved_model():
    saved_model = saved_model_pb2.SavedModel()
    saved_model.meta_graphs.add()
    return saved_model

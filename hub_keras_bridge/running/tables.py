"""The lookup tables and files of a loaded module: made when first needed, and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import tensorflow as tf

from hub_keras_bridge.errors import Subject
from hub_keras_bridge.graphs.refusing import refusing
from hub_keras_bridge.plans import safe_mode
from hub_keras_bridge.plans.plan import Plan
from hub_keras_bridge.plans.program import Program, TablePlan
from hub_keras_bridge.plans.trust import Trust
from hub_keras_bridge.running.lookup_tables import Function, ModuleFile, ReadFile, Table


class Tables:
    """Makes and fills a module's tables; variants with the same table share it.

    Args:
        asset_paths: file name below ``assets/`` -> path of the file.
        trust: what may reach outside the module.
        body: of a plan and the handles of its tables, a function that adds it to
            the current graph.
        made: gets the tables, for whoever saves what reads them.
        read: gets the files that graphs themselves read, likewise.
    """

    def __init__(
        self,
        asset_paths: Mapping[str, str],
        trust: Trust,
        body: Callable[[Plan, Mapping[str, tf.Tensor]], Function],
        *,
        made: list[Table],
        read: list[ReadFile],
    ) -> None:
        self._made = made
        self._read = read
        self._asset_paths = asset_paths
        self._trust = trust
        self._body = body
        self._files: dict[str, ModuleFile] = {}
        self._kept: set[str] = set()
        self._by_identity: dict[str, Table] = {}
        self._holds_vocabularies = False

    def hold_vocabularies(self) -> None:
        """Lets what is saved from now on fill its tables with constants, not from files."""
        self._holds_vocabularies = True
        for table in self._made:
            table.hold_entries()

    def file(self, name: str, subject: Subject) -> ModuleFile:
        """The file of a name below ``assets/``."""
        if name not in self._files:
            self._files[name] = ModuleFile(self._asset_paths[name], subject)
        return self._files[name]

    def keep(self, name: str, subject: Subject) -> None:
        """Lets a file go where the module goes, since a graph itself reads it."""
        if name not in self._kept:
            self._kept.add(name)
            self._read.append(ReadFile(self.file(name, subject)))

    def handles(self, program: Program, chosen: Plan) -> dict[str, tf.Tensor]:
        """Placeholder of a plan -> the handle of the table that it stands for."""
        return {
            p: self.table(program, node).resource_handle for node, p in chosen.resources.items()
        }

    def table(self, program: Program, node: str) -> Table:
        """The table behind a node, filled."""
        wanted = program.table(node)
        if wanted.identity not in self._by_identity:
            with refusing(
                program.variant.subject,
                f"Cannot make and fill table {node!r} of a TF1 Hub module.",
                "a table, and entries for it, that this TensorFlow accepts",
            ):
                table = self._filled(program, node, wanted)
            if self._holds_vocabularies:
                table.hold_entries()
            self._by_identity[wanted.identity] = table
            self._made.append(table)
        return self._by_identity[wanted.identity]

    def _filled(self, program: Program, node: str, wanted: TablePlan) -> Table:
        subject, filling = program.variant.subject, wanted.filling
        safe_mode.require_safe_makers([wanted.maker], subject, self._trust)
        table = Table(wanted.maker)
        if filling is not None:
            # The makers of other tables that it fills or reads are looked at here.
            safe_mode.require_safe([filling], subject, self._trust)
            handles = {
                # An initializer may fill several tables at once.
                placeholder: table.resource_handle
                if other == node
                else self.table(program, other).resource_handle
                for other, placeholder in filling.resources.items()
            }
            files = [self.file(name, subject) for name in sorted(filling.assets)]
            table.fill_from(self._body(filling, handles), files)
        return table

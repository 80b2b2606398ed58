"""What the demo's experiment depends on."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What the experiment depends on.

    Each way of transfer has the learning rate that was best for it, between
    0.001 and 0.3, on the seeds 100 to 104. The demo runs seeds from 0 on.

    Attributes:
        seeds: how often the transfer is repeated, with seeds 0, 1, ...
        publish_epochs: passes over digits 0 to 4 before the module is exported.
        examples: training examples of each of the digits 5 to 9.
        transfer_epochs: passes over them, frozen and fine-tuned alike.
        frozen_rate: learning rate of the head on the frozen module.
        tuned_rate: learning rate of head and module together.
    """

    seeds: int = 5
    publish_epochs: int = 15
    publish_rate: float = 3e-3
    examples: int = 5
    transfer_epochs: int = 30
    frozen_rate: float = 3e-2
    tuned_rate: float = 1e-2

    @property
    def total_epochs(self) -> int:
        """All passes over training data, of all models."""
        return self.publish_epochs + 2 * self.seeds * self.transfer_epochs

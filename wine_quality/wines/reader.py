"""The reader of a run's wines, in memory or streamed: chosen only here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from wine_quality.engines.resource import TrainingEngine
    from wine_quality.history.wine_history import WineHistory
    from wine_quality.wines.loading import RawWineCsvConfig, Say
    from wine_quality.wines.raw import RawWines
    from wine_quality.wines.split import PassResult


class WinesReader(Protocol):
    """Loads wines, holds them against the contract, and divides them."""

    def load(self, config: RawWineCsvConfig, say: Say, arrived: float | None) -> RawWines:
        """The wines that the config names.

        Args:
            say: Called with a line for each unexpected thing.
            arrived: When the file arrived, in Unix seconds; None: now.

        Raises:
            WinesRefusedError: unreadable, no wine file, or against the contract.
            HistoryError: the history cannot be used, or a file in it is damaged.
        """

    def split(
        self, raw: RawWines, test_fraction: float, seed: int, say: Say, arrived: float | None
    ) -> PassResult:
        """The wines in two parts.

        Args:
            raw: What ``load`` gave, of the same kind of reader.
            test_fraction: Share held out, above 0 and below 1.

        Raises:
            WinesRefusedError: rows that are read now cannot be, or break the contract; nothing
                is stored.
            HistoryError: the history cannot be used.
            ValueError: there are no wines for one of the parts.
        """


def wines_reader(engine: TrainingEngine, history: WineHistory) -> WinesReader:
    """The reader of the engine that was picked."""
    if engine.is_streaming:
        from wine_quality.wines.streaming import StreamedWines

        return StreamedWines(engine, history)
    from wine_quality.wines.in_memory import WinesInMemory

    return WinesInMemory(history)

"""What a noun of the world is."""

from collections.abc import Callable
from dataclasses import dataclass

from .pen import Pen


@dataclass(frozen=True)
class Noun:
    """A thing that the world can draw: its family, the background it is mostly seen on, the colours of its kinds."""

    paint: Callable[[Pen], None]
    family: str
    home: str
    colours: tuple[str, ...]  # main colour of each kind, the commonest first

    @property
    def name(self) -> str:
        return self.paint.__name__

    @property
    def kinds(self) -> tuple[str, ...]:
        """Name the fine classes: `red car`, or just `bee` where there is one."""
        return (self.name,) if len(self.colours) == 1 else tuple(f"{c} {self.name}" for c in self.colours)

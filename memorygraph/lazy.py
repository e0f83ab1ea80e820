"""``LazyList``: a list whose items are made when they are first looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar, overload

T = TypeVar("T")
PAGE: Final = 256


class LazyList(Sequence[T]):
    """A read-only list of known length; its items are made a page at a time, and kept.

    Args:
        count: how many items there are.
        make: gives the items at places first..last-1.
    """

    def __init__(self, count: int, make: Callable[[int, int], list[T]]) -> None:
        self._count = count
        self._make = make
        self._pages: dict[int, list[T]] = {}

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> T: ...

    @overload
    def __getitem__(self, place: slice) -> list[T]: ...

    def __getitem__(self, place: int | slice) -> T | list[T]:
        places = range(self._count)[place]  # counts from the end, and raises IndexError, as a list does
        if isinstance(places, range):
            return [self._item(at) for at in places]
        return self._item(places)

    def __iter__(self) -> Iterator[T]:
        return map(self._item, range(self._count))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Sequence) or isinstance(other, str | bytes):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__: Any = None  # like a list

    def __repr__(self) -> str:
        return f"<{self._count} items, made when they are looked at>"

    def _item(self, place: int) -> T:
        number, at = divmod(place, PAGE)
        page = self._pages.get(number)
        if page is None:
            page = self._pages[number] = self._make(number * PAGE, min((number + 1) * PAGE, self._count))
        return page[at]

"""``Field``: an attribute of a node or edge that reads its current values and is assignable only while it is plain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, Protocol, Self, TypeVar, overload

T = TypeVar("T")


class Holder(Protocol):
    """A node or edge: values as plain data, and what assigning means."""

    def _now(self) -> Any:
        """Return the current values."""
        ...

    def _assign(self, name: str, value: Any) -> None:
        """Check and set one field, or raise ``FrozenViewError``."""
        ...


class Field(Generic[T]):
    """A data descriptor over ``holder._now().<stored>``.

    Args:
        doc: what the attribute says.
        read: from the stored value to what users see (default: as it is).
        stored: the name of the stored value (default: the attribute's own).
    """

    def __init__(self, doc: str, read: Callable[[Any], T] | None = None, stored: str = "") -> None:
        self.__doc__ = doc
        self._read = read
        self._stored = stored
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name
        self._stored = self._stored or name

    @overload
    def __get__(self, holder: None, owner: type) -> Self: ...

    @overload
    def __get__(self, holder: Holder, owner: type) -> T: ...

    def __get__(self, holder: Holder | None, owner: type) -> Self | T:
        if holder is None:
            return self
        value = getattr(holder._now(), self._stored)
        return value if self._read is None else self._read(value)

    def __set__(self, holder: Holder, value: Any) -> None:
        holder._assign(self._name, value)

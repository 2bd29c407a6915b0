"""Arrays and plain containers of a pickle, read without calling anything that the file names.

Python's unpickler calls the functions that a file names, and even NumPy's functions can make an array of pointers.
Here opcodes only build lists, dictionaries and descriptions of calls; the few forms in which NumPy
pickles an array of integers are then recognized, and their bytes are copied.
"""

import dataclasses
import io
import pickletools
import warnings
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

__all__ = ["parse_pickle", "to_array"]

Value: TypeAlias = Any  # whatever a pickle holds

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()
_MOST = 2_000_000  # opcodes; CIFAR-100, the largest batch, has some 400,000


@dataclasses.dataclass
class _Call:
    """A call that the file asks for, which is not made: name of the function, arguments and state of the result."""

    name: str
    arguments: tuple[Value, ...]
    state: Value = None


@dataclasses.dataclass(frozen=True)
class _Name:
    """A function or class that the file names, which is not imported."""

    name: str


def parse_pickle(raw: bytes | bytearray) -> Value:
    """Return the value of a pickle: containers, numbers and text; arrays only as descriptions for `to_array`.

    Work and memory are proportional to the length of the file.

    Raises:
        ValueError: the pickle is damaged or has an opcode that plain data and arrays do not need.

    Examples:
        >>> import pickle
        >>> parse_pickle(pickle.dumps({"labels": [1, 2]}))
        {'labels': [1, 2]}
    """
    with warnings.catch_warnings(action="ignore"):  # of escapes in text
        return _parse(raw)


def _parse(raw: bytes | bytearray) -> Value:
    stack: list[Value] = []
    memo: dict[Value, Value] = {}
    for count, (opcode, argument, _) in enumerate(pickletools.genops(io.BytesIO(raw))):
        if count == _MOST:
            raise ValueError(f"it has more than {_MOST:,} values")
        name = opcode.name
        if name == "STOP":
            break
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _TUPLES:
            stack.append(tuple(_pop(stack, _TUPLES[name])))
        elif name == "MARK":
            stack.append(_MARK)
        elif name in ("TUPLE", "LIST", "DICT"):
            items = _pop_mark(stack)
            stack.append(tuple(items) if name == "TUPLE" else items if name == "LIST" else _fill({}, items))
        elif name == "EMPTY_LIST":
            stack.append([])
        elif name == "EMPTY_DICT":
            stack.append({})
        elif name in ("APPEND", "APPENDS"):
            items = _pop(stack, 1) if name == "APPEND" else _pop_mark(stack)
            _top(stack, list).extend(items)
        elif name in ("SETITEM", "SETITEMS"):
            items = _pop(stack, 2) if name == "SETITEM" else _pop_mark(stack)
            _fill(_top(stack, dict), items)
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            module, function = str(argument).split(" ", 1) if name == "GLOBAL" else _pop(stack, 2)
            if not isinstance(module, str) or not isinstance(function, str):
                raise ValueError("it names a function by a value that is not text")
            if module.split(".")[0] != "numpy" and (module, function) != ("_codecs", "encode"):
                raise ValueError(f"it asks for {module}.{function}, which does not belong in arrays and containers")
            stack.append(_Name(f"{module}.{function}"))
        elif name == "REDUCE":
            function, arguments = _pop(stack, 2)
            if not isinstance(function, _Name) or not isinstance(arguments, tuple):
                raise ValueError("it calls a value that is not a function")
            match function.name, arguments:
                case "_codecs.encode", (str(text), "latin1"):  # bytes in a protocol of Python 2
                    stack.append(text.encode("latin-1"))
                case _:
                    stack.append(_Call(function.name, arguments))
        elif name == "BUILD":
            (state,) = _pop(stack, 1)
            _top(stack, _Call).state = state
        elif name in ("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"):
            memo[len(memo) if name == "MEMOIZE" else argument] = _top(stack, object)
        elif name in ("GET", "BINGET", "LONG_BINGET"):
            if argument not in memo:
                raise ValueError(f"it refers to entry {argument}, which does not exist")
            stack.append(memo[argument])
        elif name in ("PROTO", "FRAME"):
            continue
        elif opcode.stack_after and not opcode.stack_before and argument is not None:  # numbers, text and bytes
            stack.append(argument)
        else:
            raise ValueError(f"it has the opcode {name}, which does not belong in arrays and plain containers")
    if len(stack) != 1:
        raise ValueError(f"it holds {len(stack)} values instead of one")
    return stack[0]


def to_array(value: Value, dtypes: Sequence[str]) -> np.ndarray | None:
    """Return a new array for NumPy's pickled form of one, or None if the value is another.

    Args:
        value: part of the value of a pickle.
        dtypes: types of the array that are allowed, such as "|u1".

    Raises:
        ValueError: the array has another type, or its bytes do not fit its shape.

    Examples:
        >>> import pickle
        >>> to_array(parse_pickle(pickle.dumps(np.arange(3, dtype=np.uint8))), ["|u1"])
        array([0, 1, 2], dtype=uint8)
    """
    name = value.name.rpartition(".")[2] if isinstance(value, _Call) else ""
    match name, value:
        case "_reconstruct", _Call(state=(_, tuple(shape), _Call() as kind, by_column, content)):
            order = "F" if by_column is True else "C"
        case "_frombuffer", _Call(arguments=(content, _Call() as kind, tuple(shape), order)):
            pass
        case _:
            return None
    dtype = _dtype(kind)
    if dtype not in dtypes:
        raise ValueError(f"it holds an array of {dtype!r}, not of {' or '.join(dtypes)}")
    raw = content.encode("latin-1") if isinstance(content, str) else content  # text: bytes of Python 2
    if not isinstance(raw, bytes | bytearray) or any(type(length) is not int or length < 0 for length in shape):
        raise ValueError("the content of an array is not given as bytes")
    return np.frombuffer(bytes(raw), dtype).reshape(shape, order="F" if order == "F" else "C").copy()


def _dtype(kind: _Call) -> str:
    """Return the type's name with its byte order."""
    match kind:
        case _Call(name="numpy.dtype", arguments=(str(code), *_), state=(_, str(order), *_)) if order in "<>|=":
            return order + code
        case _Call(name="numpy.dtype", arguments=(str(code), *_), state=None):
            return np.dtype(code).str if code in ("u1", "i1") else code
    raise ValueError("an array has no type")


def _pop(stack: list[Value], count: int) -> list[Value]:
    items = stack[len(stack) - count :] if count else []
    if len(items) < count or any(item is _MARK for item in items):
        raise ValueError("its stack of values is damaged")
    del stack[len(stack) - count :]
    return items


def _pop_mark(stack: list[Value]) -> list[Value]:
    items: list[Value] = []
    while stack:
        item = stack.pop()
        if item is _MARK:
            return items[::-1]
        items.append(item)
    raise ValueError("its stack of values is damaged")


def _top(stack: list[Value], kind: type) -> Value:
    if not stack or stack[-1] is _MARK or not isinstance(stack[-1], kind):
        raise ValueError("its stack of values is damaged")
    return stack[-1]


def _fill(target: dict[str, Value], items: list[Value]) -> dict[str, Value]:
    """Add keys and values; keys are text, or bytes that become text."""
    for key, value in zip(items[::2], items[1::2], strict=True):
        text = key.decode("latin-1") if isinstance(key, bytes) else key
        if not isinstance(text, str):
            raise ValueError("a key of a dictionary is not text")
        target[text] = value
    return target

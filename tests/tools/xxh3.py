# SPDX-License-Identifier: MIT
"""XXH3 of 64 bits, from the system's libxxhash: Python has none of its own."""
import ctypes

_xxh3 = ctypes.CDLL('libxxhash.so.0').XXH3_64bits
_xxh3.restype = ctypes.c_uint64
_xxh3.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def xxh3_64(data):
    return _xxh3(data, len(data))

# SPDX-License-Identifier: MIT
"""An append-only log of keys and values, each record checked by a CRC-32: libfreyjalog.so.0.

    import freyjalog

    with freyjalog.open("db/active.data") as log:
        position = log.put(b"users/42/name", b"Ada")
        log.put_group([(b"users/42/mail", b"ada@example.org"), (b"users/42/name", b"")])
        log.sync()
        print(log.get(position).value)
        for record in log:
            print(record.position, record.key, record.value)

freyjalog(3) describes the log.  Keys and values are bytes, or anything else with the buffer
protocol.  Errors raise OSError, whose errno has the meaning that freyjalog(3) gives it.  A Log may be
used by several threads at once; an iterator by one at a time.
"""
import collections
import ctypes
import enum
import errno
import itertools
import os
from concurrent.futures import Future

NEVER = 2**63 - 1       # fsync_interval_ns: no sync in the background
AUTO = 2**63 - 1        # preallocate_bytes: zeros while threads keep waiting for syncs
MESSAGE_BYTES = 1024
_READ_ONLY = 1          # a flag of struct freyja_config

_library = ctypes.CDLL("libfreyjalog.so.0")
_SYNC_DONE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int)


class _Config(ctypes.Structure):
    _fields_ = [("struct_bytes", ctypes.c_size_t), ("path", ctypes.c_char_p),
                ("fsync_interval_ns", ctypes.c_int64), ("buffer_size_bytes", ctypes.c_int64),
                ("segment_size_bytes", ctypes.c_int64), ("preallocate_bytes", ctypes.c_int64),
                ("flags", ctypes.c_uint64)]


class _Item(ctypes.Structure):
    _fields_ = [("key", ctypes.c_char_p), ("key_bytes", ctypes.c_size_t),
                ("value", ctypes.c_char_p), ("value_bytes", ctypes.c_size_t)]


class _Stats(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "end_position", "written_position", "durable_position", "last_timestamp_ns", "appends",
        "syncs", "sync_ns_total", "sync_ns_max", "segments", "rotate_failures")]
    _fields_ += [("sync_error", ctypes.c_int32), ("rotate_error", ctypes.c_int32)]


def _declare(result, name, *arguments):
    function = getattr(_library, name)
    function.restype, function.argtypes = result, arguments
    return function


_POINTER, _SIZE, _POSITION = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_uint64
_POINTER_RESULT, _SIZE_RESULT = ctypes.POINTER(_POINTER), ctypes.POINTER(_SIZE)
_POSITION_RESULT = ctypes.POINTER(_POSITION)
_version = _declare(ctypes.c_char_p, "freyja_version")
_config_init = _declare(None, "freyja_config_init", ctypes.POINTER(_Config), _SIZE)
_open = _declare(ctypes.c_int, "freyja_open", ctypes.POINTER(_Config), _POINTER_RESULT,
                 ctypes.c_char_p, _SIZE)
_close = _declare(ctypes.c_int, "freyja_close", _POINTER_RESULT)
_put = _declare(ctypes.c_int, "freyja_put", _POINTER, ctypes.c_char_p, _SIZE, ctypes.c_char_p, _SIZE,
                _POSITION_RESULT)
_put_group = _declare(ctypes.c_int, "freyja_put_group", _POINTER, ctypes.POINTER(_Item), _SIZE,
                      _POSITION_RESULT)
_sync = _declare(ctypes.c_int, "freyja_sync", _POINTER)
_sync_async = _declare(ctypes.c_int, "freyja_sync_async", _POINTER, _SYNC_DONE, _POINTER)
_get = _declare(ctypes.c_int, "freyja_get", _POINTER, _POSITION, _POINTER_RESULT)
_record_key = _declare(_POINTER, "freyja_record_key", _POINTER, _SIZE_RESULT)
_record_value = _declare(_POINTER, "freyja_record_value", _POINTER, _SIZE_RESULT)
_record_kind = _declare(ctypes.c_int, "freyja_record_kind", _POINTER)
_record_position = _declare(_POSITION, "freyja_record_position", _POINTER)
_record_timestamp_ns = _declare(ctypes.c_uint64, "freyja_record_timestamp_ns", _POINTER)
_record_free = _declare(None, "freyja_record_free", _POINTER)
_iter_open = _declare(ctypes.c_int, "freyja_iter_open", _POINTER, _POSITION, _POINTER_RESULT)
_iter_next = _declare(ctypes.c_int, "freyja_iter_next", _POINTER, _POINTER_RESULT)
_iter_close = _declare(None, "freyja_iter_close", _POINTER)
_get_stats = _declare(None, "freyja_get_stats", _POINTER, ctypes.POINTER(_Stats), _SIZE)


class Kind(enum.IntEnum):
    """The kind of a record."""
    PUT = 1
    TOMBSTONE = 2       # the key is gone; the value is empty
    GROUP = 3           # of Log.get() at the position of a whole group
    META = 4            # of a freyjafs store


Record = collections.namedtuple("Record", "position timestamp_ns kind key value")
Stats = collections.namedtuple("Stats", [name for name, _ in _Stats._fields_])


def version():
    """Returns the version of libfreyjalog."""
    return _version().decode()


def _check(result, message=None):
    if result < 0:
        raise OSError(-result, message or os.strerror(-result))
    return result


def _copy(function, record):
    size = _SIZE()
    pointer = function(record, ctypes.byref(size))
    return ctypes.string_at(pointer, size.value)


def _record(pointer):
    kind = _record_kind(pointer)
    return Record(_record_position(pointer), _record_timestamp_ns(pointer),
                  Kind(kind) if kind in Kind._value2member_map_ else kind,
                  _copy(_record_key, pointer), _copy(_record_value, pointer))


def _bytes(data):
    return data if isinstance(data, bytes) else bytes(memoryview(data))


# The callbacks of freyja_sync_async() that have not been called: {argument: future}.
_futures = {}
_numbers = itertools.count(1)


@_SYNC_DONE
def _sync_done(number, err):
    future = _futures.pop(number)
    if err < 0:
        future.set_exception(OSError(-err, os.strerror(-err)))
    else:
        future.set_result(None)


class Log:
    """An open log.  open() makes one; close it with close(), or use it in a with statement."""

    def __init__(self, handle, message):
        self._handle = handle
        self.message = message  # "", or what recovery has cut off

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _open_handle(self):
        if not self._handle:
            raise ValueError("the log is closed")
        return self._handle

    def put(self, key, value):
        """Appends a record and returns its position.  An empty value makes a tombstone."""
        position = _POSITION()
        key, value = _bytes(key), _bytes(value)
        _check(_put(self._open_handle(), key, len(key), value, len(value), ctypes.byref(position)))
        return position.value

    def put_group(self, items):
        """Appends the (key, value) pairs of 'items', which are in the log together or not at all.

        Returns a list of their positions."""
        pairs = [(_bytes(key), _bytes(value)) for key, value in items]
        array = (_Item * len(pairs))(*((k, len(k), v, len(v)) for k, v in pairs))
        positions = (_POSITION * len(pairs))()
        _check(_put_group(self._open_handle(), array, len(pairs), positions))
        return list(positions)

    def sync(self):
        """Returns when every record that was put before the call is durable."""
        _check(_sync(self._open_handle()))

    def sync_async(self):
        """Returns a concurrent.futures.Future that ends when every record that was put before the call
        is durable, with the result None or an OSError."""
        handle, future, number = self._open_handle(), Future(), next(_numbers)
        future.set_running_or_notify_cancel()
        _futures[number] = future
        err = _sync_async(handle, _sync_done, number)
        if err < 0:
            del _futures[number]
            _check(err)
        return future

    def get(self, position):
        """Returns the record at 'position'; its CRC is right."""
        record = _POINTER()
        _check(_get(self._open_handle(), position, ctypes.byref(record)))
        try:
            return _record(record)
        finally:
            _record_free(record)

    def iterate(self, position=0):
        """Yields the records from the one at 'position' to the end of the log, those of a group one by
        one.  The generator must be exhausted or closed before the log."""
        iterator, record = _POINTER(), _POINTER()
        _check(_iter_open(self._open_handle(), position, ctypes.byref(iterator)))
        try:
            while self._open_handle() and _check(_iter_next(iterator, ctypes.byref(record))):
                yield _record(record)
        finally:
            _iter_close(iterator)

    def __iter__(self):
        return self.iterate()

    def stats(self):
        """Returns a Stats, with the fields of struct freyja_stats."""
        stats = _Stats()
        _get_stats(self._open_handle(), ctypes.byref(stats), ctypes.sizeof(stats))
        return Stats(*(getattr(stats, name) for name in Stats._fields))

    def close(self):
        """Makes every record durable and closes the log.  A second call does nothing."""
        handle, self._handle = self._handle, None
        if handle:
            _check(_close(ctypes.byref(handle)))


def open(path, *, fsync_interval_ns=None, buffer_size_bytes=0, segment_size_bytes=0,
         preallocate_bytes=0, read_only=False):
    """Opens or creates a log and returns a Log.  The arguments are the fields of struct freyja_config;
    None is the default."""
    config, handle = _Config(), _POINTER()
    message = ctypes.create_string_buffer(MESSAGE_BYTES)
    _config_init(ctypes.byref(config), ctypes.sizeof(config))
    encoded_path = os.fsencode(path)
    if b"\0" in encoded_path:
        raise OSError(errno.EINVAL, "the path has a NUL byte")
    config.path = encoded_path
    if fsync_interval_ns is not None:
        config.fsync_interval_ns = fsync_interval_ns
    config.buffer_size_bytes = buffer_size_bytes
    config.segment_size_bytes = segment_size_bytes
    config.preallocate_bytes = preallocate_bytes
    config.flags = _READ_ONLY if read_only else 0
    err = _open(ctypes.byref(config), ctypes.byref(handle), message, MESSAGE_BYTES)
    text = message.value.decode(errors="replace")
    _check(err, text)
    return Log(handle, text)

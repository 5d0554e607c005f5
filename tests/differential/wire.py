# SPDX-License-Identifier: MIT
"""Messages between the processes of the differential test."""
import array
import pickle
import socket
import struct


def send(link, verb, argument=None, fds=()):
    """Sends a verb, its argument and descriptors."""
    data = pickle.dumps((verb, argument))
    head = struct.pack("=Q", len(data))
    if fds:
        socket.send_fds(link, [head], list(fds))
    else:
        link.sendall(head)
    link.sendall(data)


def receive(link):
    """Returns verb, argument and descriptors; EOFError at the end."""
    fds = array.array("i")
    head, fds, _, _ = socket.recv_fds(link, 8, 8)
    if not head:
        raise EOFError
    size = struct.unpack("=Q", head)[0]
    data = b""
    while len(data) < size:
        got = link.recv(size - len(data))
        if not got:
            raise EOFError
        data += got
    return (*pickle.loads(data), fds)

"""Hand-made captures."""

import struct

A, B = bytes([10, 0, 0, 1]), bytes([10, 0, 0, 2])


def tcp(src: bytes, dst: bytes, ports: tuple[int, int], flags: int, payload: int = 0, window: int = 1000) -> bytes:
    segment = struct.pack(">HHIIBBHHH", *ports, 0, 0, 5 << 4, flags, window, 0, 0) + bytes(payload)
    return ip(src, dst, 6, segment)


def udp(src: bytes, dst: bytes, ports: tuple[int, int], payload: int) -> bytes:
    return ip(src, dst, 17, struct.pack(">HHHH", *ports, 8 + payload, 0) + bytes(payload))


def ip(src: bytes, dst: bytes, protocol: int, body: bytes) -> bytes:
    return struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 0, 0, 64, protocol, 0, src, dst) + body


def ethernet(packet: bytes, kind: int = 0x0800) -> bytes:
    return bytes(12) + struct.pack(">H", kind) + packet


def pcap(frames: list[tuple[float, bytes]], link: int = 1, order: str = "<", nano: bool = False) -> bytes:
    unit = 1_000_000_000 if nano else 1_000_000
    out = struct.pack(order + "IHHiIII", 0xA1B23C4D if nano else 0xA1B2C3D4, 2, 4, 0, 0, 65535, link)
    for time, frame in frames:
        out += struct.pack(order + "IIII", int(time), round((time % 1) * unit), len(frame), len(frame)) + frame
    return out


SYN, ACK, FIN, RST, PSH = 2, 16, 1, 4, 8


def session(start: float = 100.0, port: int = 5000) -> list[tuple[float, bytes]]:
    """SYN, SYN-ACK, ACK, 100 bytes up, 300 down, FIN both ways, last ACK."""
    up, down = (A, B, (port, 80)), (B, A, (80, port))
    steps = [
        (up, SYN, 0), (down, SYN | ACK, 0), (up, ACK, 0), (up, PSH | ACK, 100), (down, PSH | ACK, 300),
        (up, FIN | ACK, 0), (down, FIN | ACK, 0), (up, ACK, 0),
    ]  # fmt: skip
    return [(start + 0.01 * i, ethernet(tcp(*way, flags, size))) for i, (way, flags, size) in enumerate(steps)]

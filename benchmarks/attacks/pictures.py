"""Pictures that cost a decoder more than their bytes say, for the attacks on the server."""

import struct
import zlib

import cv2
import numpy as np

ENDLESS = 5_000  # scans


def jpeg(image: np.ndarray, progressive: bool = False) -> bytes:
    """A JPEG of uint8 [H, W] or [H, W, 3]."""
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)])[1].tobytes()


def huge_png(width: int, height: int) -> bytes:
    """A valid black grey-scale PNG in a small file."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    packer = zlib.compressobj(9)
    row = bytes(1 + width)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(*pair) for pair in ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    )


def extreme_jpegs() -> list[tuple[bytes, int, int]]:
    """(file, width, height) of wide, tall and progressive pictures; some may be read, some not."""
    sizes = ((30_000, 500), (8_192, 500), (8_192, 1), (65_000, 200))
    pictures = [
        (jpeg(np.full((height, width), 128, np.uint8)), width, height)
        for pair in sizes
        for width, height in (pair, pair[::-1])
    ]
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3)).astype(np.uint8)
    whole = jpeg(image, progressive=True)
    last = whole[whole.rindex(b"\xff\xda") : whole.rindex(b"\xff\xd9")]  # refines what is there
    return [*pictures, (whole, 64, 48), (whole[:-2] + last * ENDLESS + b"\xff\xd9", 64, 48)]

"""Reads damaged and hostile frames of Zstandard. Each must be read, or be refused with ZstdError: no other error, and no end of the run.

`contents` is that of tests/fixtures/zstd/contents.py, which stands before this, and the dataset is frames.json beside it.
"""
import base64, io, json
import pandas as pd
from compression import zstd

MAGIC, whole = b"\x28\xb5\x2f\xfd", contents()
with open("/data/inputs/frames/0") as file:
    frames = [(whole[row["content"]], base64.b64decode(row["frame"])) for row in json.load(file)]
for content, frame in frames:
    assert zstd.decompress(frame) == content
    assert zstd.open(io.BytesIO(frame)).read() == content

# Damage anywhere: in each byte of small frames, and here and there in large ones.

tries = 0
for content, frame in frames:
    has_sum = frame[4] & 4
    small = len(frame) < 120
    for at in range(0, len(frame), 1 if small else len(frame) // 40):
        if at:
            tries += 1
            try:
                zstd.decompress(frame[:at], most=len(content))
            except zstd.ZstdError:
                pass
            else:
                raise SystemExit(f"{frame[:at].hex()} is cut, and was read")
        for change in (1, 2, 4, 8, 16, 32, 64, 128, 255) if small else (1, 128, 255):
            tries += 1
            damaged = frame[:at] + bytes([frame[at] ^ change]) + frame[at + 1 :]
            try:
                found = zstd.decompress(damaged, most=len(content))
            except zstd.ZstdError:
                continue
            assert len(found) <= len(content) and (found == content or not has_sum), damaged.hex()


def refused(name, said, read):
    try:
        found = read()
    except zstd.ZstdError as error:
        assert said in str(error), f"{name}: {error}"
        return
    raise SystemExit(f"{name}: read {len(found)} bytes")


def block(kind, data, size=None, is_last=False):
    return ((len(data) if size is None else size) << 3 | kind << 1 | is_last).to_bytes(3, "little") + data


def head(window):
    """Of a frame without a size, with a window of so many powers of two above 1 KiB."""
    return MAGIC + b"\0" + bytes([window << 3])


def sequences(count, codes, stream, literals=b""):
    """A compressed block: all lengths, offsets and matches have one code each."""
    number = bytes([count]) if count < 128 else b"\xff" + (count - 0x7F00).to_bytes(2, "little")
    return bytes([len(literals) << 3]) + literals + number + b"\x54" + bytes(codes) + stream


# More than there is memory for.

bomb = head(7) + block(1, b"\0", 128 << 10) * 40_000 + block(0, b"", is_last=True)
refused("a bomb", "memory", lambda: zstd.decompress(bomb))
refused("a bomb of which little is expected", "expected", lambda: zstd.decompress(bomb, most=1_000_000))
says = MAGIC + b"\xe0" + (2**40).to_bytes(8, "little") + bomb[6:]
refused("a bomb that says so", "memory", lambda: zstd.decompress(says))
refused("a bomb that says so, of which little is expected", "it says", lambda: zstd.decompress(says, most=1_000_000))
with zstd.open(io.BytesIO(bomb)) as file:
    assert all(file.read(1 << 20) == bytes(1 << 20) for _ in range(1000)), "read piece by piece, it takes no memory"
before = block(0, b"abcdefgh")
for name, match in (("copies of no bits", 31), ("short copies of no bits", 0)):
    many = sequences(0xFFFF + 0x7F00, (0, 0, match), b"\x01")
    refused(name, "allows", lambda: zstd.decompress(head(7) + before + block(2, many, is_last=True)))
longest = sequences(100, (0, 0, 52), b"\xff" * 200 + b"\x01")
refused("long copies", "allows", lambda: zstd.decompress(head(7) + before + block(2, longest, is_last=True)))
refused("more than the frame says", "allows", lambda: zstd.decompress(MAGIC + b"\x20\x0a" + before + block(2, sequences(1, (0, 0, 3), b"\x01"), is_last=True)))
refused("less than the frame says", "another length", lambda: zstd.decompress(MAGIC + b"\x20\x0a" + block(0, b"abcdefgh", is_last=True)))
refused("a large block", "allows", lambda: zstd.decompress(head(0) + block(1, b"x", 1025, is_last=True)))
window = MAGIC + b"\0\xff" + block(0, b"x", is_last=True)
assert zstd.decompress(window) == b"x"
refused("a window of terabytes", "window", lambda: zstd.open(io.BytesIO(window)).read())

# What is not there.

farther = (1 << 10 | 1500 + 3 - 1024).to_bytes(2, "little")
copy = block(0, bytes(1024)) * 2 + block(2, sequences(1, (0, 10, 0), farther), is_last=True)
assert zstd.decompress(head(1) + copy) == bytes(2051)
refused("what left the window", "not there", lambda: zstd.decompress(head(0) + copy))
refused("the frame before", "not there", lambda: zstd.decompress((head(1) + copy) + head(1) + copy[2 * 1027 :]))
refused("an offset of nothing", "not there", lambda: zstd.decompress(head(7) + before + block(2, sequences(1, (0, 1, 0), b"\x03"), is_last=True)))
refused("literals that are not there", "not there", lambda: zstd.decompress(head(7) + block(2, sequences(1, (5, 0, 0), b"\x01", b"abc"), is_last=True)))
refused("a dictionary", "dictionary", lambda: zstd.decompress(MAGIC + b"\x21\x05\x01" + block(0, b"x", is_last=True)))
refused("something else", "not Zstandard", lambda: zstd.decompress(b"species,mass\n"))
refused("something else at the end", "not Zstandard", lambda: zstd.decompress(zstd.compress(b"x") + b"x"))
skipped = b"\x5a\x2a\x4d\x18" + (3).to_bytes(4, "little") + b"abc"
assert zstd.decompress(skipped + zstd.compress(b"x") + skipped + zstd.compress(b"y")) == b"xy"
refused("a part to skip that is not there", "cut", lambda: zstd.decompress(skipped[:4] + b"\xff\xff\xff\xff"))
assert zstd.decompress(MAGIC + b"\x20\0" + block(0, b"", is_last=True)) == b""
assert zstd.decompress((MAGIC + b"\x20\0" + block(0, b"", is_last=True)) * 20_000) == b""

# A file in which something is damaged gives nothing that comes after it, however often it is asked.

broken = head(7) + before + block(3, b"") + block(0, b"after", is_last=True)
half = head(7) + before + block(2, sequences(2, (0, 0, 3), b"\x00\x01")) + block(0, b"after", is_last=True)
for data, said in ((broken, "no known kind"), (half, "more than it says")):
    file, frame = zstd.open(io.BytesIO(data)), zstd.ZstdDecompressor()
    assert frame.decompress(data, 3) == b"abc" and frame.decompress(b"", 5) == b"defgh"
    for _ in range(2):
        refused("a file", said, file.read)
        refused("a frame", said, lambda: frame.decompress(b""))
# Programs that read as Python's library does take new input only when it is asked for, and stop at `eof`.
for content, frame in frames:
    # One of them divides what a block holds, and each is much less.
    for size in (1000, 16 << 10):
        reader, packed, found = zstd.ZstdDecompressor(), io.BytesIO(frame + b"rest"), []
        while not reader.eof:
            data = packed.read(4096) if reader.needs_input else b""
            assert data or not reader.needs_input, "it asks for more than the frame has"
            found.append(reader.decompress(data, size))
        assert b"".join(found) == content and max(map(len, found)) <= size
        assert reader.unused_data + packed.read() == b"rest"
# Back and forth in a file is the same as in what it holds.
content, frame = max(frames, key=lambda found: len(found[1]))
file = zstd.ZstdFile(io.BytesIO(frame))
for place in (100_000, 10, 300_000, 2**40, 5):
    assert (file.seek(place), file.read(1000)) == (min(place, len(content)), content[place : place + 1000])
table = zstd.compress(b"a,b\n" + b"1,2\n" * 200_000)
for engine in ("c", "python"):
    try:
        pd.read_csv(io.BytesIO(table[:-5]), compression="zstd", engine=engine)
    except ValueError as error:
        assert "cut" in f"{error} {error.__context__}", error
    else:
        raise SystemExit("a cut file was read as a table")
print("done", tries > 1000)

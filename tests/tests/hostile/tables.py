"""Reads damaged and hostile tables. Each must be read, or be refused with the error of its reader: no other error, and no end of the run."""
import io, struct, zlib
import cloister_arrow as arrow
import cloister_parquet as parquet
import pandas as pd
from cloister_arrow import BATCH, CONTINUATION, DECIMAL, FIXED_BINARY, INT, NULL, SCHEMA, UTF8, Number, Structs
from cloister_parquet import Long, encoded, put_varint

REFUSED = (arrow.ArrowError, parquet.ParquetError)


def refused(name, data, read, said=""):
    try:
        table = read(data)
    except REFUSED as error:
        assert said in str(error), f"{name}: {error}"
        return
    raise SystemExit(f"{name}: read {len(table)} rows")


# Damage anywhere.

table = pd.DataFrame({
    "species": pd.Categorical(["Adelie", "Gentoo", None], categories=["Gentoo", "Adelie"]),
    "site": ["Torgersen", None, "Biscoe"],
    "mass": [3750.0, None, 5050.5],
    "count": [1, 2, 3],
    "seen": pd.to_datetime(["2007-11-11", None, "2009-01-01"]).tz_localize("Europe/Berlin"),
})
plain = table.assign(species=table["species"].astype("str"))
read_parquet = lambda data: parquet.read(data)
tries = 0
for data, read in [
    (arrow.write(table), arrow.read),
    (arrow.write(table, form="stream"), arrow.read),
    (parquet.written(plain, "gzip", None), read_parquet),
    (parquet.written(plain, None, None), read_parquet),
]:
    assert len(read(data)) == 3
    for at in range(0, len(data), 5):
        for change in (0x41, 0xFF):
            for damaged in (data[:at] + bytes([data[at] ^ change]) + data[at + 1 :], data[:at]):
                tries += 1
                try:
                    read(damaged)
                except REFUSED:
                    pass

# Arrow.


def field(kind, of, children=()):
    return {0: "a", 1: Number("<?", True), 2: Number("<B", kind), 3: of, 5: children if isinstance(children, Twice) else list(children)}


class Twice:
    """A list that has the same element two times, in one place."""

    def __init__(self, child):
        self.child = child


put = arrow.put


def put_twice(out, value):
    if not isinstance(value, Twice):
        return put(out, value)
    out += bytes(-len(out) % 4)
    at = len(out)
    out += (2).to_bytes(4, "little") + bytes(8)
    place = arrow.put(out, value.child)
    for entry in (at + 4, at + 8):
        struct.pack_into("<I", out, entry, place - entry)
    return at


arrow.put = put_twice


def stream(of, length, buffers=(), compression=None):
    places, body = [], bytearray()
    for buffer in buffers:
        places.append((len(body), len(buffer)))
        body += buffer + bytes(-len(buffer) % 8)
    header = {0: Number("<q", length), 1: Structs("<qq", [(length, 0)]), 2: Structs("<qq", places)}
    if compression is not None:
        header[3] = {0: Number("<b", compression)}
    out = arrow.message(SCHEMA, {0: Number("<h", 0), 1: [of], 2: []})[0]
    about, body = arrow.message(BATCH, header, bytes(body))
    return out + about + body + struct.pack("<II", CONTINUATION, 0)


assert arrow.read(stream(field(UTF8, {}), 2, [b"", struct.pack("<3i", 0, 1, 3), b"xyz"]))["a"].tolist() == ["x", "yz"]
long = b"x" * 1_000_000
for name, offsets in [("texts that overlap", [0, len(long)] * 10_000 + [0]), ("a text that begins before its buffer", [-5, 1, 2])]:
    refused(name, stream(field(UTF8, {}), len(offsets) - 1, [b"", struct.pack(f"<{len(offsets)}i", *offsets), long]), arrow.read, "outside")
refused("a row for each bit", stream(field(DECIMAL, {1: Number("<i", 0), 2: Number("<i", 0)}), 1000, [b"", bytes(1000)]), arrow.read, "fewer")
refused("a scale", stream(field(DECIMAL, {1: Number("<i", 2**31 - 1), 2: Number("<i", 128)}), 1, [b"", bytes(15) + b"\x01"]), arrow.read)
refused("values of no size", stream(field(FIXED_BINARY, {0: Number("<i", -1)}), 1000, [b"", bytes(1000)]), arrow.read, "fewer")
refused("rows of nothing", stream(field(NULL, {}), 2**40), arrow.read)
refused("fewer rows than none", stream(field(INT, {0: Number("<i", 64), 1: Number("<?", True)}), -1, [b"", b""]), arrow.read, "different lengths")
bomb = b"\x1fA\x01\x00" + b"\xff" * 3_000_000 + b"\x00"
frame = b"\x04\x22\x4d\x18\x40\x40\x00" + len(bomb).to_bytes(4, "little") + bomb + bytes(4)
for name, size in [("an LZ4 bomb", 2**40), ("an LZ4 bomb that says less", 8), ("LZ4 of less than nothing", -2)]:
    refused(name, stream(field(INT, {0: Number("<i", 64)}), 1, [b"", size.to_bytes(8, "little", signed=True) + frame], 0), arrow.read)
for number in range(12):
    refused("a cut frame of LZ4", stream(field(INT, {0: Number("<i", 64)}), 1, [b"", (8).to_bytes(8, "little") + frame[:number]], 0), arrow.read)
# Eight numbers in 64 bytes, as the tool `zstd` packs them.
sevens = bytes.fromhex("28b52ffd2040b50000800700000000000000090000000000000001008d2e17")
many = b"\x28\xb5\x2f\xfd\x00\x38" + b"\x02\x00\x10\x00" * 20_000 + b"\x01\x00\x00"
assert arrow.read(stream(field(INT, {0: Number("<i", 64), 1: Number("<?", True)}), 8, [b"", (64).to_bytes(8, "little") + sevens], 1))["a"].tolist() == [7] * 7 + [9]
for name, size, data, said in [
    ("a bomb of Zstandard", 8, many, "expected"),
    ("a bomb of Zstandard that says so", 2**40, many, "memory"),
    ("Zstandard of less than nothing", -2, sevens, "no size"),
    ("Zstandard of more than it says", 63, sevens, "says"),
    ("Zstandard of less than it says", 65, sevens, "another length"),
    ("Zstandard that is cut", 64, sevens[:-1], "cut"),
    ("Zstandard that is none", 64, bytes(64), "not Zstandard"),
    ("no Zstandard at all", 64, b"", "another length"),
]:
    refused(name, stream(field(INT, {0: Number("<i", 64)}), 1, [b"", size.to_bytes(8, "little", signed=True) + data], 1), arrow.read, said)
nested = field(INT, {0: Number("<i", 64)})
for _ in range(60):
    nested = field(12, {}, Twice(nested))
refused("columns within columns", stream(nested, 0), arrow.read, "again and again")
for _ in range(60):
    nested = field(12, {}, [nested])
refused("a column without an end", stream(nested, 0), arrow.read)
whole = arrow.write(pd.DataFrame({"a": range(100_000)}))
footer_size = int.from_bytes(whole[-10:-6], "little")
schema, messages = {0: Number("<h", 0), 1: [field(INT, {0: Number("<i", 64), 1: Number("<?", True)})], 2: []}, whole[: len(whole) - 10 - footer_size]
at = messages.rindex(struct.pack("<I", CONTINUATION), 0, len(messages) - 8)
footer = arrow.flat({0: Number("<h", 4), 1: schema, 2: Structs("<qi4xq", []), 3: Structs("<qi4xq", [(at, 0, 0)] * 50_000)})
refused("one batch many times", messages + footer + len(footer).to_bytes(4, "little") + arrow.MAGIC, arrow.read, "again and again")

# Parquet.


def number(value):
    out = bytearray()
    put_varint(out, value)
    return bytes(out)


def page(body, count, encoding, size=None, kind=0, length=None):
    about = {5: {1: count, 2: encoding, 3: 3, 4: 3}} if kind == 0 else {7: {1: count, 2: encoding}}
    return encoded({1: kind, 2: len(body) if size is None else size, 3: len(body) if length is None else length, **about}) + body


def file(pages, rows, kind=parquet.INT64, codec=0, groups=1, length=None):
    element = {1: kind, **({2: length} if length is not None else {}), 3: 0, 4: "a"}
    meta = {1: kind, 2: [0], 3: ["a"], 4: codec, 5: Long(rows), 6: Long(0), 7: Long(0), 9: Long(4)}
    group = {1: [{2: Long(4), 3: meta}], 2: Long(0), 3: Long(rows)}
    about = encoded({1: 2, 2: [{4: "schema", 5: 1}, element], 3: Long(rows), 4: [group] * groups, 6: "none"})
    return parquet.MAGIC + pages + about + len(about).to_bytes(4, "little") + parquet.MAGIC


two = struct.pack("<2q", 1, 2)
assert read_parquet(file(page(two, 2, 0), 2))["a"].tolist() == [1, 2]
words = page(two, 2, 0, kind=2)
assert read_parquet(file(words + page(b"\x01" + number(2**41) + b"\x01", 2, 8), 2))["a"].tolist() == [2, 2], "a run longer than the page"
refused("a page that leads back", file(page(b"", 0, 0, kind=2, length=-20) * 2, 2), read_parquet, "cut")
refused("a page beyond the end", file(page(two, 2, 0, length=2**40), 2), read_parquet, "cut")
packer = zlib.compressobj(9, zlib.DEFLATED, 31)
bomb = b"".join(packer.compress(bytes(1_000_000)) for _ in range(600)) + packer.flush()
refused("a gzip bomb", file(page(bomb, 2, 0, size=16), 2, codec=2), read_parquet, "another length")
refused("a gzip bomb that says so", file(page(bomb, 2, 0, size=600_000_000), 2, codec=2), read_parquet, "memory")
refused("gzip of less than nothing", file(page(bomb, 2, 0, size=-1), 2, codec=2), read_parquet, "no size")
refused("gzip that is cut", file(page(bomb[:100], 2, 0, size=16), 2, codec=2), read_parquet)
halves = [zlib.compress(two[:8], wbits=31), zlib.compress(two[8:], wbits=31)]
assert read_parquet(file(page(b"".join(halves), 2, 0, size=16), 2, codec=2))["a"].tolist() == [1, 2], "two members of gzip"
assert read_parquet(file(page(sevens, 8, 0, size=64), 8, codec=6))["a"].tolist() == [7] * 7 + [9]
refused("a bomb of Zstandard", file(page(many, 2, 0, size=16), 2, codec=6), read_parquet, "expected")
refused("a bomb of Zstandard that says so", file(page(many, 2, 0, size=2_000_000_000), 2, codec=6), read_parquet, "memory")
refused("Zstandard of less than nothing", file(page(sevens, 8, 0, size=-1), 8, codec=6), read_parquet, "no size")
refused("Zstandard of less than it says", file(page(sevens, 8, 0, size=65), 8, codec=6), read_parquet, "another length")
refused("Zstandard that is cut", file(page(sevens[:-1], 8, 0, size=64), 8, codec=6), read_parquet, "cut")
copies = number(16) + b"\x00A" + b"\xfe\x01\x00" * 200_000
refused("a Snappy bomb", file(page(copies, 2, 0, size=16), 2, codec=1), read_parquet, "another length")
refused("a word that is not in the dictionary", file(words + page(b"\x01" + number(4) + b"\x07", 2, 8), 2), read_parquet)
refused("more bits than there are", file(words + page(b"\xff" + number(4) + b"\x07", 2, 8), 2), read_parquet, "63 bits")
refused("a number without an end", parquet.MAGIC + b"\x15" + b"\x80" * 2_000_000 + (2_000_001).to_bytes(4, "little") + parquet.MAGIC, read_parquet, "without an end")
for name, head in [("blocks of none", (128, 0, 2)), ("a huge block", (2**40, 1, 2)), ("other numbers", (128, 4, 2**31)), ("blocks of nothing", (1, 4, 2))]:
    refused(name, file(page(b"".join(map(number, head)) + number(2) + bytes(20), 2, 5), 2), read_parquet, "other numbers")
lengths = b"".join(map(number, (128, 4, 2, 2_000_000, 3_999_999))) + bytes(4)
refused("a text of less than nothing", file(page(lengths + long, 2, 6), 2, parquet.BYTES), read_parquet, "outside")
refused("texts that are not there", file(page(bytes(8), 2**30, 0), 2**30, parquet.BYTES), read_parquet, "fewer")
refused("values of no size", file(page(two, 2**30, 0), 2**30, parquet.FIXED, length=0), read_parquet, "fewer")
refused("one page many times", file(page(struct.pack("<50000q", *range(50_000)), 50_000, 0), 50_000, groups=20_000), read_parquet, "again and again")
refused("more rows than there are", file(page(two, 2, 0), 2**40), read_parquet)
print("done", tries > 1000)

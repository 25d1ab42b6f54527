"""Parquet for pandas, with numpy alone: pandas.read_parquet and DataFrame.to_parquet of flat tables.

Read: gzip, Snappy and Zstandard, all encodings of flat columns. Written: one row group, plain values, gzip.
"""
import datetime, decimal, io, json, os, struct, zlib
import cloister_zstd
import numpy as np
import pandas as pd

MAGIC = b"PAR1"
BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE, BYTES, FIXED = range(8)
FIXED_SIZES = {INT32: "<i4", INT64: "<i8", FLOAT: "<f4", DOUBLE: "<f8"}
UNITS = {1: "ms", 2: "us", 3: "ns"}
MOST_IN_BLOCK = 1 << 20


class ParquetError(ValueError):
    """A file that is not Parquet, or has something that is not supported here."""


class Budget:
    """What a reader may read of a file: each byte a few times. A damaged file leads it to the same bytes again and again, and a few of them
    would become gigabytes."""

    def __init__(self, data, error):
        self.left, self.error = 4 * len(data) + 65536, error

    def spend(self, count):
        self.left -= count
        if self.left < 0:
            raise self.error("damaged: it leads to the same bytes again and again")


def understood(read, error, what):
    """What `read` returns. Whatever goes wrong in a file that is not as it should be is one kind of error."""
    try:
        return read()
    except error:
        raise
    except MemoryError:
        raise error("damaged, or more than the memory of this run") from None
    except (struct.error, zlib.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, StopIteration, RuntimeError) as problem:
        raise error(f"damaged, or not {what} ({type(problem).__name__})") from None


# Thrift's compact protocol: a struct is a dict of its fields' numbers.


class Thrift:
    def __init__(self, data, at=0):
        if not 0 <= at <= len(data):
            raise ParquetError("damaged: it leads out of itself")
        self.data, self.at = data, at

    def byte(self):
        self.at += 1
        return self.data[self.at - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
            if shift > 63:
                raise ParquetError("damaged: a number without an end")

    def zigzag(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def binary(self):
        length = self.varint()
        if length > len(self.data) - self.at:
            raise ParquetError("damaged: a text is cut")
        self.at += length
        return bytes(self.data[self.at - length : self.at])

    def value(self, kind):
        if kind in (1, 2):
            return self.byte() == 1
        if kind == 3:
            return (self.byte() ^ 128) - 128
        if kind in (4, 5, 6):
            return self.zigzag()
        if kind == 7:
            self.at += 8
            return struct.unpack_from("<d", self.data, self.at - 8)[0]
        if kind == 8:
            return self.binary()
        if kind in (9, 10):
            head = self.byte()
            count = head >> 4
            if count == 15:
                count = self.varint()
            return [self.value(head & 15) for _ in range(count)]
        if kind == 11:
            count = self.varint()
            kinds = self.byte() if count else 0
            return [(self.value(kinds >> 4), self.value(kinds & 15)) for _ in range(count)]
        if kind == 12:
            return self.struct()
        raise ParquetError("damaged: an unknown type in its description")

    def struct(self):
        fields, number = {}, 0
        while True:
            head = self.byte()
            if head == 0:
                return fields
            number = number + (head >> 4) if head >> 4 else self.zigzag()
            kind = head & 15
            fields[number] = kind == 1 if kind in (1, 2) else self.value(kind)


def put_varint(out, value):
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)


def put_value(out, value):
    if isinstance(value, int):
        put_varint(out, (value << 1) ^ (value >> 63))
    elif isinstance(value, (bytes, str)):
        data = value.encode() if isinstance(value, str) else value
        put_varint(out, len(data))
        out += data
    elif isinstance(value, list):
        kind = kind_of(value[0]) if value else 12
        if len(value) < 15:
            out.append(len(value) << 4 | kind)
        else:
            out.append(15 << 4 | kind)
            put_varint(out, len(value))
        for element in value:
            put_value(out, element)
    else:
        last = 0
        for number, field in sorted(value.items()):
            if field is None:
                continue
            kind = (1 if field else 2) if isinstance(field, bool) else kind_of(field)
            out.append(number - last << 4 | kind)
            last = number
            if isinstance(field, Byte):
                out.append(field)
            elif not isinstance(field, bool):
                put_value(out, int(field) if isinstance(field, Long) else field)
        out.append(0)


class Long(int):
    """A number with 64 bits in the file."""


class Byte(int):
    """A number with 8 bits in the file."""


def kind_of(value):
    if isinstance(value, Byte):
        return 3
    if isinstance(value, Long):
        return 6
    if isinstance(value, int):
        return 5
    if isinstance(value, (bytes, str)):
        return 8
    return 9 if isinstance(value, list) else 12


def encoded(value):
    out = bytearray()
    put_value(out, value)
    return bytes(out)


# Compression.


def unsnappy(data, length):
    reader = Thrift(data)
    if reader.varint() != length:
        raise ParquetError("damaged: Snappy has another length than it says")
    at, out = reader.at, bytearray()
    while at < len(data) and len(out) <= length:
        tag = data[at]
        at += 1
        kind = tag & 3
        if kind == 0:
            size = tag >> 2
            if size > 59:
                extra = size - 59
                size = int.from_bytes(data[at : at + extra], "little")
                at += extra
            size += 1
            out += data[at : at + size]
            at += size
            continue
        if kind == 1:
            size, offset = (tag >> 2 & 7) + 4, tag >> 5 << 8 | data[at]
            at += 1
        else:
            width = 2 if kind == 2 else 4
            size, offset = (tag >> 2) + 1, int.from_bytes(data[at : at + width], "little")
            at += width
        start = len(out) - offset
        if not 0 <= start < len(out):
            raise ParquetError("damaged: Snappy refers to what is not there")
        if offset >= size:
            out += out[start : start + size]
        else:
            piece = bytes(out[start:])
            out += (piece * (size // offset + 1))[:size]
    if len(out) != length:
        raise ParquetError("damaged: Snappy has another length than it says")
    return bytes(out)


def gunzipped(data, length):
    """The members of gzip, of which no more is unpacked than they should be."""
    out = b""
    while len(data):
        member = zlib.decompressobj(47)
        out += member.decompress(data, length + 1 - len(out))
        if len(out) > length or not member.eof:
            break
        data = member.unused_data
    else:
        if len(out) == length:
            return out
    raise ParquetError("damaged: gzip has another length than it says")


def unzstd(data, size, error):
    if size < 0:
        raise error("damaged: Zstandard of no size")
    try:
        found = cloister_zstd.decompress(data, most=size)
    except cloister_zstd.ZstdError as problem:
        raise error(str(problem)) from None
    if len(found) != size:
        raise error("damaged: Zstandard has another length than it says")
    return found


def decompressed(data, codec, size):
    if size < 0:
        raise ParquetError("damaged: a page of no size")
    if codec == 0:
        return data
    if codec == 1:
        return unsnappy(data, size)
    if codec == 2:
        return gunzipped(data, size)
    if codec == 6:
        return unzstd(data, size, ParquetError)
    names = {3: "LZO", 4: "Brotli", 5: "LZ4", 7: "LZ4"}
    raise ParquetError(f"its codec is {names.get(codec, codec)}, which is not supported: write it with gzip or Snappy")


# Encodings.


def unpacked(data, width, count):
    """Numbers of `width` bits each, the lowest bit first."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[: count * width].reshape(-1, width)
    values = np.zeros(len(bits), np.int64)
    for bit in range(width):
        values |= bits[:, bit].astype(np.int64) << bit
    return values


def hybrid(data, at, width, count):
    """Runs of equal numbers and packed ones. Returns them and where they end."""
    reader, parts, found = Thrift(data, at), [], 0
    if width > 63:
        raise ParquetError("damaged: numbers of more than 63 bits")
    while found < count:
        head = reader.varint()
        # The last run may be longer than what is wanted.
        number = min((head >> 1) * (8 if head & 1 else 1), count - found)
        if number == 0:
            raise ParquetError("damaged: a run without values")
        if head & 1:
            size = (head >> 1) * width
            part = unpacked(data[reader.at : reader.at + (number * width + 7) // 8], width, number) if width else np.zeros(number, np.int64)
        else:
            size = (width + 7) // 8
            part = np.full(number, int.from_bytes(data[reader.at : reader.at + size], "little"), np.int64)
        reader.at += size
        parts.append(part)
        found += number
    values = np.concatenate(parts) if parts else np.zeros(0, np.int64)
    return values[:count], reader.at


def deltas(data, at, expected):
    """DELTA_BINARY_PACKED. Returns the numbers and where they end."""
    reader = Thrift(data, at)
    block, minis, count, first = reader.varint(), reader.varint(), reader.varint(), reader.zigzag()
    if count != expected or not 0 < minis <= block <= MOST_IN_BLOCK:
        raise ParquetError("damaged: other numbers than it says")
    size = block // minis
    parts, found = [np.array([first], np.int64)], 1
    while found < count:
        least = reader.zigzag()
        widths = bytes(data[reader.at : reader.at + minis])
        reader.at += minis
        for width in widths:
            if found >= count:
                break
            length = size * width // 8
            if width > 64:
                raise ParquetError("damaged: numbers of more than 64 bits")
            part = unpacked(data[reader.at : reader.at + length], width, size) if width else np.zeros(size, np.int64)
            reader.at += length
            parts.append(part + least)
            found += size
    return np.cumsum(np.concatenate(parts)[:count], dtype=np.int64)[: max(count, 0)], reader.at


def texts(data, at, lengths):
    if len(lengths) and (lengths.min() < 0 or lengths.sum() > len(data) - at):
        raise ParquetError("damaged: a text lies outside of its page")
    values = np.empty(len(lengths), object)
    for number, length in enumerate(lengths.tolist()):
        values[number] = data[at : at + length]
        at += length
    return values


def plain(data, at, column, count):
    kind = column.kind
    if kind in FIXED_SIZES:
        return np.frombuffer(data, FIXED_SIZES[kind], count, at)
    if kind == BOOLEAN:
        return np.unpackbits(np.frombuffer(data, np.uint8, -1, at), bitorder="little")[:count].astype(bool)
    if kind == INT96:
        parts = np.frombuffer(data, [("nanoseconds", "<u8"), ("day", "<u4")], count, at)
        days = parts["day"].astype(np.int64) - 2440588
        return days * 86_400_000_000_000 + parts["nanoseconds"].astype(np.int64)
    size = column.length if kind == FIXED else 4
    if size <= 0 or not 0 <= count * size <= len(data) - at:
        raise ParquetError("damaged: a page has fewer values than it says")
    values = np.empty(count, object)
    if kind == FIXED:
        for number in range(count):
            values[number] = data[at + number * size : at + (number + 1) * size]
        return values
    unpack = struct.Struct("<I").unpack_from
    for number in range(count):
        (length,) = unpack(data, at)
        at += 4
        values[number] = data[at : at + length]
        at += length
    if at > len(data):
        raise ParquetError("damaged: a text lies outside of its page")
    return values


def values_of(data, at, column, encoding, count, dictionary):
    if encoding == 0:
        return column.converted(plain(data, at, column, count))
    if encoding in (2, 8):
        if dictionary is None:
            raise ParquetError("damaged: a page without its dictionary")
        if count == 0:
            return dictionary[:0]
        return dictionary[hybrid(data, at + 1, data[at], count)[0]]
    if encoding == 3 and column.kind == BOOLEAN:
        return hybrid(data, at + 4, 1, count)[0].astype(bool)
    if encoding == 5:
        return column.converted(deltas(data, at, count)[0].astype(FIXED_SIZES[column.kind]))
    if encoding == 6:
        lengths, at = deltas(data, at, count)
        return column.converted(texts(data, at, lengths))
    if encoding == 7:
        prefixes, at = deltas(data, at, count)
        lengths, at = deltas(data, at, count)
        values, before = texts(data, at, lengths), b""
        for number, prefix in enumerate(prefixes.tolist()):
            if not 0 <= prefix <= len(before):
                raise ParquetError("damaged: a text begins as no other one")
            values[number] = before = before[:prefix] + values[number]
        return column.converted(values)
    if encoding == 9:
        size = column.length if column.kind == FIXED else np.dtype(FIXED_SIZES[column.kind]).itemsize
        mixed = np.frombuffer(data, np.uint8, count * size, at).reshape(size, count).T.tobytes()
        return column.converted(plain(mixed, 0, column, count))
    raise ParquetError(f"column `{column.name}` has the encoding {encoding}, which is not supported")


class Column:
    """A flat column of a file."""

    def __init__(self, element):
        self.kind, self.length = element.get(1), element.get(2, 0)
        self.optional = element.get(3, 0) == 1
        self.name = element[4].decode()
        self.scale, self.old, self.logical = element.get(7, 0), element.get(6), element.get(10, {})
        self.nested = 5 in element and element[5] > 0 or element.get(3, 0) == 2
        number, of = next(iter(self.logical.items()), (None, {}))
        self.is_text = self.old in (0, 4, 19) or number in (1, 4, 12)
        self.is_decimal = self.old == 5 or number == 5
        self.is_date = self.old == 6 or number == 6
        self.is_time = self.old in (7, 8) or number == 7
        if self.is_decimal and number == 5:
            self.scale = of.get(1, 0)
        self.unit, self.utc = None, False
        if number == 8:
            self.unit, self.utc = UNITS.get(next(iter(of.get(2, {2: {}})))), of.get(1, False)
        elif self.old in (9, 10):
            self.unit, self.utc = "ms" if self.old == 9 else "us", True
        elif self.kind == INT96:
            self.unit = "ns"
        self.integer = None
        if number == 10:
            self.integer = f"{'i' if of.get(2) else 'u'}{of.get(1, 64) // 8}"
        elif self.old is not None and 11 <= self.old <= 18:
            self.integer = f"{'u' if self.old < 15 else 'i'}{1 << (self.old - 11) % 4}"

    def converted(self, values):
        if self.is_text:
            return np.array([bytes(value).decode() for value in values] + [None], object)[:-1]
        if self.is_decimal:
            if values.dtype == object:
                values = [int.from_bytes(value, "big", signed=True) for value in values]
            numbers = [decimal.Decimal(int(value)).scaleb(-self.scale) for value in values]
            return np.array(numbers + [None], object)[:-1]
        if self.is_date:
            return values.astype("datetime64[D]").astype(object)
        if self.is_time:
            raise ParquetError(f"column `{self.name}` has times of day, which are not supported")
        if self.unit:
            return values.astype(np.int64).view(f"datetime64[{self.unit}]")
        if self.integer:
            return values.astype(self.integer)
        return values

    def series(self, parts, index):
        """The parts are pairs of values and whether each row has one; None: all have."""
        whole = [values for values, present in parts if present is None]
        if len(whole) == len(parts):
            values = np.concatenate(whole) if whole else self.converted(plain(b"", 0, self, 0))
        else:
            kinds = [values.dtype for values, _ in parts]
            kind = kinds[0] if kinds else np.dtype(object)
            if kind.kind in "iu":
                kind = np.dtype(np.float64)
            elif kind.kind == "b":
                kind = np.dtype(object)
            empty = np.datetime64("NaT") if kind.kind == "M" else None if kind.kind == "O" else np.nan
            rows = []
            for found, present in parts:
                row = np.full(len(found) if present is None else len(present), empty, kind)
                row[slice(None) if present is None else present] = found
                rows.append(row)
            values = np.concatenate(rows)
        if self.is_text:
            return pd.Series(values, index, dtype="str")
        series = pd.Series(values, index)
        return series.dt.tz_localize("UTC") if self.utc else series


def chunk(data, meta, column, budget):
    """The pages of one column in one row group: their values, and which rows have one."""
    for values, found, present in pages(data, meta, column, budget):
        if len(values) != found:
            raise ParquetError("damaged: a page has fewer values than it says")
        yield values, present


def pages(data, meta, column, budget):
    codec, left, dictionary = meta.get(4, 0), meta[5], None
    at = meta.get(11) or meta[9]
    while left > 0:
        reader = Thrift(data, at)
        head = reader.struct()
        # In every direction but forward there is no end.
        if not 0 <= head[3] <= len(data) - reader.at:
            raise ParquetError("damaged: a page is cut")
        budget.spend(head[3])
        body = data[reader.at : reader.at + head[3]]
        at = reader.at + head[3]
        if head[1] == 2:
            page = decompressed(body, codec, head[2])
            dictionary = column.converted(plain(page, 0, column, head[7][1]))
        elif head[1] == 0:
            about = head[5]
            page, start, count, present = decompressed(body, codec, head[2]), 0, about[1], None
            if column.optional:
                (size,) = struct.unpack_from("<I", page)
                present = hybrid(page, 4, 1, count)[0] == 1
                start = 4 + size
            found = count if present is None else int(present.sum())
            yield values_of(page, start, column, about[2], found, dictionary), found, None if found == count else present
            left -= count
        elif head[1] == 3:
            about = head[8]
            count, size = about[1], about.get(5, 0)
            present = hybrid(body, about.get(6, 0), 1, count)[0] == 1 if column.optional else None
            page = body[size + about.get(6, 0) :]
            if about.get(7, True):
                page = decompressed(page, codec, head[2] - size) if len(page) else page
            found = count - about[2]
            yield values_of(page, 0, column, about[4], found, dictionary), found, present if about[2] else None
            left -= count


def read(data, wanted=None):
    return understood(lambda: table_in(data, wanted), ParquetError, "a Parquet file")


def table_in(data, wanted):
    if len(data) < 12 or data[:4] != MAGIC or data[-4:] != MAGIC:
        raise ParquetError("not a Parquet file" if data[-4:] != b"PARE" else "an encrypted Parquet file, which is not supported")
    size = int.from_bytes(data[-8:-4], "little")
    about = Thrift(data, len(data) - 8 - size).struct()
    columns, at = {}, 1
    for _ in range(about[2][0].get(5, 0)):
        column = Column(about[2][at])
        columns[column.name] = column
        below = about[2][at].get(5, 0)
        at += 1
        while below:
            below += about[2][at].get(5, 0) - 1
            at += 1
    notes = {key.get(1): key.get(2) for key in about.get(5, [])}
    notes = json.loads(notes.get(b"pandas") or b"{}")
    indexes = notes.get("index_columns") or []
    names = [name for name in indexes if isinstance(name, str) and name in columns]
    chosen = list(columns) if wanted is None else [*wanted, *(name for name in names if name not in wanted)]
    index, table, budget, chunks = pd.RangeIndex(about[3]), {}, Budget(data, ParquetError), {}
    for group in about[4]:
        for of in group[1]:
            chunks.setdefault(of[3][3][0].decode(), []).append(of[3])
    for name in chosen:
        if name not in columns:
            raise ParquetError(f"it has no column `{name}`")
        column = columns[name]
        if column.nested:
            raise ParquetError(f"column `{name}` is nested, which is not supported: name the others with `columns=`")
        parts = [part for meta in chunks.get(name, ()) for part in chunk(data, meta, column, budget)]
        table[name] = column.series(parts, index)
    return indexed(pd.DataFrame(table, index), notes, columns)


def indexed(frame, notes, columns):
    """A table with the index that pandas noted. `columns` are all that the file has."""
    indexes = notes.get("index_columns") or []
    names = [name for name in indexes if isinstance(name, str) and name in columns]
    if names:
        frame = frame.set_index(names)
        frame.index.names = [None if str(name).startswith("__index_level_") else name for name in names]
    elif len(indexes) == 1 and isinstance(indexes[0], dict) and indexes[0].get("kind") == "range":
        found = pd.RangeIndex(indexes[0]["start"], indexes[0]["stop"], indexes[0]["step"], name=indexes[0].get("name"))
        if len(found) == len(frame):
            frame.index = found
    return frame


# Writing.


def described(name, series):
    """A column's entry in the schema, its present values as bytes, and which rows have one."""
    element = {3: 1, 4: name}
    if isinstance(series.dtype, pd.CategoricalDtype):
        series = series.astype(series.cat.categories.dtype)
    present = series.notna().to_numpy(bool)
    kind = series.dtype.kind if isinstance(series.dtype, np.dtype) else getattr(series.dtype, "kind", "O")
    if kind in "iufb" and series.dtype != object and not isinstance(series.dtype, pd.StringDtype):
        values = series[present].to_numpy(getattr(series.dtype, "numpy_dtype", series.dtype))
        if kind == "b":
            return {**element, 1: BOOLEAN}, np.packbits(values.astype(bool), bitorder="little").tobytes(), present
        if kind == "f":
            wide = values.dtype.itemsize > 4
            return {**element, 1: DOUBLE if wide else FLOAT}, values.astype("<f8" if wide else "<f4").tobytes(), present
        size, signed = values.dtype.itemsize, kind == "i"
        logical = {10: {10: {1: Byte(size * 8), 2: signed}}}
        old = {} if size == 8 and signed else {6: (15 if signed else 11) + size.bit_length() - 1}
        wide = size == 8
        return {**element, 1: INT64 if wide else INT32, **old, **(logical if old else {})}, values.astype("<i8" if wide else "<i4").tobytes(), present
    if kind == "M":
        unit = series.dt.unit if series.dt.unit in ("ms", "us", "ns") else "ms"
        utc = series.dt.tz is not None
        if utc:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        values = series[present].to_numpy(f"datetime64[{unit}]").view(np.int64)
        number = next(number for number, known in UNITS.items() if known == unit)
        old = {6: {"ms": 9, "us": 10}[unit]} if utc and unit != "ns" else {}
        return {**element, 1: INT64, **old, 10: {8: {1: utc, 2: {number: {}}}}}, values.astype("<i8").tobytes(), present
    values = series[present].tolist()
    if all(isinstance(value, datetime.date) and not isinstance(value, datetime.datetime) for value in values) and values:
        days = np.array(values, "datetime64[D]").astype("<i4")
        return {**element, 1: INT32, 6: 6, 10: {6: {}}}, days.tobytes(), present
    if all(isinstance(value, str) for value in values):
        element, parts = {**element, 1: BYTES, 6: 0, 10: {1: {}}}, [value.encode() for value in values]
    elif all(isinstance(value, bytes) for value in values):
        element, parts = {**element, 1: BYTES}, values
    elif all(isinstance(value, bool) for value in values):
        return {**element, 1: BOOLEAN}, np.packbits(np.array(values, bool), bitorder="little").tobytes(), present
    else:
        raise ParquetError(f"column `{name}` has values of several types or of one that is not supported: use numbers, texts or times")
    return element, b"".join(len(part).to_bytes(4, "little") + part for part in parts), present


def levels(present):
    out = bytearray()
    if present.all():
        put_varint(out, len(present) << 1)
        out.append(1)
    else:
        put_varint(out, (len(present) + 7) // 8 << 1 | 1)
        out += np.packbits(present, bitorder="little").tobytes()
    return len(out).to_bytes(4, "little") + bytes(out)


def with_index(frame, index):
    """The columns to write, those of the index among them, and what pandas notes of it."""
    is_range = isinstance(frame.index, pd.RangeIndex)
    notes = {"columns": [], "creator": {"library": "cloister", "version": "1"}, "pandas_version": pd.__version__, "column_indexes": []}
    columns = [(str(name), frame.iloc[:, number]) for number, name in enumerate(frame.columns)]
    if index is False or (index is None and is_range):
        of = frame.index
        notes["index_columns"] = [] if index is False or not is_range else [{"kind": "range", "name": of.name, "start": of.start, "stop": of.stop, "step": of.step}]
    else:
        names = [f"__index_level_{level}__" if name is None else str(name) for level, name in enumerate(frame.index.names)]
        notes["index_columns"] = names
        for level, name in enumerate(names):
            of = frame.index.get_level_values(level)
            utc = isinstance(of.dtype, pd.DatetimeTZDtype)
            kind = "datetimetz" if utc else "datetime" if of.dtype.kind == "M" else "unicode" if of.dtype.kind in "OU" else str(of.dtype)
            note = {"name": frame.index.names[level], "field_name": name, "pandas_type": kind, "numpy_type": str(getattr(of.dtype, "base", of.dtype))}
            notes["columns"].append({**note, "metadata": {"timezone": "UTC"} if utc else None})
        columns += [(name, frame.index.get_level_values(level).to_series(index=range(len(frame)))) for level, name in enumerate(names)]
    return columns, notes


def written(frame, compression, index):
    codec = 0 if compression is None or str(compression).lower() in ("none", "uncompressed") else 2
    columns, notes = with_index(frame, index)
    if len({name for name, _ in columns}) < len(columns):
        raise ParquetError("two columns have one name")
    out, schema, chunks = bytearray(MAGIC), [{4: "schema", 5: len(columns)}], []
    for name, series in columns:
        element, values, present = described(name, series)
        schema.append(element)
        page = levels(present) + values
        squeezed = page
        if codec:
            packer = zlib.compressobj(6, zlib.DEFLATED, 31)
            squeezed = packer.compress(page) + packer.flush()
        head = encoded({1: 0, 2: len(page), 3: len(squeezed), 5: {1: len(present), 2: 0, 3: 3, 4: 3}})
        meta = {1: element[1], 2: [0, 3], 3: [name], 4: codec, 5: Long(len(present)), 6: Long(len(head) + len(page)),
                7: Long(len(head) + len(squeezed)), 9: Long(len(out))}
        chunks.append({2: Long(len(out)), 3: meta})
        out += head
        out += squeezed
    group = {1: chunks, 2: Long(sum(of[3][6] for of in chunks)), 3: Long(len(frame))}
    about = encoded({1: 2, 2: schema, 3: Long(len(frame)), 4: [group] if len(frame) else [], 5: [{1: "pandas", 2: json.dumps(notes)}], 6: "cloister"})
    return bytes(out) + about + len(about).to_bytes(4, "little") + MAGIC


class Engine:
    """What pandas calls."""

    def read(self, path, columns=None, filters=None, **options):
        if filters is not None:
            raise ParquetError("`filters` are not supported: read the table, then choose its rows")
        if hasattr(path, "read"):
            data = path.read()
        else:
            if os.path.isdir(path):
                raise ParquetError("a folder of Parquet files: read each, and put them together with pandas.concat")
            with open(path, "rb") as file:
                data = file.read()
        frame = read(data, columns)
        backend = options.get("dtype_backend")
        return frame.convert_dtypes(dtype_backend=backend) if backend == "numpy_nullable" else frame

    def write(self, df, path, compression="snappy", index=None, partition_cols=None, **options):
        if partition_cols is not None:
            raise ParquetError("`partition_cols` is not supported: write one file for each part")
        data = written(df, compression, index)
        if hasattr(path, "write"):
            path.write(data)
        else:
            with open(path, "wb") as file:
                file.write(data)


def install():
    """Has pandas use this engine where it would look for one by itself."""
    import pandas.io.parquet as of_pandas

    known = of_pandas.get_engine
    of_pandas.get_engine = lambda engine: Engine() if engine == "auto" else known(engine)

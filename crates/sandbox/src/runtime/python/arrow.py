"""Arrow's IPC formats for pandas, with numpy alone: the file format, which is Feather version 2, and the stream format, of flat tables.

`read` takes either of them; `write` writes one record batch, without compression. pandas.read_feather and DataFrame.to_feather call them.
"""
import datetime, decimal, io, json, os, struct
import numpy as np
import pandas as pd
from cloister_parquet import Budget, indexed, understood, unzstd, with_index

MAGIC = b"ARROW1"
CONTINUATION = 0xFFFFFFFF
SCHEMA, DICTIONARY, BATCH = 1, 2, 3
NULL, INT, FLOAT, BINARY, UTF8, BOOL, DECIMAL, DATE, TIME, TIMESTAMP = range(1, 11)
FIXED_BINARY, DURATION, LARGE_BINARY, LARGE_UTF8, BINARY_VIEW, UTF8_VIEW = 15, 18, 19, 20, 23, 24
UNITS = ["s", "ms", "us", "ns"]
FLOATS = ["<f2", "<f4", "<f8"]
MOST_NESTED = 64


class ArrowError(ValueError):
    """A file that is not Arrow, or has something that is not supported here."""


# FlatBuffers, in which Arrow describes what comes: a table is read field by field, and written from a dict of its fields' numbers.


class Table:
    def __init__(self, data, at, budget):
        budget.spend(4)
        self.data, self.at, self.budget = data, at, budget
        self.fields = at - self.unpacked("<i", at)
        self.size = self.unpacked("<H", self.fields)

    def unpacked(self, form, at):
        if at < 0:
            raise ArrowError("damaged: its description leads out of it")
        return struct.unpack_from(form, self.data, at)[0]

    def place(self, field):
        entry = 4 + 2 * field
        offset = self.unpacked("<H", self.fields + entry) if entry < self.size else 0
        return self.at + offset if offset else None

    def number(self, field, form, default=0):
        at = self.place(field)
        return default if at is None else self.unpacked(form, at)

    def led(self, field):
        at = self.place(field)
        return None if at is None else at + self.unpacked("<I", at)

    def table(self, field):
        at = self.led(field)
        return None if at is None else Table(self.data, at, self.budget)

    def text(self, field):
        at = self.led(field)
        if at is None:
            return ""
        size = self.unpacked("<I", at)
        self.budget.spend(size)
        return bytes(self.data[at + 4 : at + 4 + size]).decode()

    def tables(self, field):
        at = self.led(field)
        count = 0 if at is None else self.unpacked("<I", at)
        places = range(at + 4, at + 4 + 4 * count, 4) if count else ()
        return [Table(self.data, place + self.unpacked("<I", place), self.budget) for place in places]

    def structs(self, field, form):
        at = self.led(field)
        count = 0 if at is None else self.unpacked("<I", at)
        end = 0 if at is None else at + 4 + count * struct.calcsize(form)
        if end > len(self.data):
            raise ArrowError("damaged: its description leads out of it")
        self.budget.spend(end - (at or 0))
        return list(struct.iter_unpack(form, self.data[at + 4 : end])) if count else []


class Number:
    def __init__(self, form, value):
        self.form, self.value = form, value


class Structs:
    def __init__(self, form, rows):
        self.rows, self.data = len(rows), b"".join(struct.pack(form, *row) for row in rows)


def put(out, value):
    """Appends a table, a text, structs or a list of tables. Returns where it is."""
    if isinstance(value, str):
        data = value.encode()
        out += bytes(-len(out) % 4)
        at = len(out)
        out += len(data).to_bytes(4, "little") + data + b"\0"
    elif isinstance(value, Structs):
        out += bytes(-(len(out) + 4) % 8)
        at = len(out)
        out += value.rows.to_bytes(4, "little") + value.data
    elif isinstance(value, list):
        out += bytes(-len(out) % 4)
        at = len(out)
        out += len(value).to_bytes(4, "little") + bytes(4 * len(value))
        for place, element in zip(range(at + 4, len(out), 4), value):
            struct.pack_into("<I", out, place, put(out, element) - place)
    else:
        offsets, size = {}, 4
        for field, of in value.items():
            width = struct.calcsize(of.form) if isinstance(of, Number) else 4
            size += -size % width
            offsets[field] = size
            size += width
        count = max(offsets, default=-1) + 1
        fields = struct.pack(f"<HH{count}H", 4 + 2 * count, size, *(offsets.get(field, 0) for field in range(count)))
        out += bytes(-(len(out) + len(fields)) % 8) + fields
        at = len(out)
        out += len(fields).to_bytes(4, "little") + bytes(size - 4)
        for field, of in value.items():
            place = at + offsets[field]
            if isinstance(of, Number):
                struct.pack_into(of.form, out, place, of.value)
            else:
                struct.pack_into("<I", out, place, put(out, of) - place)
    return at


def flat(value):
    out = bytearray(4)
    out[:4] = put(out, value).to_bytes(4, "little")
    return bytes(out) + bytes(-len(out) % 8)


# Reading.


def unlz4(data, size):
    """A frame of LZ4."""
    if data[:4] != b"\x04\x22\x4d\x18":
        raise ArrowError("damaged: not a frame of LZ4")
    flags = data[4]
    at, out = 7 + (8 if flags & 8 else 0) + (4 if flags & 1 else 0), bytearray()
    while True:
        length = int.from_bytes(data[at : at + 4], "little")
        at += 4
        if length == 0:
            break
        end = at + (length & 0x7FFFFFFF)
        if end > len(data):
            raise ArrowError("damaged: a block of LZ4 is cut")
        if length >> 31:
            out += data[at:end]
        else:
            unlz4_block(data, at, end, out, size)
        at = end + (4 if flags & 16 else 0)
    if len(out) != size:
        raise ArrowError("damaged: LZ4 has another length than it says")
    return bytes(out)


def run(data, at, length):
    """The length of a run, which goes on while it is all ones, and where its bytes end."""
    more = 255 if length == 15 else 0
    while more == 255:
        more = data[at]
        at += 1
        length += more
    return length, at


def unlz4_block(data, at, end, out, size):
    while at < end:
        token = data[at]
        length, at = run(data, at + 1, token >> 4)
        out += data[at : at + length]
        at += length
        if at >= end:
            return
        offset = data[at] | data[at + 1] << 8
        length, at = run(data, at + 2, token & 15)
        length += 4
        start = len(out) - offset
        if offset == 0 or start < 0 or len(out) + length > size:
            raise ArrowError("damaged: LZ4 refers to what is not there")
        if offset >= length:
            out += out[start : start + length]
        else:
            piece = bytes(out[start:])
            out += (piece * (length // offset + 1))[:length]


def decompressed(data, codec):
    if codec is None or not len(data):
        return data
    size = int.from_bytes(data[:8], "little", signed=True)
    if size == -1:
        return data[8:]
    if codec == 0:
        return unlz4(bytes(data[8:]), size)
    if codec == 1:
        return unzstd(bytes(data[8:]), size, ArrowError)
    raise ArrowError(f"its buffers are compressed with codec {codec}, which is not supported: write it without compression")


class Column:
    """A column of a file: what its schema says."""

    def __init__(self, field, depth=0):
        if depth > MOST_NESTED:
            raise ArrowError("damaged: nested without an end")
        self.name, self.kind = field.text(0), field.number(2, "<B")
        self.type, self.children = field.table(3), [Column(child, depth + 1) for child in field.tables(5)]
        self.counted = None
        encoding = field.table(4)
        self.dictionary = None if encoding is None else encoding.number(0, "<q")
        self.ordered = encoding is not None and encoding.number(2, "<?")
        self.index = None if encoding is None else integer(encoding.table(1))

    def counts(self):
        """How many nodes and buffers it has in a batch; None instead of the buffers, if the batch says how many."""
        if self.counted is None:
            self.counted = self.count()
        return self.counted

    def count(self):
        if self.dictionary is not None:
            return 1, 2
        if not self.children:
            kinds = {NULL: 0, BINARY: 3, UTF8: 3, LARGE_BINARY: 3, LARGE_UTF8: 3, BINARY_VIEW: None, UTF8_VIEW: None}
            return 1, kinds.get(self.kind, 2)
        # List, struct, union, list of one size, map, large list, runs, views of lists.
        union = 1 + (self.type.number(0, "<h") == 1)
        nodes, buffers = 1, {12: 2, 13: 1, 14: union, 16: 1, 17: 2, 21: 2, 22: 0, 25: 3, 26: 3}.get(self.kind, 2)
        for child in self.children:
            more = child.counts()
            if more[1] is None:
                raise ArrowError(f"column `{self.name}` is nested, with views in it, which is not supported")
            nodes, buffers = nodes + more[0], buffers + more[1]
        return nodes, buffers

    def values(self, length, buffers):
        """The values of a batch, with anything where there is none."""
        if self.dictionary is not None:
            return np.frombuffer(buffers[1], self.index, length)
        kind, of = self.kind, self.type
        if kind == NULL:
            return np.full(length, None, object)
        if kind == INT:
            return np.frombuffer(buffers[1], integer(of), length)
        if kind == FLOAT:
            return np.frombuffer(buffers[1], FLOATS[of.number(0, "<h")], length)
        if kind == BOOL:
            return bits(buffers[1], length)
        if kind in (UTF8, BINARY, LARGE_UTF8, LARGE_BINARY):
            wide = "<i8" if kind in (LARGE_UTF8, LARGE_BINARY) else "<i4"
            found = np.frombuffer(buffers[1], wide, length + 1 if length else 0)
            data = bytes(buffers[2])
            if length and (found[0] < 0 or found[-1] > len(data) or (found[1:] < found[:-1]).any()):
                raise ArrowError("damaged: a text lies outside its buffer")
            offsets = found.tolist()
            return texts([data[start:end] for start, end in zip(offsets, offsets[1:])], kind in (UTF8, LARGE_UTF8))
        if kind in (UTF8_VIEW, BINARY_VIEW):
            parts, views = [], bytes(buffers[1])
            for number in range(length):
                size, _, buffer, start = struct.unpack_from("<i4sii", views, 16 * number)
                source, start = (views, 16 * number + 4) if size <= 12 else (buffers[2 + buffer], start)
                if not 0 <= start <= start + size <= len(source):
                    raise ArrowError("damaged: a text lies outside its buffer")
                parts.append(bytes(source[start : start + size]))
            return texts(parts, kind == UTF8_VIEW)
        if kind == DATE:
            days = of.number(0, "<h", 1) == 0
            found = np.frombuffer(buffers[1], "<i4" if days else "<i8", length)
            found = found.astype("datetime64[D]") if days else found.view("datetime64[ms]").astype("datetime64[D]")
            return found.astype(object)
        if kind == TIMESTAMP:
            return np.frombuffer(buffers[1], f"<M8[{UNITS[of.number(0, '<h')]}]", length)
        if kind == DURATION:
            return np.frombuffer(buffers[1], f"<m8[{UNITS[of.number(0, '<h', 1)]}]", length)
        if kind == DECIMAL:
            scale, parts = of.number(1, "<i"), pieces(buffers[1], of.number(2, "<i", 128) // 8, length)
            numbers = [int.from_bytes(part, "little", signed=True) for part in parts]
            return objects([decimal.Decimal(number).scaleb(-scale) for number in numbers])
        if kind == FIXED_BINARY:
            return objects(pieces(buffers[1], of.number(0, "<i"), length))
        what = {TIME: "times of day", 11: "intervals"}.get(kind, "nested values" if self.children else f"values of type {kind}")
        raise ArrowError(f"column `{self.name}` has {what}, which is not supported: name the others with `columns=`")

    def series(self, parts, index):
        """The parts are the values of a batch, whether each row has one (None: all have), and the dictionary that it was written with."""
        values = np.concatenate([part[0] for part in parts]) if parts else self.values(0, [b"", b"", b""])
        present = np.concatenate([np.ones(len(of), bool) if there is None else there for of, there, _ in parts]) if parts else np.ones(0, bool)
        if self.dictionary is not None:
            return self.categories(parts, values, present, index)
        if not present.all():
            values = gaps(values, present)
        if self.kind in (UTF8, LARGE_UTF8, UTF8_VIEW):
            return pd.Series(values, index, dtype="str")
        series = pd.Series(values, index)
        zone = self.type.text(1) if self.kind == TIMESTAMP else ""
        return series.dt.tz_localize("UTC").dt.tz_convert(zone) if zone else series

    def categories(self, parts, codes, present, index):
        known = parts[0][2] if parts else pd.Index([])
        same = all(part[2] is known for part in parts)
        codes = codes.astype(np.int64)
        if same and known.is_unique and not known.hasnans:
            codes[~present] = -1
            if len(codes) and not -1 <= codes.min() <= codes.max() < len(known):
                raise ArrowError("damaged: a category that is not there")
            return pd.Series(pd.Categorical.from_codes(codes, known, ordered=bool(self.ordered)), index)
        values = [of[code] if there else None for part in parts for of in [part[2]] for code, there in zip(part[0].tolist(), np.ones(len(part[0]), bool) if part[1] is None else part[1])]
        return pd.Series(pd.Categorical(values, ordered=bool(self.ordered)), index)


def integer(of):
    if of is None:
        return "<i4"
    bytes_of = of.number(0, "<i") // 8
    if bytes_of not in (1, 2, 4, 8):
        raise ArrowError("damaged: integers of no known size")
    return f"<{'i' if of.number(1, '<?') else 'u'}{bytes_of}"


def pieces(data, size, count):
    if size <= 0 or len(data) < size * count:
        raise ArrowError("damaged: it has fewer values than it says")
    return [bytes(data[size * at : size * (at + 1)]) for at in range(count)]


def objects(values):
    found = np.empty(len(values), object)
    found[:] = values
    return found


def texts(parts, are_texts):
    return objects([part.decode() for part in parts] if are_texts else parts)


def bits(data, length):
    return np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")[:length].astype(bool)


def gaps(values, present):
    """The values as pandas has them where some rows have none."""
    if values.dtype.kind in "iu":
        values = values.astype(np.float64)
    elif values.dtype.kind == "b":
        values = values.astype(object)
    values = values.copy()
    values[~present] = None if values.dtype == object else "NaT" if values.dtype.kind in "mM" else np.nan
    return values


class Reader:
    def __init__(self, data):
        self.data, self.columns, self.dictionaries, self.batches, self.notes = data, [], {}, [], {}
        self.budget = Budget(data, ArrowError)

    def message(self, at):
        """The message at a place, where its body begins, and where the next one is; None at the end."""
        if at < 0:
            raise ArrowError("damaged: a message before its beginning")
        if at + 4 > len(self.data):
            return None
        size = int.from_bytes(self.data[at : at + 4], "little")
        at += 4
        if size == CONTINUATION:
            size = int.from_bytes(self.data[at : at + 4], "little")
            at += 4
        if size == 0:
            return None
        message = Table(self.data, at + int.from_bytes(self.data[at : at + 4], "little"), self.budget)
        body = at + size
        end = body + message.number(3, "<q")
        if not body <= end <= len(self.data):
            raise ArrowError("damaged: a message is cut")
        self.budget.spend(end - at)
        return message, body, end

    def schema(self, schema):
        if schema.number(0, "<h"):
            raise ArrowError("its numbers have the highest byte first, which is not supported")
        self.columns = [Column(field) for field in schema.tables(1)]
        self.notes = {note.text(0): note.text(1) for note in schema.tables(2)}

    def take(self, message, body):
        kind, header = message.number(1, "<B"), message.table(2)
        if kind == SCHEMA:
            self.schema(header)
        elif kind == DICTIONARY:
            self.dictionary(header, body)
        elif kind == BATCH:
            self.batches.append((header, body, dict(self.dictionaries)))

    def dictionary(self, header, body):
        number = header.number(0, "<q")
        column = next((column for column in self.columns if column.dictionary == number), None)
        if column is None:
            return
        plain = Column.__new__(Column)
        plain.__dict__.update(vars(column), dictionary=None, counted=None)
        values, present = next(iter(self.batch(header.table(1), body, [plain])))[1:]
        found = pd.Index(plain.series([(values, present, None)], pd.RangeIndex(len(values))))
        before = self.dictionaries.get(number)
        self.dictionaries[number] = before.append(found) if before is not None and header.number(2, "<?") else found

    def batch(self, header, body, columns, wanted=None):
        """Each wanted column of a batch, its values, and which rows have one."""
        compression = header.table(3)
        codec = None if compression is None else compression.number(0, "<b")
        nodes, buffers = iter(header.structs(1, "<qq")), iter(header.structs(2, "<qq"))
        more = iter(header.structs(4, "<q"))
        for column in columns:
            of_nodes, of_buffers = column.counts()
            length, missing = next(nodes)
            for _ in range(of_nodes - 1):
                next(nodes)
            if of_buffers is None:
                of_buffers = 2 + next(more)[0]
            places = [next(buffers) for _ in range(of_buffers)]
            if wanted is not None and column.name not in wanted:
                continue
            if length != header.number(0, "<q") or length < 0 or (column.kind != NULL and len(self.data) < length // 8):
                raise ArrowError("damaged: columns of different lengths, or with more rows than there are bytes")
            found = []
            for offset, size in places:
                if not 0 <= offset <= offset + size <= len(self.data) - body:
                    raise ArrowError("damaged: a buffer leads out of the file")
                self.budget.spend(size)
                found.append(decompressed(self.data[body + offset : body + offset + size], codec))
            present = bits(found[0], length) if missing and found and len(found[0]) else None
            yield column, column.values(length, found), present

    def frame(self, wanted):
        notes = json.loads(self.notes.get("pandas") or "{}")
        names = [column.name for column in self.columns]
        index_names = [name for name in notes.get("index_columns") or [] if isinstance(name, str) and name in names]
        chosen = names if wanted is None else [*wanted, *(name for name in index_names if name not in wanted)]
        for name in chosen:
            if name not in names:
                raise ArrowError(f"it has no column `{name}`")
        if len(set(names)) < len(names):
            raise ArrowError("two of its columns have one name")
        parts, rows = {name: [] for name in chosen}, 0
        for header, body, dictionaries in self.batches:
            rows += header.number(0, "<q")
            for column, values, present in self.batch(header, body, self.columns, set(chosen)):
                if column.dictionary is not None and column.dictionary not in dictionaries:
                    raise ArrowError("damaged: a dictionary is missing")
                parts[column.name].append((values, present, dictionaries.get(column.dictionary)))
        index, columns = pd.RangeIndex(rows), {column.name: column for column in self.columns}
        table = {name: columns[name].series(parts[name], index) for name in chosen}
        return indexed(pd.DataFrame(table, index), notes, names)


def read(source, columns=None):
    """The table in a file or a stream: a path, an open file, or bytes. `columns` names those that are wanted."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        data = source
    elif hasattr(source, "read"):
        data = source.read()
    else:
        with open(source, "rb") as file:
            data = file.read()
    wanted = None if columns is None else list(columns)
    return understood(lambda: table_in(data, wanted), ArrowError, "a file or stream of Arrow")


def table_in(data, wanted):
    reader = Reader(memoryview(data))
    if data[:4] == b"FEA1":
        raise ArrowError("Feather version 1, which is not supported: write version 2")
    if data[:6] == MAGIC:
        if len(data) < 20 or data[-6:] != MAGIC:
            raise ArrowError("damaged: the file is cut")
        at = len(data) - 10 - int.from_bytes(data[-10:-6], "little")
        footer = Table(reader.data, at + int.from_bytes(data[at : at + 4], "little"), reader.budget)
        reader.schema(footer.table(1))
        for field in (2, 3):
            for offset, _, _ in footer.structs(field, "<qi4xq"):
                message = reader.message(offset)
                if message is None:
                    raise ArrowError("damaged: a message is missing")
                reader.take(*message[:2])
    else:
        at = 0
        while (message := reader.message(at)) is not None:
            reader.take(*message[:2])
            at = message[2]
        if not reader.columns:
            raise ArrowError("neither a file nor a stream of Arrow")
    return reader.frame(wanted)


# Writing.


def described(series):
    """The number and the table of a column's type, and its buffers after the one that says which rows have a value."""
    present = series.notna().to_numpy(bool)
    kind = series.dtype.kind if isinstance(series.dtype, np.dtype) else getattr(series.dtype, "kind", "O")
    if kind in "iufb" and series.dtype != object and not isinstance(series.dtype, pd.StringDtype):
        values = np.zeros(len(series), getattr(series.dtype, "numpy_dtype", series.dtype))
        values[present] = series[present].to_numpy(values.dtype)
        if kind == "b":
            return BOOL, {}, [np.packbits(values, bitorder="little").tobytes()], present
        size = values.dtype.itemsize
        data = values.astype(values.dtype.newbyteorder("<")).tobytes()
        if kind == "f":
            return FLOAT, {0: Number("<h", {2: 0, 4: 1, 8: 2}[size])}, [data], present
        return INT, {0: Number("<i", size * 8), 1: Number("<?", kind == "i")}, [data], present
    if kind in "mM":
        unit = series.dt.unit
        zone = str(series.dt.tz) if kind == "M" and series.dt.tz is not None else None
        if zone:
            series = series.dt.tz_convert("UTC").dt.tz_localize(None)
        values = np.zeros(len(series), np.int64)
        values[present] = series[present].to_numpy(f"{'datetime' if kind == 'M' else 'timedelta'}64[{unit}]").view(np.int64)
        about = {0: Number("<h", UNITS.index(unit)), **({1: zone} if zone else {})}
        return TIMESTAMP if kind == "M" else DURATION, about, [values.astype("<i8").tobytes()], present
    values = series[present].tolist()
    if not values and not isinstance(series.dtype, pd.StringDtype):
        return NULL, {}, None, present
    if all(isinstance(value, datetime.date) and not isinstance(value, datetime.datetime) for value in values) and values:
        days = np.zeros(len(series), "<i4")
        days[present] = np.array(values, "datetime64[D]").astype(np.int32)
        return DATE, {0: Number("<h", 0)}, [days.tobytes()], present
    if values and all(isinstance(value, bool) for value in values):
        found = np.zeros(len(series), bool)
        found[present] = values
        return BOOL, {}, [np.packbits(found, bitorder="little").tobytes()], present
    if all(isinstance(value, str) for value in values):
        kinds, parts = (UTF8, LARGE_UTF8), [value.encode() for value in values]
    elif all(isinstance(value, bytes) for value in values):
        kinds, parts = (BINARY, LARGE_BINARY), values
    else:
        raise ArrowError("values of several types or of one that is not supported: use numbers, texts or times")
    lengths = np.zeros(len(series) + 1, np.int64)
    lengths[1:][present] = [len(part) for part in parts]
    offsets, data = np.cumsum(lengths), b"".join(parts)
    wide = len(data) > 0x7FFFFFFF
    return kinds[wide], {}, [offsets.astype("<i8" if wide else "<i4").tobytes(), data], present


def batch(length, columns):
    """The description of a record batch, and its body. A column is its buffers, and which rows have a value."""
    nodes, places, body = [], [], bytearray()
    for buffers, present in columns:
        missing = int(len(present) - present.sum())
        nodes.append((length, missing))
        if buffers is None:
            continue
        there = np.packbits(present, bitorder="little").tobytes() if missing else b""
        for buffer in [there, *buffers]:
            places.append((len(body), len(buffer)))
            body += buffer
            body += bytes(-len(body) % 8)
    return {0: Number("<q", length), 1: Structs("<qq", nodes), 2: Structs("<qq", places)}, bytes(body)


def message(kind, header, body=b""):
    about = flat({0: Number("<h", 4), 1: Number("<B", kind), 2: header, 3: Number("<q", len(body))})
    return struct.pack("<II", CONTINUATION, len(about)) + about, body


def write(frame, target=None, form="file", index=None):
    """Writes a table as a `file` or a `stream` to a path or an open file; None: returns the bytes."""
    if form not in ("file", "stream"):
        raise ArrowError("`form` is `file` or `stream`")
    columns, notes = with_index(frame, index)
    if len({name for name, _ in columns}) < len(columns):
        raise ArrowError("two columns have one name")
    fields, described_columns, messages = [], [], []
    for name, series in columns:
        field = {0: name, 1: Number("<?", True)}
        try:
            if isinstance(series.dtype, pd.CategoricalDtype):
                codes, number = series.cat.codes.to_numpy(np.int32), len(messages)
                kind, of, buffers, present = described(pd.Series(series.cat.categories))
                if buffers is None:
                    kind, of, buffers, present = described(pd.Series([], dtype="str"))
                header, body = batch(len(present), [(buffers, present)])
                messages.append((DICTIONARY, {0: Number("<q", number), 1: header}, body))
                field[4] = {0: Number("<q", number), 1: {0: Number("<i", 32), 1: Number("<?", True)}, 2: Number("<?", bool(series.cat.ordered))}
                described_columns.append(([np.maximum(codes, 0).astype("<i4").tobytes()], codes >= 0))
            else:
                kind, of, buffers, present = described(series)
                described_columns.append((buffers, present))
        except ArrowError as error:
            raise ArrowError(f"column `{name}` has {error}") from None
        fields.append({**field, 2: Number("<B", kind), 3: of, 5: []})
    messages.append((BATCH, *batch(len(frame), described_columns)))
    schema = {0: Number("<h", 0), 1: fields, 2: [{0: "pandas", 1: json.dumps(notes)}]}
    out, blocks = bytearray(MAGIC + b"\0\0" if form == "file" else b""), {DICTIONARY: [], BATCH: []}
    out += message(SCHEMA, schema)[0]
    for kind, header, body in messages:
        about, body = message(kind, header, body)
        blocks[kind].append((len(out), len(about), len(body)))
        out += about + body
    out += struct.pack("<II", CONTINUATION, 0)
    if form == "file":
        footer = flat({0: Number("<h", 4), 1: schema, 2: Structs("<qi4xq", blocks[DICTIONARY]), 3: Structs("<qi4xq", blocks[BATCH])})
        out += footer + len(footer).to_bytes(4, "little") + MAGIC
    if target is None:
        return bytes(out)
    if hasattr(target, "write"):
        target.write(out)
    else:
        with open(target, "wb") as file:
            file.write(out)
    return None


def read_feather(path, columns=None, use_threads=True, storage_options=None, dtype_backend=None):
    """As pandas has it."""
    frame = read(path, columns)
    return frame.convert_dtypes(dtype_backend=dtype_backend) if dtype_backend == "numpy_nullable" else frame


def to_feather(df, path, storage_options=None, compression=None, **options):
    """As pandas has it. What is written is not compressed, which every reader takes."""
    if compression not in (None, "uncompressed", "lz4", "zstd"):
        raise ArrowError(f"`compression` is not `{compression}`, but lz4, zstd or uncompressed")
    if options.get("version", 2) != 2:
        raise ArrowError("only version 2 of Feather is written")
    write(df, path)


def install():
    """Has pandas call this module."""
    import pandas.io.api, pandas.io.feather_format

    for place in (pd, pandas.io.api, pandas.io.feather_format):
        place.read_feather = read_feather
    pandas.io.feather_format.to_feather = to_feather

"""Zstandard (RFC 8878) for scripts, with numpy alone. It stands for `compression.zstd`: `decompress`, `compress`, `open`, `ZstdFile`,
`ZstdDecompressor` and `ZstdError` are there, and nothing else.

Read: all frames but those that need a dictionary. Written: frames of stored blocks and of blocks of one byte, which every reader takes.
The readers of Parquet and Arrow unpack with it, and pandas, where a file is called `.zst` or `compression` is "zstd".
"""
import builtins, io, sys, types
import numpy as np

MAGIC = b"\x28\xb5\x2f\xfd"
MOST_IN_BLOCK = 128 << 10
# A file that is read piece by piece keeps so much of what it has unpacked, as the tool `zstd` does if it is not told otherwise.
MOST_WINDOW = 128 << 20
MOST_AT_ONCE = 64 << 10
WHOLE = (1 << 64) - 1


class ZstdError(ValueError):
    """Data that are not Zstandard, are damaged, or have something that is not supported here."""


def damaged(what):
    return ZstdError(f"damaged Zstandard: {what}")


# XXH64, of which the last four bytes of a frame are a part.

P1, P2, P3, P4, P5 = 11400714785074694791, 14029467366897019727, 1609587929392839161, 9650029242287828579, 2870177450012600261
# The four lanes are in one number, 128 bits each, so that one operation does the work of four.
LANES = sum(WHOLE << 128 * lane for lane in range(4))


def turned(value, by):
    return (value << by | value >> 64 - by) & WHOLE


class Sum:
    def __init__(self):
        self.lanes = (P1 + P2 & WHOLE) | P2 << 128 | (-P1 & WHOLE) << 384
        self.rest, self.count = b"", 0

    def add(self, data):
        self.count += len(data)
        data = self.rest + data
        whole = len(data) & -32
        self.rest = data[whole:]
        wide = np.zeros((whole // 8, 2), "<u8")
        wide[:, 0] = np.frombuffer(data, "<u8", whole // 8)
        wide[:, 0] *= np.uint64(P2)
        wide, lanes, number, mask = wide.tobytes(), self.lanes, int.from_bytes, LANES
        for at in range(0, len(wide), 64):
            lanes = lanes + number(wide[at : at + 64], "little") & mask
            lanes = ((lanes << 31 | lanes >> 33) & mask) * P1 & mask
        self.lanes = lanes

    def value(self):
        lanes, rest = [self.lanes >> 128 * lane & WHOLE for lane in range(4)], self.rest
        if self.count >= 32:
            found = sum(map(turned, lanes, (1, 7, 12, 18)))
            for lane in lanes:
                found = (found ^ turned(lane * P2 & WHOLE, 31) * P1) * P1 + P4 & WHOLE
        else:
            found = P5
        found, at = found + self.count & WHOLE, 0
        while at + 8 <= len(rest):
            found ^= turned(int.from_bytes(rest[at : at + 8], "little") * P2 & WHOLE, 31) * P1 & WHOLE
            found, at = turned(found, 27) * P1 + P4 & WHOLE, at + 8
        if at + 4 <= len(rest):
            found ^= int.from_bytes(rest[at : at + 4], "little") * P1 & WHOLE
            found, at = turned(found, 23) * P2 + P3 & WHOLE, at + 4
        for byte in rest[at:]:
            found = turned(found ^ byte * P5 & WHOLE, 11) * P1 & WHOLE
        found = (found ^ found >> 33) * P2 & WHOLE
        found = (found ^ found >> 29) * P3 & WHOLE
        return found ^ found >> 32


# Tables of FSE. A state is its symbol, how many bits lead to the next one, and the number that they are added to.


def states(counts, log):
    size, symbols = 1 << log, [0] * (1 << log)
    top, after = size, list(counts)
    for symbol, count in enumerate(counts):
        if count < 0:
            top -= 1
            symbols[top], after[symbol] = symbol, 1
    step, mask, at = (size >> 1) + (size >> 3) + 3, size - 1, 0
    for symbol, count in enumerate(counts):
        for _ in range(count):
            symbols[at] = symbol
            at = at + step & mask
            while at >= top:
                at = at + step & mask
    table = []
    for symbol in symbols:
        number = after[symbol]
        after[symbol] += 1
        bits = log + 1 - number.bit_length()
        table.append((symbol, bits, (number << bits) - size))
    return table


def described(data, most_log, symbols):
    """The table that data begin with, its logarithm, and how many bytes it takes."""
    # No description of at most 53 symbols has more bytes.
    value, at, counts = int.from_bytes(data[:256], "little"), 4, []
    log = (value & 15) + 5
    if log > most_log:
        raise damaged("a table is too large")
    left = 1 << log
    while left > 0:
        if len(counts) >= symbols:
            raise damaged("a table has too many symbols")
        bits = (left + 1).bit_length()
        low = (1 << bits - 1) - 1
        short, found = (1 << bits) - 2 - left, value >> at & (1 << bits) - 1
        at += bits
        if found & low < short:
            at -= 1
            found &= low
        elif found > low:
            found -= short
        counts.append(found - 1)
        left -= abs(found - 1)
        zeros = 3 if found == 1 else 0
        while zeros == 3:
            zeros = value >> at & 3
            at += 2
            counts += [0] * zeros
            if len(counts) > symbols:
                raise damaged("a table has too many symbols")
    size = at + 7 >> 3
    if left or size > len(data):
        raise damaged("a table is cut or counts more than it has")
    return states(counts, log), log, size


def length_of(stream):
    """How many bits a stream has, which is read from its end: the highest one that is set marks it."""
    if not stream or not stream[-1]:
        raise damaged("a stream of bits has no end")
    return 8 * len(stream) + stream[-1].bit_length() - 9


# Huffman's codes.


class Codes:
    def __init__(self, weights):
        total = sum(1 << weight >> 1 for weight in weights)
        self.width = total.bit_length()
        last = (1 << self.width) - total
        if not 0 < self.width <= 11 or last & last - 1:
            raise damaged("Huffman's weights do not add up")
        weights = np.array([*weights, last.bit_length()], np.intp)
        order = np.argsort(weights, kind="stable")
        order = order[weights[order] > 0]
        many = 1 << weights[order] - 1
        # For each number of `width` bits, the symbol that it begins with and how long that is.
        self.symbols = np.repeat(order.astype(np.uint8), many)
        self.lengths = np.repeat((self.width + 1 - weights[order]).astype(np.uint8), many)


def codes(data):
    """The codes that data begin with, and how many bytes they take."""
    if not data:
        raise damaged("Huffman's weights are cut")
    head = data[0]
    if head >= 128:
        size, body = (head - 126) // 2, data[1:]
        if size > len(body):
            raise damaged("Huffman's weights are cut")
        weights = [weight for byte in body[:size] for weight in (byte >> 4, byte & 15)][: head - 127]
    else:
        size, body = head, data[1 : head + 1]
        if size > len(body):
            raise damaged("Huffman's weights are cut")
        table, log, begin = described(body, 6, 12)
        weights = weights_in(body[begin:], table, log)
    if max(weights) > 11:
        raise damaged("Huffman's weights are too large")
    return Codes(weights), 1 + size


def weights_in(stream, table, log):
    left = length_of(stream) - 2 * log
    if left < 0:
        raise damaged("Huffman's weights are cut")
    bits = int.from_bytes(stream, "little")
    state, other, mask, weights = bits >> left + log, bits >> left, (1 << log) - 1, []
    state, other = state & mask, other & mask
    # Two states take turns. The stream ends where one of them would need more bits than there are.
    while len(weights) < 254:
        symbol, width, base = table[state]
        weights.append(symbol)
        left -= width
        if left < 0:
            return [*weights, table[other][0]]
        state, other = other, base + (bits >> left & (1 << width) - 1)
    raise damaged("too many of Huffman's weights")


def symbols_of(stream, count, table):
    """The symbols of a stream.

    A code says where the next one begins. That is looked up for every bit at once, then doubled three times: only each eighth symbol is
    found by going from one to the next.
    """
    width, end = table.width, 8 * len(stream)
    at = end - length_of(stream)
    data = np.frombuffer(stream[::-1] + bytes(2), np.uint8).astype(np.uint32)
    words, windows = data[:-2] << 16 | data[1:-1] << 8 | data[2:], np.empty((len(stream), 8), np.uint16)
    for bit in range(8):
        windows[:, bit] = words >> np.uint32(24 - width - bit) & np.uint32((1 << width) - 1)
    windows, jump = windows.ravel(), np.arange(1, end + 3, dtype=np.intp)
    jump[:end] += table.lengths.take(windows, mode="clip") - np.uint8(1)
    # Beyond the end of the stream is one place more, for all codes that lead there.
    np.minimum(jump, end + 1, out=jump)
    jumps = []
    for _ in range(3):
        jumps.append(jump)
        jump = jump.take(jump, mode="clip")
    far, chain = memoryview(jump), []
    for _ in range(count // 8 + 1):
        chain.append(at)
        at = far[at]
    places = np.array(chain, np.intp)[:, None]
    for jump in jumps:
        places = np.hstack((places, jump.take(places, mode="clip")))
    places = places.ravel()
    if places[count] != end:
        raise damaged("literals end elsewhere than their stream")
    return table.symbols[windows[places[:count]]].tobytes()


# Sequences: so many literals, then a copy of what is so far behind. A code is a number, and how many bits are added to it.


def code_list(plain, first, bits):
    found = [(first + number, 0) for number in range(plain)]
    base = first + plain
    for width in bits:
        found.append((base, width))
        base += 1 << width
    return found


LENGTHS = code_list(16, 0, (1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))
MATCHES = code_list(32, 3, (1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16))
OFFSETS = [(1 << number, number) for number in range(32)]


def of_codes(table, codes):
    return [(*codes[symbol], bits, base) for symbol, bits, base in table]


# Lengths of literals, offsets, lengths of matches: their codes, the most of their logarithm, and the table that needs no description.
KINDS = [
    (LENGTHS, 9, 6, [4, 3, *[2] * 11, 1, 1, 1, *[2] * 9, 3, 2, 1, 1, 1, 1, 1, -1, -1, -1, -1]),
    (OFFSETS, 8, 5, [*[1] * 6, 2, 2, 2, *[1] * 15, *[-1] * 5]),
    (MATCHES, 9, 6, [1, 4, 3, *[2] * 6, *[1] * 37, *[-1] * 7]),
]
KNOWN = [(of_codes(states(counts, log), of), log) for of, _, log, counts in KINDS]
MASKS = [(1 << bits) - 1 for bits in range(128)]


class Frame:
    """What the blocks of a frame have in common: its head, and what later blocks refer to."""

    def __init__(self, window, size, has_sum):
        self.window, self.size, self.sum = window, size, Sum() if has_sum else None
        self.most_in_block = min(window, MOST_IN_BLOCK)
        self.produced, self.is_last = 0, False
        self.codes, self.tables, self.recent = None, [None] * 3, (1, 4, 8)

    def block(self, data, out, begin, most):
        """Unpacks a block and appends it. The frame's bytes in `out` start at `begin`; it has at most `most` bytes."""
        literals, at = self.literals(data, most)
        count, at = sequence_count(data, at)
        if count == 0:
            if at != len(data):
                raise damaged("a block has more than it says")
            out += literals
            return
        if at >= len(data):
            raise damaged("a block is cut")
        modes, at = data[at], at + 1
        if modes & 3:
            raise damaged("a reserved bit is set")
        for number, shift in enumerate((6, 4, 2)):
            at += self.choose(number, modes >> shift & 3, data[at : at + 256])
        self.execute(data[at:], count, literals, out, begin, most)

    def literals(self, data, most):
        """The literals of a block, and where its sequences begin."""
        kind, form = data[0] & 3, data[0] >> 2 & 3
        if kind < 2:
            head = (1, 2, 1, 3)[form]
            size = int.from_bytes(data[:head], "little") >> (4 if form & 1 else 3)
            end = head + (1 if kind else size)
        else:
            head, bits = ((3, 10), (3, 10), (4, 14), (5, 18))[form]
            value = int.from_bytes(data[:head], "little")
            size = value >> 4 & MASKS[bits]
            end = head + (value >> 4 + bits & MASKS[bits])
        if end > len(data):
            raise damaged("literals are cut")
        if size > most:
            raise damaged("a block has more than its frame allows")
        body = data[head:end]
        if kind < 2:
            return body * size if kind else body, end
        if kind == 2:
            self.codes, used = codes(body)
            body = body[used:]
        elif self.codes is None:
            raise damaged("Huffman's codes are not there")
        if form == 0:
            return symbols_of(body, size, self.codes), end
        sizes = [int.from_bytes(body[number : number + 2], "little") for number in (0, 2, 4)]
        each, at, parts = (size + 3) // 4, 6, []
        last = len(body) - 6 - sum(sizes)
        if last <= 0 or size < 3 * each:
            raise damaged("literals are cut")
        for length, many in zip((*sizes, last), (each, each, each, size - 3 * each)):
            parts.append(symbols_of(body[at : at + length], many, self.codes))
            at += length
        return b"".join(parts), end

    def choose(self, number, mode, data):
        """Sets a table of the sequences. Returns how many bytes describe it."""
        of, most_log, _, _ = KINDS[number]
        size = 0
        if mode == 0:
            self.tables[number] = KNOWN[number]
        elif mode == 1:
            if not data or data[0] >= len(of):
                raise damaged("a code of sequences that there is not")
            self.tables[number], size = ([(*of[data[0]], 0, 0)], 0), 1
        elif mode == 2:
            table, log, size = described(data, most_log, len(of))
            self.tables[number] = of_codes(table, of), log
        elif self.tables[number] is None:
            raise damaged("it repeats a table that is not there")
        return size

    def execute(self, stream, count, literals, out, begin, most):
        (lengths, length_log), (offsets, offset_log), (matches, match_log) = self.tables
        left, masks, number, window = length_of(stream), MASKS, int.from_bytes, self.window
        first, second, third = self.recent
        # `bits` are a part of the stream, of which the lowest `top` are not read yet, and `left` in all.
        low = max(len(stream) - 64, 0)
        bits, top = number(stream[low:], "little"), left - 8 * low
        left -= length_log + offset_log + match_log
        if left < 0:
            raise damaged("sequences are cut")
        top -= length_log
        state = bits >> top & masks[length_log]
        top -= offset_log
        offset_state = bits >> top & masks[offset_log]
        top -= match_log
        match_state = bits >> top & masks[match_log]
        taken, position = 0, len(out)
        end = position + most
        for rest in range(count - 1, -1, -1):
            length, length_bits, width, state = lengths[state]
            offset, offset_bits, offset_width, offset_state = offsets[offset_state]
            match, match_bits, match_width, match_state = matches[match_state]
            if not rest:
                width = offset_width = match_width = 0
            # All bits of a sequence are taken at once, and then apart from the last one on.
            used = length_bits + match_bits + offset_bits + width + offset_width + match_width
            left -= used
            if left < 0:
                raise damaged("sequences are cut")
            if used > top:
                at = (left + used + 7) >> 3
                low = at - 64 if at > 64 else 0
                bits = number(stream[low:at], "little")
                top = left + used - 8 * low
            top -= used
            found = bits >> top & masks[used]
            offset_state += found & masks[offset_width]
            found >>= offset_width
            match_state += found & masks[match_width]
            found >>= match_width
            state += found & masks[width]
            found >>= width
            if length_bits:
                length += found & masks[length_bits]
                found >>= length_bits
            if match_bits:
                match += found & masks[match_bits]
                found >>= match_bits
            if offset_bits > 1:
                third, second = second, first
                first = offset = offset + found - 3
            else:
                # One of the last three offsets, or one less than the last.
                which = offset + found - (1 if length else 0)
                if which == 0:
                    offset = first
                elif which == 1:
                    offset, first, second = second, second, first
                else:
                    offset = third if which == 2 else first - 1
                    first, second, third = offset, first, second
            if length:
                out += literals[taken : taken + length]
                taken += length
            position += length
            start = position - offset
            if start < begin or offset > window or offset == 0 or taken > len(literals):
                raise damaged("it refers to what is not there")
            position += match
            if position > end:
                raise damaged("a block has more than its frame allows")
            if offset >= match:
                out += out[start : start + match]
            else:
                piece = out[start:]
                out += (piece * (match // offset + 1))[:match]
        if left:
            raise damaged("a block has more than it says")
        self.recent = first, second, third
        if position + len(literals) - taken > end:
            raise damaged("a block has more than its frame allows")
        out += literals[taken:]


def sequence_count(data, at):
    head = data[at : at + 3]
    if not head or len(head) <= (head[0] > 127) + (head[0] == 255):
        raise damaged("a block is cut")
    if head[0] < 128:
        return head[0], at + 1
    if head[0] < 255:
        return (head[0] - 128 << 8) + head[1], at + 2
    return head[1] + (head[2] << 8) + 0x7F00, at + 3


class Frames:
    """Frames that come in pieces of any size. What is unpacked is appended to `out`."""

    def __init__(self, most=None, most_window=None):
        self.most, self.most_window = most, most_window
        self.data, self.at, self.skip = b"", 0, 0
        self.out, self.begin, self.frame, self.problem = bytearray(), 0, None, None

    def feed(self, data):
        if data:
            self.data, self.at = self.data[self.at :] + data if self.at < len(self.data) else data, 0

    def rest(self):
        return len(self.data) - self.at

    def is_between(self):
        """Whether no frame is cut."""
        return self.frame is None and not self.skip and not self.rest()

    def ready(self, size):
        """The next bytes, if they are there. They stay where they are."""
        return self.data[self.at : self.at + size] if self.rest() >= size else None

    def step(self):
        """Reads a head, a block or a checksum. Returns whether it was there."""
        if self.skip:
            found = min(self.skip, self.rest())
            self.skip -= found
            self.at += found
            return found > 0
        if self.frame is None:
            return self.head()
        if self.frame.is_last:
            return self.end()
        return self.block()

    def go(self):
        """As `step`. After an error it is the same error for ever, and what was unpacked of a damaged block is gone."""
        if self.problem is not None:
            raise ZstdError(self.problem)
        before = len(self.out)
        try:
            return understood(self.step)
        except ZstdError as problem:
            self.problem = str(problem)
            del self.out[before:]
            raise

    def head(self):
        start = self.ready(5)
        if start is None:
            if self.rest() and not is_begun(self.ready(self.rest())):
                raise ZstdError("this is not Zstandard: its first bytes are others")
            return False
        if start[1:4] == b"\x2a\x4d\x18" and start[0] >> 4 == 5:
            start = self.ready(8)
            if start is None:
                return False
            self.skip, self.at = int.from_bytes(start[4:], "little"), self.at + 8
            return True
        if start[:4] != MAGIC:
            raise ZstdError("this is not Zstandard: its first bytes are others")
        about = start[4]
        is_single, of_dictionary, of_size = about >> 5 & 1, (0, 1, 2, 4)[about & 3], (about >> 5 & 1, 2, 4, 8)[about >> 6]
        head = self.ready(5 + 1 - is_single + of_dictionary + of_size)
        if head is None:
            return False
        if about & 8:
            raise damaged("a reserved bit is set")
        at = 6 - is_single
        if any(head[at : at + of_dictionary]):
            raise ZstdError("it is compressed with a dictionary of Zstandard, which is not supported: write it without one")
        at += of_dictionary
        size = int.from_bytes(head[at:], "little") + (256 if of_size == 2 else 0) if of_size else None
        window = size if is_single else (8 + (head[5] & 7)) << 7 + (head[5] >> 3)
        if self.most is not None and size is not None and size > self.most - len(self.out):
            raise ZstdError(f"it says that it unpacks to more than the {self.most} bytes that are expected")
        if self.most_window is not None and window > self.most_window:
            raise ZstdError(f"its window has {window} bytes, and at most {self.most_window} are supported: write it without --long or --ultra")
        self.frame, self.begin = Frame(window, size, about >> 2 & 1), len(self.out)
        self.at += len(head)
        return True

    def block(self):
        head = self.ready(3)
        if head is None:
            return False
        head = int.from_bytes(head, "little")
        frame, kind, size = self.frame, head >> 1 & 3, head >> 3
        if kind == 3:
            raise damaged("a block of no known kind")
        if size > frame.most_in_block:
            raise damaged("a block has more than its frame allows")
        data = self.ready(3 + (1 if kind == 1 else size))
        if data is None:
            return False
        self.at += len(data)
        before, data = len(self.out), data[3:]
        most = frame.most_in_block if frame.size is None else min(frame.most_in_block, frame.size - frame.produced)
        if self.most is not None:
            most = min(most, self.most - before)
        if kind < 2:
            if size > most:
                raise ZstdError("it unpacks to more than it says or than is expected")
            self.out += data * size if kind else data
        elif data:
            frame.block(data, self.out, self.begin, most)
        else:
            raise damaged("a block is cut")
        frame.produced += len(self.out) - before
        frame.is_last = bool(head & 1)
        if frame.sum:
            frame.sum.add(bytes(self.out[before:]))
        if frame.is_last:
            if frame.size not in (None, frame.produced):
                raise damaged("it has another length than it says")
            if frame.sum is None:
                self.frame = None
        return True

    def end(self):
        found = self.ready(4)
        if found is None:
            return False
        if int.from_bytes(found, "little") != self.frame.sum.value() & 0xFFFFFFFF:
            raise damaged("its checksum is another")
        self.at, self.frame = self.at + 4, None
        return True

    def forget(self):
        """Forgets what was unpacked, but for what later blocks may refer to. Returns how many bytes that is."""
        kept = 0 if self.frame is None else min(self.frame.window, len(self.out) - self.begin)
        gone = len(self.out) - kept
        # Each byte is moved about once.
        if gone >= max(kept, MOST_IN_BLOCK) or not kept:
            del self.out[:gone]
            self.begin = max(self.begin - gone, 0)
        return len(self.out)


def is_begun(data):
    """Whether a frame may begin with data."""
    return MAGIC.startswith(data[:4]) or data[0] >> 4 == 5 and b"\x2a\x4d\x18".startswith(data[1:4])


def understood(read):
    """What `read` returns. Whatever goes wrong in damaged data is one kind of error."""
    try:
        return read()
    except ZstdError:
        raise
    except MemoryError:
        raise ZstdError("it unpacks to more than the memory of this run") from None
    except (LookupError, ValueError, TypeError, ArithmeticError) as problem:
        raise damaged(f"it cannot be read ({type(problem).__name__})") from None


def without_options(options, zstd_dict):
    if zstd_dict is not None:
        raise ZstdError("dictionaries of Zstandard are not supported")
    if options:
        raise ZstdError("options of Zstandard are not supported")


def decompress(data, zstd_dict=None, options=None, *, most=None):
    """All frames of data, unpacked. More than `most` bytes are an error, and are not unpacked."""
    without_options(options, zstd_dict)
    frames = Frames(most)
    frames.feed(bytes(data))

    def all_of_it():
        while frames.step():
            pass
        return bytes(frames.out)

    found = understood(all_of_it)
    if not frames.is_between():
        raise damaged("it is cut")
    return found


class ZstdDecompressor:
    """One frame, which comes in pieces."""

    def __init__(self, zstd_dict=None, options=None):
        without_options(options, zstd_dict)
        # `has_ended` is of the frame, of which a part may not have been returned yet. `waits`: nothing more can be unpacked before more comes.
        self.frames, self.at, self.has_ended, self.waits = Frames(most_window=MOST_WINDOW), 0, False, True

    @property
    def eof(self):
        """Whether the frame has ended, and all of it was returned."""
        return self.has_ended and self.at >= len(self.frames.out)

    @property
    def unused_data(self):
        """What follows the frame."""
        return self.frames.data[self.frames.at :] if self.eof else b""

    @property
    def needs_input(self):
        """Whether nothing is returned before more of the frame comes."""
        return self.waits and not self.has_ended and self.at >= len(self.frames.out)

    def decompress(self, data, max_length=-1):
        """The next bytes, at most `max_length`, if that is not negative."""
        if self.eof:
            raise EOFError("the frame has ended")
        frames, data = self.frames, bytes(data)
        frames.feed(data)
        self.waits = self.waits and not data
        if self.at >= len(frames.out):
            self.at = frames.forget()
        while not self.has_ended and (max_length < 0 or len(frames.out) - self.at < max_length):
            had_frame = frames.frame is not None
            if not frames.go():
                self.waits = True
                break
            self.has_ended = had_frame and frames.frame is None
        found = bytes(frames.out[self.at :] if max_length < 0 else frames.out[self.at : self.at + max_length])
        self.at += len(found)
        return found


class Reader(io.RawIOBase):
    """An open file, unpacked from where it is to its end. To go back is to begin again."""

    def __init__(self, file, is_ours):
        self.file, self.is_ours = file, is_ours
        self.start = file.tell() if self.seekable() else None
        self.begin()

    def begin(self):
        self.frames, self.at, self.position = Frames(most_window=MOST_WINDOW), 0, 0

    def readable(self):
        return True

    def seekable(self):
        return hasattr(self.file, "seekable") and self.file.seekable()

    def tell(self):
        return self.position

    def seek(self, offset, whence=io.SEEK_SET):
        if not self.seekable():
            raise io.UnsupportedOperation("the file below has no `seek`")
        if whence == io.SEEK_END:
            while self.read(MOST_IN_BLOCK):
                pass
        target = max(offset + (0 if whence == io.SEEK_SET else self.position), 0)
        if target < self.position:
            self.file.seek(self.start)
            self.begin()
        while self.position < target and self.read(min(target - self.position, MOST_IN_BLOCK)):
            pass
        return self.position

    def readinto(self, into):
        size = len(into)
        while size and self.at >= len(self.frames.out) and self.more():
            pass
        found = self.frames.out[self.at : self.at + size]
        into[: len(found)] = found
        self.at += len(found)
        self.position += len(found)
        return len(found)

    def more(self):
        """Goes one step on. Returns whether there is more."""
        self.at = self.frames.forget()
        if self.frames.go():
            return True
        data = self.file.read(MOST_AT_ONCE)
        if data:
            self.frames.feed(data)
        elif not self.frames.is_between():
            raise damaged("it is cut")
        return bool(data)

    def close(self):
        if self.is_ours and not self.closed:
            self.file.close()
        super().close()


# Writing.

SINGLE, OPEN = b"\xa0", b"\x00\x38"


def block_of(data, is_last):
    same = len(data) > 1 and data.count(data[:1]) == len(data)
    head = len(data) << 3 | (2 if same else 0) | is_last
    return head.to_bytes(3, "little") + (data[:1] if same else data)


def compress(data, level=None, options=None, zstd_dict=None):
    """A frame of data. Only runs of one byte become smaller, and `level` changes nothing: write gzip where size counts."""
    without_options(options, zstd_dict)
    data = bytes(data)
    if len(data) >> 32:
        raise ZstdError("more than 4 GiB at once: write it with `open`")
    blocks = [data[at : at + MOST_IN_BLOCK] for at in range(0, len(data), MOST_IN_BLOCK)] or [b""]
    last = len(blocks) - 1
    return b"".join([MAGIC, SINGLE, len(data).to_bytes(4, "little"), *(block_of(block, number == last) for number, block in enumerate(blocks))])


class Writer(io.BufferedIOBase):
    """A file that is written as one frame."""

    def __init__(self, file, is_ours):
        self.file, self.is_ours, self.waiting, self.position = file, is_ours, bytearray(), 0
        file.write(MAGIC + OPEN)

    def writable(self):
        return True

    def tell(self):
        return self.position

    def write(self, data):
        if self.closed:
            raise ValueError("the file is closed")
        data = memoryview(data).cast("B")
        self.waiting += data
        self.position += len(data)
        whole = len(self.waiting) // MOST_IN_BLOCK * MOST_IN_BLOCK
        for at in range(0, whole, MOST_IN_BLOCK):
            self.file.write(block_of(bytes(self.waiting[at : at + MOST_IN_BLOCK]), False))
        del self.waiting[:whole]
        return len(data)

    def flush(self):
        if not self.closed:
            if self.waiting:
                self.file.write(block_of(bytes(self.waiting), False))
                self.waiting.clear()
            if hasattr(self.file, "flush"):
                self.file.flush()

    def close(self):
        if self.closed:
            return
        try:
            self.file.write(block_of(bytes(self.waiting), True))
            self.waiting.clear()
        finally:
            super().close()
            if self.is_ours:
                self.file.close()


def open(file, mode="rb", *, level=None, options=None, zstd_dict=None, encoding=None, errors=None, newline=None):
    """A file in Zstandard, given by its path or open."""
    without_options(options, zstd_dict)
    bare = mode.replace("t", "").replace("b", "")
    if bare not in ("r", "w", "x", "a") or "t" in mode and "b" in mode:
        raise ValueError(f"`mode` is not {mode!r}, but r, w, x or a, with b or t")
    if "t" not in mode and (encoding, errors, newline) != (None, None, None):
        raise ValueError("`encoding`, `errors` and `newline` are for text, with t in `mode`")
    is_ours = not hasattr(file, "read" if bare == "r" else "write")
    opened = builtins.open(file, bare + "b") if is_ours else file
    found = io.BufferedReader(Reader(opened, is_ours), MOST_IN_BLOCK) if bare == "r" else Writer(opened, is_ours)
    return io.TextIOWrapper(found, encoding, errors, newline) if "t" in mode else found


def ZstdFile(file, mode="r", *, level=None, options=None, zstd_dict=None):
    """A file in Zstandard, of bytes."""
    if "t" in mode:
        raise ValueError(f"`mode` is not {mode!r}, but r, w, x or a")
    return open(file, mode, level=level, options=options, zstd_dict=zstd_dict)


def of_pandas():
    """What pandas uses of the package `zstandard`, which is not installed."""

    def decompressor(**options):
        without_options(options, None)

    def compressor(level=None, **options):
        without_options(options, None)

    def opened(file, mode="rb", dctx=None, cctx=None):
        return open(file, mode)

    return types.SimpleNamespace(ZstdDecompressor=decompressor, ZstdCompressor=compressor, open=opened)


def install():
    """Has scripts find this module as `compression.zstd`, and pandas what it uses."""
    import compression
    import pandas.io.common as common

    compression.zstd = sys.modules["compression.zstd"] = sys.modules[__name__]
    known, ours = common.import_optional_dependency, of_pandas()

    def found(name, *rest, **options):
        # With `errors`, it asks for a class of that package, which is there only if the package is.
        return ours if name == "zstandard" and not rest and not options else known(name, *rest, **options)

    common.import_optional_dependency = found

// `Buffer`: the part of it that reads, writes and converts.
import { decode, encode } from './text.js';

const BASE64 = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

function encodingOf(name = 'utf8') {
    const known = {
        'utf8': 'utf8', 'utf-8': 'utf8', 'hex': 'hex', 'base64': 'base64', 'base64url': 'base64url',
        'latin1': 'latin1', 'binary': 'latin1', 'ascii': 'ascii', 'utf16le': 'utf16le', 'utf-16le': 'utf16le', 'ucs2': 'utf16le',
    }[String(name).toLowerCase()];
    if (!known) throw Object.assign(new TypeError(`Unknown encoding: ${name}`), { code: 'ERR_UNKNOWN_ENCODING' });
    return known;
}

function parse(text, name) {
    switch (encodingOf(name)) {
        case 'utf8':
            return encode(text);
        case 'hex': {
            const pairs = text.match(/^(?:[0-9a-f]{2})*/i)[0];
            return Uint8Array.from({ length: pairs.length / 2 }, (_, i) => parseInt(pairs.slice(2 * i, 2 * i + 2), 16));
        }
        case 'utf16le': {
            const bytes = new Uint8Array(text.length * 2);
            for (let i = 0; i < text.length; i++) {
                const unit = text.charCodeAt(i);
                bytes[2 * i] = unit & 255;
                bytes[2 * i + 1] = unit >> 8;
            }
            return bytes;
        }
        case 'latin1':
        case 'ascii':
            return Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i) & 255);
        default: {
            const digits = text.replace(/-/g, '+').replace(/_/g, '/').replace(/[^A-Za-z0-9+/]/g, '');
            const bytes = new Uint8Array(Math.floor((digits.length * 3) / 4));
            for (let i = 0, bits = 0, value = 0, at = 0; i < digits.length; i++) {
                value = ((value << 6) | BASE64.indexOf(digits[i])) & 0xffffff;
                bits += 6;
                if (bits >= 8) {
                    bits -= 8;
                    bytes[at++] = (value >> bits) & 255;
                }
            }
            return bytes;
        }
    }
}

function letters(bytes, mask) {
    let text = '';
    for (let i = 0; i < bytes.length; i += 4096) {
        text += String.fromCharCode(...Array.from(bytes.subarray(i, i + 4096), byte => byte & mask));
    }
    return text;
}

function base64(bytes, isUrl) {
    const parts = [];
    for (let i = 0; i < bytes.length; i += 3) {
        const three = (bytes[i] << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
        const four = BASE64[three >> 18] + BASE64[(three >> 12) & 63] + BASE64[(three >> 6) & 63] + BASE64[three & 63];
        const given = Math.min(bytes.length - i, 3) + 1;
        parts.push(four.slice(0, given) + (isUrl ? '' : '='.repeat(4 - given)));
    }
    const text = parts.join('');
    return isUrl ? text.replace(/\+/g, '-').replace(/\//g, '_') : text;
}

export class Buffer extends Uint8Array {
    static from(value, encoding, length) {
        if (typeof value === 'string') return over(parse(value, encoding));
        if (value instanceof ArrayBuffer) return new Buffer(value, encoding, length);
        if (value?.type === 'Buffer' && Array.isArray(value.data)) value = value.data;
        const buffer = Buffer.alloc(value.length);
        buffer.set(value);
        return buffer;
    }

    static alloc(length, fill = 0, encoding) {
        const buffer = new Buffer(length);
        return fill === 0 ? buffer : buffer.fill(fill, 0, length, encoding);
    }

    static allocUnsafe(length) {
        return new Buffer(length);
    }

    static concat(list, total = list.reduce((sum, item) => sum + item.length, 0)) {
        const buffer = new Buffer(total);
        let at = 0;
        for (const item of list) {
            const part = item.subarray(0, total - at);
            buffer.set(part, at);
            at += part.length;
        }
        return buffer;
    }

    static isBuffer(value) {
        return value instanceof Buffer;
    }

    static isEncoding(name) {
        try {
            return Boolean(encodingOf(name));
        } catch {
            return false;
        }
    }

    static byteLength(value, encoding) {
        return typeof value === 'string' ? parse(value, encoding).length : value.byteLength;
    }

    static compare(a, b) {
        for (let i = 0; i < Math.min(a.length, b.length); i++) {
            if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
        }
        return Math.sign(a.length - b.length);
    }

    toString(encoding, start = 0, end = this.length) {
        const bytes = this.subarray(start, end);
        switch (encodingOf(encoding)) {
            case 'utf8':
                return decode(bytes);
            case 'hex':
                return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('');
            case 'latin1':
                return letters(bytes, 255);
            case 'ascii':
                return letters(bytes, 127);
            case 'utf16le': {
                let text = '';
                for (let i = 0; i + 1 < bytes.length; i += 2) text += String.fromCharCode(bytes[i] | (bytes[i + 1] << 8));
                return text;
            }
            case 'base64':
                return base64(bytes, false);
            default:
                return base64(bytes, true);
        }
    }

    toJSON() {
        return { type: 'Buffer', data: Array.from(this) };
    }

    equals(other) {
        return Buffer.compare(this, other) === 0;
    }

    compare(other) {
        return Buffer.compare(this, other);
    }

    slice(start, end) {
        return this.subarray(start, end);
    }

    copy(target, at = 0, start = 0, end = this.length) {
        const part = this.subarray(start, Math.min(end, start + target.length - at));
        target.set(part, at);
        return part.length;
    }

    write(text, at = 0, length = this.length - at, encoding) {
        if (typeof at === 'string') [at, length, encoding] = [0, this.length, at];
        if (typeof length === 'string') [length, encoding] = [this.length - at, length];
        const part = parse(text, encoding).subarray(0, Math.min(length, this.length - at));
        this.set(part, at);
        return part.length;
    }

    fill(value, start = 0, end = this.length, encoding) {
        if (typeof value !== 'string') return super.fill(value, start, end);
        const pattern = parse(value, encoding);
        for (let i = start; i < end && pattern.length > 0; i++) this[i] = pattern[(i - start) % pattern.length];
        return this;
    }

    indexOf(value, from = 0, encoding) {
        if (typeof value === 'number') return super.indexOf(value & 255, from);
        const wanted = typeof value === 'string' ? parse(value, encoding) : value;
        for (let i = Math.max(from, 0); i + wanted.length <= this.length; i++) {
            let same = 0;
            while (same < wanted.length && this[i + same] === wanted[same]) same++;
            if (same === wanted.length) return i;
        }
        return -1;
    }

    includes(value, from, encoding) {
        return this.indexOf(value, from, encoding) >= 0;
    }
}

/// A buffer over the same memory.
export function over(bytes) {
    return new Buffer(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

// readInt32LE, writeDoubleBE and the others of their kind.
for (const [name, method, size] of [
    ['UInt8', 'Uint8', 1], ['Int8', 'Int8', 1], ['UInt16', 'Uint16', 2], ['Int16', 'Int16', 2], ['UInt32', 'Uint32', 4],
    ['Int32', 'Int32', 4], ['Float', 'Float32', 4], ['Double', 'Float64', 8], ['BigInt64', 'BigInt64', 8], ['BigUInt64', 'BigUint64', 8],
]) {
    for (const order of size === 1 ? [''] : ['LE', 'BE']) {
        const view = buffer => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
        Buffer.prototype[`read${name}${order}`] = function (at = 0) {
            return view(this)[`get${method}`](at, order === 'LE');
        };
        Buffer.prototype[`write${name}${order}`] = function (value, at = 0) {
            view(this)[`set${method}`](at, value, order === 'LE');
            return at + size;
        };
    }
}

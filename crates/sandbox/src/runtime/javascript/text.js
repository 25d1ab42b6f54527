// Text and UTF-8. The interpreter converts between them only where it reads and writes files: long texts go through one in memory.
import * as std from 'qjs:std';
import * as os from 'qjs:os';

/// What is shorter is converted here.
const SHORT = 2048;
const SCRATCH = '/tmp/.text';

export function encode(text) {
    text = String(text);
    if (text.length > SHORT) return through(file => file.puts(text), () => std.loadFile(SCRATCH, { binary: true }));
    const bytes = [];
    for (const letter of text) {
        let code = letter.codePointAt(0);
        if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
        if (code < 0x80) bytes.push(code);
        else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
        else if (code < 0x10000) bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
        else {
            bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
        }
    }
    return Uint8Array.from(bytes);
}

export function decode(bytes) {
    if (bytes.length > SHORT) {
        return through(file => file.write(bytes.buffer, bytes.byteOffset, bytes.byteLength), () => std.loadFile(SCRATCH));
    }
    let text = '';
    for (let at = 0; at < bytes.length; ) {
        const first = bytes[at];
        const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : (first & 0xf0) === 0xe0 ? 2 : first >= 0xf0 && first < 0xf5 ? 3 : -1;
        let code = more < 0 ? 0xfffd : more === 0 ? first : first & (0x3f >> more);
        let read = 1;
        for (; read <= more; read++) {
            const next = bytes[at + read];
            const [least, most] =
                read > 1 ? [0x80, 0xbf]
                : first === 0xe0 ? [0xa0, 0xbf]
                : first === 0xed ? [0x80, 0x9f]
                : first === 0xf0 ? [0x90, 0xbf]
                : first === 0xf4 ? [0x80, 0x8f]
                : [0x80, 0xbf];
            if (!(next >= least && next <= most)) {
                code = 0xfffd;
                break;
            }
            code = (code << 6) | (next & 63);
        }
        text += String.fromCodePoint(code);
        at += read;
    }
    return text;
}

function through(write, read) {
    const file = std.open(SCRATCH, 'w');
    if (!file) throw new Error('no memory for a text in /tmp');
    write(file);
    const failed = file.error();
    const code = file.close();
    const result = failed || code < 0 ? null : read();
    os.remove(SCRATCH);
    if (result === null) throw new RangeError('the text does not fit into memory');
    return result;
}

export class TextEncoder {
    get encoding() {
        return 'utf-8';
    }

    encode(text = '') {
        return encode(text);
    }
}

export class TextDecoder {
    constructor(label = 'utf-8') {
        if (!/^utf-?8$/i.test(label)) throw new RangeError(`TextDecoder: only utf-8 is there, not ${label}`);
    }

    get encoding() {
        return 'utf-8';
    }

    decode(bytes = new Uint8Array()) {
        const view = ArrayBuffer.isView(bytes)
            ? new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
            : new Uint8Array(bytes);
        const text = decode(view);
        return text.startsWith('\ufeff') ? text.slice(1) : text;
    }
}

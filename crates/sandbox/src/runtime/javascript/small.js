// Parts of the modules `assert`, `os`, `readline`, `url` and `util`.
import { console, format, inspect } from './console.js';
import { Emitter } from './emitter.js';
import { path } from './path.js';
import { TextDecoder, TextEncoder } from './text.js';

function same(a, b, isStrict) {
    if (Object.is(a, b) || (!isStrict && a == b)) return true;
    if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
    if (isStrict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
    if (a instanceof Date && b instanceof Date) return a.getTime() === b.getTime();
    if (a instanceof RegExp) return String(a) === String(b);
    if (a instanceof Map && b instanceof Map) {
        return a.size === b.size && [...a].every(([key, value]) => b.has(key) && same(value, b.get(key), isStrict));
    }
    if (a instanceof Set && b instanceof Set) return a.size === b.size && [...a].every(item => b.has(item));
    if (a instanceof Error && (a.name !== b.name || a.message !== b.message)) return false;
    const keys = Object.keys(a);
    return keys.length === Object.keys(b).length && keys.every(key => Object.hasOwn(b, key) && same(a[key], b[key], isStrict));
}

class AssertionError extends Error {
    name = 'AssertionError';
    code = 'ERR_ASSERTION';
}

function ensure(holds, message, otherwise) {
    if (holds) return;
    if (message instanceof Error) throw message;
    throw new AssertionError(message ?? otherwise());
}

const compared = (a, b, word) => () => `Expected values to be ${word}:\n\n${inspect(a)} !== ${inspect(b)}\n`;

export const assert = Object.assign((value, message) => ensure(value, message, () => 'The value is falsy'), {
    AssertionError,
    ok: (value, message) => ensure(value, message, () => 'The value is falsy'),
    equal: (a, b, message) => ensure(a == b || Object.is(a, b), message, compared(a, b, 'equal')),
    notEqual: (a, b, message) => ensure(a != b, message, compared(a, b, 'different')),
    strictEqual: (a, b, message) => ensure(Object.is(a, b), message, compared(a, b, 'strictly equal')),
    notStrictEqual: (a, b, message) => ensure(!Object.is(a, b), message, compared(a, b, 'different')),
    deepEqual: (a, b, message) => ensure(same(a, b, false), message, compared(a, b, 'deeply equal')),
    deepStrictEqual: (a, b, message) => ensure(same(a, b, true), message, compared(a, b, 'strictly deep-equal')),
    fail(message = 'Failed') {
        throw new AssertionError(message);
    },
    throws(act, message) {
        try {
            act();
        } catch {
            return;
        }
        ensure(false, typeof message === 'string' ? message : undefined, () => 'Missing expected exception.');
    },
});
assert.strict = assert;

export const os = {
    EOL: '\n',
    arch: () => 'wasm32',
    cpus: () => [{ model: 'sandbox', speed: 0, times: {} }],
    endianness: () => 'LE',
    homedir: () => '/tmp',
    hostname: () => 'sandbox',
    platform: () => 'linux',
    release: () => '',
    tmpdir: () => '/tmp',
    type: () => 'Linux',
};

/// Lines of a file: `line` and `close`, or `for await`.
class Lines extends Emitter {
    constructor({ input }) {
        super();
        if (typeof input?.pieces !== 'function') throw new Error('readline: the input must be fs.createReadStream(file)');
        this.input = input;
        input.isTaken = true;
        Promise.resolve().then(() => this.isTaken || this.#flow());
    }

    *lines() {
        this.isTaken = true;
        let rest = '';
        this.input.setEncoding('utf8');
        for (const piece of this.input.pieces()) {
            const lines = (rest + piece).split(/\r\n|\n|\r(?=.)/);
            rest = lines.pop();
            yield* lines;
        }
        if (rest !== '') yield rest;
    }

    async #flow() {
        try {
            for (const line of this.lines()) {
                if (this.isClosed) break;
                this.emit('line', line);
            }
        } catch (error) {
            if (this.input.listenerCount('error') === 0) throw error;
            this.input.emit('error', error);
            return;
        }
        this.close();
    }

    async *[Symbol.asyncIterator]() {
        yield* this.lines();
        this.close();
    }

    close() {
        if (this.isClosed) return;
        this.isClosed = true;
        this.emit('close');
    }

    question() {
        throw new Error('readline: nobody answers in the sandbox; use parameters');
    }
}

export const readline = { createInterface: options => new Lines(options), Interface: Lines };

/// `URL`, of files alone: `new URL('./data.csv', import.meta.url)`.
export class URL {
    constructor(address, base) {
        address = String(address?.href ?? address);
        const isWhole = /^[a-z][a-z\d+.-]*:/i.test(address);
        if (isWhole ? !address.startsWith('file://') : base === undefined) {
            throw Object.assign(new TypeError(`Invalid URL: ${address} (the sandbox has those of files only)`), { code: 'ERR_INVALID_URL' });
        }
        const written = (isWhole ? address.slice(7) : address).split(/[?#]/)[0];
        const folder = isWhole ? '/' : new URL(base).pathname.replace(/[^/]*$/, '');
        this.pathname = path.normalize(`/${written.startsWith('/') ? '' : folder}/${encodeURI(written).replace(/%25/g, '%')}`);
        Object.assign(this, { protocol: 'file:', host: '', hostname: '', search: '', hash: '', href: `file://${this.pathname}` });
    }

    toString() {
        return this.href;
    }

    toJSON() {
        return this.href;
    }
}

export const url = {
    URL,
    fileURLToPath: value => decodeURIComponent(String(value.href ?? value).replace(/^file:\/\//, '')),
    pathToFileURL: file => new URL(`file://${encodeURI(path.resolve(file))}`),
};

export const util = {
    format,
    inspect,
    TextDecoder,
    TextEncoder,
    isDeepStrictEqual: (a, b) => same(a, b, true),
    promisify: act => (...values) =>
        new Promise((resolve, reject) => act(...values, (error, value) => (error ? reject(error) : resolve(value)))),
    callbackify: act => (...values) => {
        const done = values.pop();
        act(...values).then(value => done(null, value), done);
    },
    inherits(child, parent) {
        Object.setPrototypeOf(child.prototype, parent.prototype);
    },
    deprecate: act => act,
    debuglog: () => () => {},
    log: (...values) => console.log(...values),
    types: { isDate: value => value instanceof Date, isRegExp: value => value instanceof RegExp, isPromise: value => value instanceof Promise },
};

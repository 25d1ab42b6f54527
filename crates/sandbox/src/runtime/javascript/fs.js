// The module `fs`. Everything is done at once: the functions with callbacks and those of `fs.promises` call the others.
import * as std from 'qjs:std';
import * as os from 'qjs:os';
import { Buffer, over } from './buffer.js';
import { Emitter } from './emitter.js';
import { standardInput } from './process.js';
import { decode, encode } from './text.js';

/// Names of the errors that the sandbox answers with, by their numbers in WASI.
const NAMES = {
    2: 'EACCES', 8: 'EBADF', 10: 'EBUSY', 19: 'EDQUOT', 20: 'EEXIST', 22: 'EFBIG', 28: 'EINVAL', 29: 'EIO', 31: 'EISDIR', 32: 'ELOOP',
    33: 'EMFILE', 37: 'ENAMETOOLONG', 41: 'ENFILE', 44: 'ENOENT', 48: 'ENOMEM', 51: 'ENOSPC', 52: 'ENOSYS', 54: 'ENOTDIR', 55: 'ENOTEMPTY',
    58: 'ENOTSUP', 63: 'EPERM', 69: 'EROFS', 75: 'EXDEV', 76: 'ENOTCAPABLE',
};

function failed(number, call, path, other) {
    const code = NAMES[number] ?? `E${number}`;
    const about = path === undefined ? '' : ` '${path}'${other === undefined ? '' : ` -> '${other}'`}`;
    const error = new Error(`${code}: ${std.strerror(number).toLowerCase()}, ${call}${about}`);
    return Object.assign(error, { errno: -number, code, syscall: call }, path === undefined ? {} : { path }, other === undefined ? {} : { dest: other });
}

function checked(result, call, path, other) {
    if (result < 0) throw failed(-result, call, path, other);
    return result;
}

function pathOf(path) {
    if (typeof path === 'string') return path;
    if (path instanceof Uint8Array) return decode(path);
    if (typeof path?.href === 'string' && path.href.startsWith('file://')) return decodeURIComponent(path.href.slice(7));
    throw Object.assign(new TypeError('The "path" argument must be a string, a Buffer or a URL of a file'), { code: 'ERR_INVALID_ARG_TYPE' });
}

const encodingIn = options => (typeof options === 'string' ? options : options?.encoding);

class Stats {
    constructor(found) {
        for (const name of ['dev', 'ino', 'mode', 'nlink', 'uid', 'gid', 'rdev', 'size', 'blocks']) this[name] = found[name];
        for (const name of ['atime', 'mtime', 'ctime']) {
            this[`${name}Ms`] = found[name];
            this[name] = new Date(found[name]);
        }
        this.birthtimeMs = found.ctime;
        this.birthtime = new Date(found.ctime);
    }

    isFile() {
        return (this.mode & os.S_IFMT) === os.S_IFREG;
    }

    isDirectory() {
        return (this.mode & os.S_IFMT) === os.S_IFDIR;
    }

    isCharacterDevice() {
        return (this.mode & os.S_IFMT) === os.S_IFCHR;
    }

    isSymbolicLink() {
        return false;
    }

    isFIFO() {
        return false;
    }

    isSocket() {
        return false;
    }

    isBlockDevice() {
        return false;
    }
}

class Dirent {
    constructor(name, parentPath) {
        Object.assign(this, { name, parentPath, path: parentPath });
        this.kind = statSync(`${parentPath}/${name}`, { throwIfNoEntry: false });
    }

    isFile() {
        return Boolean(this.kind?.isFile());
    }

    isDirectory() {
        return Boolean(this.kind?.isDirectory());
    }

    isSymbolicLink() {
        return false;
    }
}

function statSync(path, options) {
    path = pathOf(path);
    const [found, number] = os.stat(path);
    if (number === 0) return new Stats(found);
    if (options?.throwIfNoEntry === false && NAMES[number] === 'ENOENT') return undefined;
    throw failed(number, 'stat', path);
}

const existsSync = path => {
    try {
        return os.stat(pathOf(path))[1] === 0;
    } catch {
        return false;
    }
};

function flagsOf(flags) {
    if (typeof flags === 'number') return flags;
    const { O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_APPEND, O_EXCL } = os;
    const known = {
        'r': O_RDONLY, 'rs': O_RDONLY, 'r+': O_RDWR, 'w': O_WRONLY | O_CREAT | O_TRUNC, 'w+': O_RDWR | O_CREAT | O_TRUNC,
        'wx': O_WRONLY | O_CREAT | O_EXCL, 'wx+': O_RDWR | O_CREAT | O_EXCL, 'a': O_WRONLY | O_CREAT | O_APPEND,
        'a+': O_RDWR | O_CREAT | O_APPEND, 'ax': O_WRONLY | O_CREAT | O_APPEND | O_EXCL, 'ax+': O_RDWR | O_CREAT | O_APPEND | O_EXCL,
    }[flags];
    if (known === undefined) throw new TypeError(`The argument 'flags' is invalid: ${flags}`);
    return known;
}

function openSync(path, flags = 'r', mode = 0o666) {
    path = pathOf(path);
    return checked(os.open(path, flagsOf(flags), mode), 'open', path);
}

const closeSync = fd => void checked(os.close(fd), 'close');

function readSync(fd, buffer, offset = 0, length = buffer.byteLength - offset, position = null) {
    if (typeof offset === 'object') ({ offset = 0, length = buffer.byteLength - offset, position = null } = offset ?? {});
    if (position !== null && position !== -1) checked(Number(os.seek(fd, position, std.SEEK_SET)), 'seek');
    return checked(os.read(fd, buffer.buffer, buffer.byteOffset + offset, length), 'read');
}

function writeAll(fd, bytes, path) {
    for (let at = 0; at < bytes.byteLength; ) {
        at += checked(os.write(fd, bytes.buffer, bytes.byteOffset + at, bytes.byteLength - at), 'write', path);
    }
}

function writeSync(fd, data, offset = 0, length, position = null) {
    if (typeof data === 'string') {
        const bytes = Buffer.from(data, typeof length === 'string' ? length : 'utf8');
        if (typeof offset === 'number' && offset > 0) checked(Number(os.seek(fd, offset, std.SEEK_SET)), 'seek');
        writeAll(fd, bytes);
        return bytes.length;
    }
    const part = bytesOf(data).subarray(offset, length === undefined ? undefined : offset + length);
    if (position !== null) checked(Number(os.seek(fd, position, std.SEEK_SET)), 'seek');
    writeAll(fd, part);
    return part.byteLength;
}

function readAll(fd, size, path) {
    const parts = [];
    for (let room = Math.max(size + 1, 4096); ; room = 65536) {
        const part = new Uint8Array(room);
        const count = checked(os.read(fd, part.buffer, 0, room), 'read', path);
        if (count === 0) break;
        parts.push(part.subarray(0, count));
    }
    return parts.length === 1 ? over(parts[0]) : Buffer.concat(parts);
}

function readFileSync(path, options) {
    const encoding = encodingIn(options);
    let buffer;
    if (path === 0 || path === '/dev/stdin') {
        buffer = standardInput();
    } else if (typeof path === 'number') {
        buffer = readAll(path, 0);
    } else {
        path = pathOf(path);
        const found = statSync(path);
        if (found.isDirectory()) throw failed(31, 'read', path);
        const fd = openSync(path, options?.flag);
        try {
            // The interpreter itself decodes a large file fastest.
            if (/^utf-?8$/i.test(encoding) && found.isFile() && found.size > 4096) return std.loadFile(path) ?? readAll(fd, found.size, path).toString();
            buffer = readAll(fd, found.isFile() ? found.size : 0, path);
        } finally {
            os.close(fd);
        }
    }
    return encoding && encoding !== 'buffer' ? buffer.toString(encoding) : buffer;
}

function bytesOf(data, encoding) {
    if (typeof data === 'string') return !encoding || /^utf-?8$/i.test(encoding) ? encode(data) : Buffer.from(data, encoding);
    if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    const error = new TypeError('The "data" argument must be of type string or an instance of Buffer, TypedArray, or DataView');
    throw Object.assign(error, { code: 'ERR_INVALID_ARG_TYPE' });
}

function put(path, data, options, flag) {
    const bytes = bytesOf(data, encodingIn(options));
    if (typeof path === 'number') return writeAll(path, bytes);
    path = pathOf(path);
    const fd = openSync(path, options?.flag ?? flag, options?.mode);
    try {
        writeAll(fd, bytes, path);
    } catch (error) {
        os.close(fd);
        throw error;
    }
    checked(os.close(fd), 'close', path);
}

const writeFileSync = (path, data, options) => put(path, data, options, 'w');
const appendFileSync = (path, data, options) => put(path, data, options, 'a');

function readdirSync(path, options) {
    path = pathOf(path);
    const [names, number] = os.readdir(path);
    if (number !== 0) throw failed(number, 'scandir', path);
    const found = names.filter(name => name !== '.' && name !== '..').sort();
    const entries = found.map(name => new Dirent(name, path));
    if (options?.recursive) {
        const below = entries.filter(item => item.isDirectory()).flatMap(item =>
            readdirSync(`${path}/${item.name}`, options).map(inner => (typeof inner === 'string' ? `${item.name}/${inner}` : inner)));
        return [...(options.withFileTypes ? entries : found), ...below];
    }
    return options?.withFileTypes ? entries : found;
}

function mkdirSync(path, options) {
    path = pathOf(path);
    const mode = (typeof options === 'number' ? options : options?.mode) ?? 0o777;
    if (!options?.recursive) return void checked(os.mkdir(path, mode), 'mkdir', path);
    let first;
    const names = path.split('/');
    for (let i = 1; i <= names.length; i++) {
        const part = names.slice(0, i).join('/');
        if (part === '' || (existsSync(part) && statSync(part).isDirectory())) continue;
        checked(os.mkdir(part, mode), 'mkdir', path);
        first ??= part;
    }
    return first;
}

const unlinkSync = path => {
    path = pathOf(path);
    if (statSync(path).isDirectory()) throw failed(31, 'unlink', path);
    checked(os.remove(path), 'unlink', path);
};

const rmdirSync = path => {
    path = pathOf(path);
    if (!statSync(path).isDirectory()) throw failed(54, 'rmdir', path);
    checked(os.remove(path), 'rmdir', path);
};

function rmSync(path, options = {}) {
    path = pathOf(path);
    if (options.force && !existsSync(path)) return;
    if (statSync(path).isDirectory()) {
        if (!options.recursive) throw failed(31, 'rm', path);
        for (const name of readdirSync(path)) rmSync(`${path}/${name}`, options);
    }
    checked(os.remove(path), 'rm', path);
}

const renameSync = (from, to) => void checked(os.rename(pathOf(from), pathOf(to)), 'rename', from, to);

function copyFileSync(from, to) {
    writeFileSync(to, readFileSync(from));
}

const constants = { F_OK: 0, X_OK: 1, W_OK: 2, R_OK: 4, COPYFILE_EXCL: 1 };

function accessSync(path) {
    const [, number] = os.stat(pathOf(path));
    if (number !== 0) throw failed(number, 'access', path);
}

function mkdtempSync(prefix) {
    for (let i = 0; ; i++) {
        const path = `${pathOf(prefix)}${String(i).padStart(6, '0')}`;
        if (!existsSync(path)) {
            mkdirSync(path);
            return path;
        }
    }
}

function realpathSync(path) {
    accessSync(path);
    const parts = [];
    for (const part of (path.startsWith('/') ? path : `${os.getcwd()[0]}/${path}`).split('/')) {
        if (part === '..') parts.pop();
        else if (part !== '' && part !== '.') parts.push(part);
    }
    return `/${parts.join('/')}`;
}

const later = work => void Promise.resolve().then(work);

/// A file that is read piece by piece: `data`, `end`, `for await`, and the input of `readline`.
class ReadStream extends Emitter {
    constructor(path, options) {
        super();
        this.path = path;
        this.encoding = encodingIn(options);
        this.options = typeof options === 'object' && options !== null ? options : {};
    }

    on(name, listener) {
        super.on(name, listener);
        if (name === 'data' && !this.isTaken) {
            this.isTaken = true;
            later(() => this.#flow());
        }
        return this;
    }

    setEncoding(encoding) {
        this.encoding = encoding;
        return this;
    }

    *pieces() {
        this.isTaken = true;
        const { start = 0, end = Infinity, highWaterMark = 65536 } = this.options;
        const fd = this.path === '/dev/stdin' ? 0 : openSync(this.path);
        let rest = Buffer.alloc(0);
        try {
            if (start > 0) checked(Number(os.seek(fd, start, std.SEEK_SET)), 'seek', this.path);
            for (let left = end - start + 1; left > 0; ) {
                const part = Buffer.alloc(Math.min(highWaterMark, left));
                const count = checked(os.read(fd, part.buffer, 0, part.length), 'read', this.path);
                if (count === 0) break;
                left -= count;
                const bytes = part.subarray(0, count);
                if (!this.encoding) yield bytes;
                else {
                    // No letter is cut in two.
                    const all = rest.length ? Buffer.concat([rest, bytes]) : bytes;
                    let whole = all.length;
                    for (let i = 1; i <= Math.min(3, all.length); i++) {
                        const byte = all[all.length - i];
                        if (byte >= 0xc0) {
                            if (i < (byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : 2)) whole = all.length - i;
                            break;
                        }
                        if (byte < 0x80) break;
                    }
                    rest = all.subarray(whole);
                    yield all.toString(this.encoding, 0, whole);
                }
            }
            if (rest.length) yield rest.toString(this.encoding);
        } finally {
            if (fd !== 0) os.close(fd);
        }
    }

    async #flow() {
        try {
            for (const piece of this.pieces()) {
                this.emit('data', piece);
                await null;
            }
        } catch (error) {
            this.emit('error', error);
            return;
        }
        this.emit('end');
        this.emit('close');
    }

    async *[Symbol.asyncIterator]() {
        yield* this.pieces();
    }

    pipe(target) {
        this.on('data', piece => target.write(piece));
        this.on('end', () => target !== globalThis.process.stdout && target.end());
        return target;
    }

    pause() {
        return this;
    }

    resume() {
        return this.isTaken ? this : this.on('data', () => {});
    }

    close() {}
    destroy() {}
}

/// A file that is written piece by piece, at once.
class WriteStream extends Emitter {
    constructor(path, options) {
        super();
        this.path = path;
        this.bytesWritten = 0;
        this.writable = true;
        try {
            this.fd = openSync(path, options?.flags ?? 'w');
            later(() => this.emit('open', this.fd));
        } catch (error) {
            later(() => this.emit('error', error));
        }
    }

    write(data, encoding, done) {
        if (typeof encoding === 'function') [encoding, done] = [undefined, encoding];
        const bytes = bytesOf(data, encoding);
        try {
            if (this.fd === undefined) throw failed(8, 'write', this.path);
            writeAll(this.fd, bytes, this.path);
            this.bytesWritten += bytes.byteLength;
            if (done) later(() => done());
        } catch (error) {
            later(() => (done ? done(error) : this.emit('error', error)));
        }
        return true;
    }

    end(data, encoding, done) {
        if (typeof data === 'function') [data, done] = [undefined, data];
        else if (typeof encoding === 'function') [encoding, done] = [undefined, encoding];
        if (data !== undefined && data !== null) this.write(data, encoding);
        if (this.fd !== undefined) os.close(this.fd);
        this.fd = undefined;
        this.writable = false;
        later(() => {
            this.emit('finish');
            this.emit('close');
            done?.();
        });
        return this;
    }

    close(done) {
        this.end(done);
    }
}

const synchronous = {
    accessSync, appendFileSync, closeSync, copyFileSync, existsSync, lstatSync: statSync, mkdirSync, mkdtempSync, openSync, readdirSync,
    readFileSync, readSync, realpathSync, renameSync, rmdirSync, rmSync, statSync, unlinkSync, writeFileSync, writeSync,
    fsyncSync() {},
    chmodSync() {},
    fstatSync(fd) {
        throw Object.assign(new Error('fs.fstatSync is not there: use fs.statSync with the path'), { code: 'ENOSYS', fd });
    },
};

const promises = { constants };
const callbacks = {};
for (const [name, act] of Object.entries(synchronous)) {
    const short = name.slice(0, -4);
    promises[short] = async (...values) => act(...values);
    callbacks[short] = (...values) => {
        const done = values.pop();
        if (typeof done !== 'function') throw new TypeError('The "cb" argument must be of type function');
        later(() => {
            let result;
            try {
                result = act(...values);
            } catch (error) {
                return done(error);
            }
            return short === 'exists' ? done(result) : done(null, result);
        });
    };
}
delete promises.exists;

export const fs = {
    ...synchronous,
    ...callbacks,
    constants,
    promises,
    Stats,
    Dirent,
    createReadStream: (path, options) => new ReadStream(pathOf(path), options),
    createWriteStream: (path, options) => new WriteStream(pathOf(path), options),
};

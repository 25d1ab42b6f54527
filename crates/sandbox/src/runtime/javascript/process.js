// `process`, as far as a program in the sandbox has one.
import * as std from 'qjs:std';
import * as os from 'qjs:os';
import { Emitter } from './emitter.js';
import { over } from './buffer.js';
import { encode } from './text.js';

function output(file, fd) {
    return Object.assign(new Emitter(), {
        fd,
        isTTY: false,
        writable: true,
        write(data, encoding, done) {
            const bytes = typeof data === 'string' ? encode(data) : data;
            file.write(bytes.buffer, bytes.byteOffset, bytes.byteLength);
            file.flush();
            done = typeof encoding === 'function' ? encoding : done;
            if (done) Promise.resolve().then(() => done());
            return true;
        },
        end(data) {
            if (data !== undefined) this.write(data);
        },
    });
}

const started = performance.now();

export const process = Object.assign(new Emitter(), {
    title: 'node',
    platform: 'linux',
    arch: 'wasm32',
    pid: 1,
    ppid: 0,
    // What is here is a part of what this version of Node.js has.
    version: 'v20.0.0',
    versions: { node: '20.0.0', quickjs: '0.17.0' },
    release: { name: 'node' },
    execPath: '/usr/local/bin/node',
    execArgv: [],
    argv: [],
    env: std.getenviron(),
    exitCode: undefined,
    stdout: output(std.out, 1),
    stderr: output(std.err, 2),
    exit(code = process.exitCode ?? 0) {
        process.exitCode = code;
        if (!process.isEnding) {
            process.isEnding = true;
            process.emit('exit', code);
        }
        std.out.flush();
        std.err.flush();
        std.exit(Number(process.exitCode) & 255);
    },
    abort() {
        process.exit(134);
    },
    cwd: () => os.getcwd()[0],
    chdir(path) {
        const code = os.chdir(path);
        if (code < 0) throw new Error(`chdir '${path}': ${std.strerror(-code)}`);
    },
    nextTick(callback, ...parameters) {
        Promise.resolve().then(() => callback(...parameters));
    },
    uptime: () => (performance.now() - started) / 1000,
    hrtime(since = [0, 0]) {
        const now = performance.now();
        const seconds = Math.floor(now / 1000) - since[0];
        const rest = Math.floor((now % 1000) * 1e6) - since[1];
        return rest < 0 ? [seconds - 1, rest + 1e9] : [seconds, rest];
    },
    umask: () => 0o022,
    emitWarning: warning => std.err.puts(`Warning: ${warning}\n`),
    memoryUsage() {
        throw new Error('process.memoryUsage is not there: the report of the run says how much memory it used');
    },
    kill() {
        throw new Error('process.kill: there are no other processes in the sandbox');
    },
});
process.hrtime.bigint = () => BigInt(Math.floor(performance.now() * 1e6));

/// Everything on standard input.
export function standardInput() {
    const parts = [];
    for (;;) {
        const part = new Uint8Array(65536);
        const count = os.read(0, part.buffer, 0, part.length);
        if (count <= 0) break;
        parts.push(part.subarray(0, count));
    }
    const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
    parts.reduce((at, part) => (all.set(part, at), at + part.length), 0);
    return over(all);
}

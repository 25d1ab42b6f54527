// The modules of Node.js that are here, by their names.
import { Buffer } from './buffer.js';
import { console } from './console.js';
import { Emitter } from './emitter.js';
import { Timers } from './events.js';
import { fs } from './fs.js';
import { path } from './path.js';
import { process } from './process.js';
import { missing } from './resolve.js';
import { assert, os, readline, url, util } from './small.js';

export const BUILT_IN = {
    assert, fs, os, path, process, readline, url, util, console,
    'buffer': { Buffer },
    'events': Emitter,
    'fs/promises': fs.promises,
    'path/posix': path,
    'perf_hooks': { performance },
    'timers': Timers,
    'tty': { isatty: () => false },
    'timers/promises': { setTimeout: (delay, value) => new Promise(resolve => Timers.setTimeout(resolve, delay, value)) },
};

/// What Node.js has for things that the sandbox does not have.
const NEVER = {
    'there is no network': ['dgram', 'dns', 'http', 'http2', 'https', 'net', 'tls', 'dns/promises'],
    'there are no processes': ['child_process', 'cluster'],
    'there are no threads': ['worker_threads'],
};

export const namesHere = () => `the modules that are here are ${Object.keys(BUILT_IN).join(', ')}`;

/// The name of a module that is here; undefined if it is not one of Node.js.
export function builtInName(name) {
    const plain = name.startsWith('node:') ? name.slice(5) : name;
    if (Object.hasOwn(BUILT_IN, plain)) return plain;
    for (const [problem, names] of Object.entries(NEVER)) {
        if (names.includes(plain)) throw missing(name, 'ERR_NOT_IN_SANDBOX', `${problem} in the sandbox`);
    }
    if (plain !== name) throw missing(name, 'ERR_UNKNOWN_BUILTIN_MODULE', namesHere());
    return undefined;
}

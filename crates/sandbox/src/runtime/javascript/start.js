// Started by the sandbox instead of the author's script, which it runs as Node.js would: `require` and `import` find the modules
// that are here, timers and promises come to their end, an error ends the run with 1.
import * as std from 'qjs:std';
import { Buffer } from './buffer.js';
import { console } from './console.js';
import { run, Timers } from './events.js';
import { fs } from './fs.js';
import { main, describe } from './modules.js';
import { process } from './process.js';
import { URL } from './small.js';
import { TextDecoder, TextEncoder } from './text.js';

const define = (name, value) =>
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false });

for (const [name, value] of Object.entries({ ...Timers, Buffer, TextDecoder, TextEncoder, URL, console, process })) {
    define(name, value);
}
define('global', globalThis);
process.stdin = Object.assign(fs.createReadStream('/dev/stdin'), { fd: 0, isTTY: false });
for (const name of ['fetch', 'XMLHttpRequest', 'WebSocket']) {
    define(name, function () {
        throw new Error(`${name}: the sandbox has no network`);
    });
}

function end(code) {
    std.out.flush();
    std.err.flush();
    std.exit(code);
}

function fail(error) {
    std.out.flush();
    std.err.puts(`Uncaught ${describe(error)}\n`);
    end(1);
}

let isLoaded = false;
main().then(() => (isLoaded = true), fail);
try {
    await run(fail);
    if (!isLoaded) {
        std.err.puts('Warning: the script awaits something that never happens\n');
        end(13);
    }
    process.emit('beforeExit', process.exitCode ?? 0);
    await run(fail);
} catch (error) {
    fail(error);
}
process.exit();

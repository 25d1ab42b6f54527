// `require` and `import`: the modules that are here, and the author's own files.
import * as std from 'qjs:std';
import { Buffer } from './buffer.js';
import { console, inspect } from './console.js';
import { Emitter } from './emitter.js';
import { Timers } from './events.js';
import { fs } from './fs.js';
import { path } from './path.js';
import { process } from './process.js';
import { assert, os, readline, url, util } from './small.js';

const ALGORITHM = '/data/transformations/algorithm';

/// The modules of Node.js that are here.
const BUILT_IN = {
    assert, fs, os, path, process, readline, url, util, console,
    'buffer': { Buffer },
    'events': Emitter,
    'fs/promises': fs.promises,
    'path/posix': path,
    'perf_hooks': { performance },
    'timers': Timers,
    'timers/promises': { setTimeout: (delay, value) => new Promise(resolve => Timers.setTimeout(resolve, delay, value)) },
    'module': { createRequire: file => requireFrom(String(file).replace(/^file:\/\//, '')) },
};

/// What Node.js has for things that the sandbox does not have.
const NEVER = {
    'there is no network': ['dgram', 'dns', 'http', 'http2', 'https', 'net', 'tls', 'dns/promises'],
    'there are no processes': ['child_process', 'cluster'],
    'there are no threads': ['worker_threads'],
};

function missing(name, code, problem) {
    return Object.assign(new Error(`Cannot find module '${name}': ${problem}`), { code });
}

function builtIn(name) {
    const plain = name.startsWith('node:') ? name.slice(5) : name;
    if (Object.hasOwn(BUILT_IN, plain)) return BUILT_IN[plain];
    for (const [problem, names] of Object.entries(NEVER)) {
        if (names.includes(plain)) throw missing(name, 'ERR_NOT_IN_SANDBOX', `${problem} in the sandbox`);
    }
    if (plain !== name) throw missing(name, 'ERR_UNKNOWN_BUILTIN_MODULE', `the modules that are here are ${Object.keys(BUILT_IN).join(', ')}`);
    return undefined;
}

const loaded = new Map();

/// The file that a name means, as Node.js looks for it.
function fileOf(base) {
    const isFile = path => fs.statSync(path, { throwIfNoEntry: false })?.isFile();
    for (const candidate of [base, `${base}.js`, `${base}.cjs`, `${base}.json`]) {
        if (isFile(candidate)) return candidate;
    }
    if (!fs.existsSync(base)) return undefined;
    const description = `${base}/package.json`;
    const entry = isFile(description) ? JSON.parse(fs.readFileSync(description, 'utf8')).main : undefined;
    if (entry) {
        const found = fileOf(path.join(base, entry));
        if (found) return found;
    }
    return ['js', 'cjs', 'json'].map(ending => `${base}/index.${ending}`).find(isFile);
}

function resolve(name, folder) {
    if (/^(\.\.?(\/|$)|\/)/.test(name)) {
        const file = fileOf(path.resolve(folder, name));
        if (file) return file;
        throw missing(name, 'MODULE_NOT_FOUND', `no such file beside ${folder}`);
    }
    for (let at = folder; ; at = path.dirname(at)) {
        const file = fileOf(path.join(at, 'node_modules', name));
        if (file) return file;
        if (at === '/') break;
    }
    throw missing(
        name,
        'MODULE_NOT_FOUND',
        `the modules that are here are ${Object.keys(BUILT_IN).join(', ')}. Bundle other packages into the script, for example with esbuild`,
    );
}

function requireFrom(file) {
    const folder = path.dirname(file);
    const require = name => {
        if (typeof name !== 'string' || name === '') throw new TypeError('The "id" argument must be a non-empty string');
        return builtIn(name) ?? load(resolve(name, folder)).exports;
    };
    require.resolve = name => (builtIn(name) ? name : resolve(name, folder));
    require.cache = {};
    require.main = mainModule;
    return require;
}

function moduleOf(file) {
    return { id: file, filename: file, path: path.dirname(file), exports: {}, loaded: false, children: [], paths: [] };
}

let mainModule;
/// How the interpreter calls a text that is executed, and the file that it is of.
const sources = new Map();

/// The text of a file without its first line for a shell.
const textOf = file => fs.readFileSync(file, 'utf8').replace(/^\ufeff/, '').replace(/^#!/, '//');

function load(file) {
    const known = loaded.get(file);
    if (known) return known;
    const module = moduleOf(file);
    loaded.set(file, module);
    try {
        if (file.endsWith('.json')) {
            module.exports = JSON.parse(textOf(file));
        } else {
            const wrapped = std.evalScript(`(function (exports, require, module, __filename, __dirname) {${textOf(file)}\n})`);
            Object.defineProperty(wrapped, 'name', { value: file });
            wrapped.call(module.exports, module.exports, requireFrom(file), module, file, module.path);
        }
    } catch (error) {
        loaded.delete(file);
        if (error instanceof Error && !sources.has(error)) sources.set(error, file);
        throw error;
    }
    module.loaded = true;
    return module;
}

function isModule(text) {
    try {
        std.evalScript(text, { compile_only: true });
        return false;
    } catch (problem) {
        if (!(problem instanceof SyntaxError)) return false;
        try {
            std.evalScript(text, { compile_only: true, compile_module: true });
            return true;
        } catch (second) {
            // It is one that imports what is not there.
            return !(second instanceof SyntaxError);
        }
    }
}

/// The file that starts: the script, or `index.js` of the folder, unless its `package.json` names another.
function entry() {
    if (!fs.statSync(ALGORITHM).isDirectory()) return ALGORITHM;
    return fileOf(ALGORITHM);
}

/// Runs the author's program.
export async function main() {
    const file = entry();
    // The script of this runtime comes first.
    process.argv = [process.execPath, file, ...globalThis.scriptArgs.slice(1)];
    delete globalThis.scriptArgs;
    mainModule = moduleOf(file);
    loaded.set(file, mainModule);
    const given = {
        require: requireFrom(file), module: mainModule, exports: mainModule.exports, __filename: file, __dirname: mainModule.path,
    };
    if (file.endsWith('.mjs') || isModule(textOf(file))) {
        await import(file);
        return;
    }
    // Executed as it is, and not in a function: an error then names its line and column in the author's file.
    for (const [name, value] of Object.entries(given)) {
        Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    }
    std.loadScript(file);
    mainModule.loaded = true;
}

/// An error as it is printed when it ends a program.
export function describe(error) {
    if (!(error instanceof Error)) return inspect(error);
    let text = inspect(error).replace(/\n    at [^\n]*(\/usr\/local\/lib\/javascript\/|loadScript \(native\))[^\n{]*(?=\n| \{|$)/g, '');
    const file = sources.get(error);
    if (file) text = text.replaceAll('<evalScript>', file);
    if (error instanceof ReferenceError && /^could not load module/.test(error.message)) {
        text += `\nThe modules that are here are ${Object.keys(BUILT_IN).join(', ')}. \`import\` finds those without a slash, \`require\` all of them. Bundle other packages into the script, for example with esbuild`;
    }
    return text;
}

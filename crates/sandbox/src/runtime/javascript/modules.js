// `require` and `import`: the modules that are here, the author's own files, and the packages in their `node_modules`.
import * as std from 'qjs:std';
import { BUILT_IN, builtInName, namesHere } from './built_in.js';
import { inspect } from './console.js';
import { fs } from './fs.js';
import { path } from './path.js';
import { process } from './process.js';
import { asFolder, missing, NOT_FOUND, packageOf, resolve } from './resolve.js';
import { withImports } from './scan.js';

const ALGORITHM = '/data/transformations/algorithm';

/// ES modules are executed as copies there, below their own paths. The interpreter takes names of modules as paths of files, so the
/// copies name files.
const COPIES = '/tmp/.modules';
/// What copies import from here.
const HERE = '/usr/local/lib/javascript/modules.js';

/// What runs in a folder whose package.json names nothing.
const MAIN_FILES = ['index', 'main', 'algorithm'].flatMap(name => ['js', 'mjs', 'cjs'].map(ending => `${name}.${ending}`));

BUILT_IN.module = {
    builtinModules: Object.keys(BUILT_IN),
    createRequire: file => requireFrom(fileOf(file)),
};

const fileOf = address => decodeURIComponent(String(address?.href ?? address).replace(/^file:\/\//, ''));

/// The path of the file that a name means in another file, or the name of a module that is here.
function find(name, file, how) {
    return builtInName(name) ?? resolve(name, file, how, meant => {
        const found = builtInName(meant);
        if (found !== undefined) return found;
        throw missing(
            name,
            NOT_FOUND[how],
            `it is not in a node_modules beside ${file}, and ${namesHere()}. Send a package of pure JavaScript along, in node_modules of the algorithm's folder, or bundle it into the script, for example with esbuild`,
        );
    });
}

function requireFrom(file) {
    const checked = name => {
        if (typeof name !== 'string' || name === '') throw new TypeError('The "id" argument must be a non-empty string');
        return find(name, file, 'require');
    };
    const require = name => exportsOf(checked(name));
    require.resolve = name => {
        const found = checked(name);
        return found.startsWith('/') ? found : name;
    };
    require.cache = {};
    require.main = mainModule;
    // What `import(...)` in the file calls.
    Object.defineProperty(require, 'import', { value: name => imported(name, file) });
    return require;
}

/// What a file or a module that is here exports to `require`.
export function exportsOf(found) {
    return found.startsWith('/') ? load(found).exports : BUILT_IN[found];
}

function moduleOf(file) {
    return { id: file, filename: file, path: path.dirname(file), exports: {}, loaded: false, children: [], paths: [] };
}

const loaded = new Map();
let mainModule;
/// The files whose texts are executed under another name, by the errors in them.
const sources = new Map();

/// The text of a file without its first line for a shell.
const textOf = file => fs.readFileSync(file, 'utf8').replace(/^\ufeff/, '').replace(/^#!/, '//');

/// The text of a CommonJS file, whose `import(...)` finds what it should.
const scriptOf = text => (text.includes('import') ? withImports(text, 'require.import') : text);

function load(file) {
    const known = loaded.get(file);
    if (known) return known;
    const module = moduleOf(file);
    loaded.set(file, module);
    try {
        if (file.endsWith('.json')) {
            module.exports = JSON.parse(textOf(file));
        } else {
            const wrapped = compiled(file);
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

function compiled(file) {
    if (file.endsWith('.node')) throw missing(file, 'ERR_DLOPEN_FAILED', 'it is native code, which the sandbox does not run');
    const isFor = file.endsWith('.mjs') || (file.endsWith('.js') && packageOf(file)?.description.type === 'module');
    const text = isFor ? '' : textOf(file);
    try {
        if (!isFor) return std.evalScript(`(function (exports, require, module, __filename, __dirname) {${scriptOf(text)}\n})`);
    } catch (error) {
        if (!(error instanceof SyntaxError && isModule(text))) throw error;
    }
    throw missing(file, 'ERR_REQUIRE_ESM', 'it is an ES module: use `import`, or `await import(...)`');
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

/// Whether a file is an ES module: its ending says so, or its package, or its text.
function isModuleFile(file) {
    if (/\.(mjs|cjs|json|node)$/.test(file)) return file.endsWith('.mjs');
    const type = packageOf(file)?.description.type;
    return type === 'module' || (type !== 'commonjs' && isModule(textOf(file)));
}

/// What copies there are, by the files and the modules that they stand for.
const copies = new Map();

/// The path of the copy of a module and of all that it imports.
function copyOf(found) {
    const known = copies.get(found);
    if (known) return known;
    const isFile = found.startsWith('/');
    const isJson = found.endsWith('.json');
    const isModule = isFile && !isJson && isModuleFile(found);
    // Other endings mean something to the interpreter.
    const copy = `${COPIES}${isFile ? '' : '/node:'}${found}${isModule || isJson ? '' : '.mjs'}`;
    copies.set(found, copy);
    try {
        return write(copy, isJson ? textOf(found) : isModule ? moduleText(found) : exportingText(found));
    } catch (error) {
        copies.delete(found);
        throw error;
    }
}

/// The name for the interpreter of what a name means in a file.
function nameFor(name, file) {
    return name.startsWith('qjs:') ? name : copyOf(find(name, file, 'import'));
}

function moduleText(file) {
    const text = textOf(file);
    const changed = withImports(text, 'import.meta.import', name => nameFor(name, file));
    const asksForItself = /\bimport\s*\.\s*meta\b/.test(changed);
    return asksForItself ? `import{describeTo as __describeTo}from"${HERE}";__describeTo(import.meta,${JSON.stringify(file)});${changed}` : changed;
}

/// A module that exports what `require` finds. Its names must be known before it is executed, so a CommonJS file is executed first.
function exportingText(found) {
    const exports = exportsOf(found);
    const isObject = (typeof exports === 'object' && exports !== null) || typeof exports === 'function';
    const names = (isObject ? Object.keys(exports) : []).filter(name => name !== 'default' && /^[A-Za-z_$][\w$]*$/.test(name));
    const lines = names.map((name, i) => `const $${i}=it.${name};export{$${i} as ${name}};`);
    return `import{exportsOf}from"${HERE}";const it=exportsOf(${JSON.stringify(found)});export default it;\n${lines.join('\n')}\n`;
}

async function imported(name, file) {
    return import(nameFor(String(name?.href ?? name), file));
}

/// What `import.meta` says in a file.
export function describeTo(meta, file) {
    const address = path => `file://${encodeURI(path)}`;
    Object.assign(meta, {
        url: address(file),
        filename: file,
        dirname: path.dirname(file),
        main: file === mainModule.filename,
        resolve(name) {
            const found = find(name, file, 'import');
            return found.startsWith('/') ? address(found) : `node:${found}`;
        },
    });
    Object.defineProperty(meta, 'import', { value: name => imported(name, file) });
}

/// The file that starts: the script, or what its package.json names in the folder, or the file there with a usual name.
function entry() {
    if (!fs.statSync(ALGORITHM).isDirectory()) return ALGORITHM;
    const usual = () => MAIN_FILES.map(name => `${ALGORITHM}/${name}`).find(file => fs.existsSync(file));
    const file = asFolder(ALGORITHM) ?? usual();
    if (file) return file;
    throw new Error(`what is to run? Name it in \`main\` of package.json, or call it ${MAIN_FILES[0]}`);
}

/// Runs the author's program.
export async function main() {
    const file = entry();
    // The script of this runtime comes first.
    process.argv = [process.execPath, file, ...globalThis.scriptArgs.slice(1)];
    delete globalThis.scriptArgs;
    mainModule = moduleOf(file);
    if (isModuleFile(file)) {
        await import(copyOf(file));
        return;
    }
    loaded.set(file, mainModule);
    const given = {
        require: requireFrom(file), module: mainModule, exports: mainModule.exports, __filename: file, __dirname: mainModule.path,
    };
    // Executed as it is, and not in a function: an error then names its line and column in the author's file.
    for (const [name, value] of Object.entries(given)) {
        Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
    }
    std.loadScript(executed(file));
    mainModule.loaded = true;
}

/// The file that is executed for a CommonJS script: itself, or a copy whose `import(...)` finds what it should.
function executed(file) {
    const text = textOf(file);
    const changed = scriptOf(text);
    return changed === text ? file : write(`${COPIES}${file}`, changed);
}

function write(copy, text) {
    fs.mkdirSync(path.dirname(copy), { recursive: true });
    fs.writeFileSync(copy, text);
    return copy;
}

/// An error as it is printed when it ends a program.
export function describe(error) {
    if (!(error instanceof Error)) return inspect(error);
    let text = inspect(error).replace(/\n    at [^\n]*(\/usr\/local\/lib\/javascript\/|loadScript \(native\))[^\n{]*(?=\n| \{|$)/g, '');
    const file = sources.get(error);
    if (file) text = text.replaceAll('<evalScript>', file);
    return text.replaceAll(`${COPIES}/`, '/');
}

// Which file a name means in `require` and `import`, as Node.js decides it: files beside the one that names it, and packages in
// `node_modules`, by `main`, `exports` and `imports` of their package.json.
import { fs } from './fs.js';
import { path } from './path.js';

/// The codes of the errors of `require` and `import`.
export const NOT_FOUND = { require: 'MODULE_NOT_FOUND', import: 'ERR_MODULE_NOT_FOUND' };
const ENDINGS = ['js', 'cjs', 'mjs', 'json'];

export function missing(name, code, problem) {
    return Object.assign(new Error(`Cannot find module '${name}': ${problem}`), { code });
}

function stat(file) {
    try {
        return fs.statSync(file);
    } catch {
        return undefined;
    }
}

const isFile = file => Boolean(stat(file)?.isFile());
const isFolder = file => Boolean(stat(file)?.isDirectory());

const asFile = base => [base, ...ENDINGS.map(ending => `${base}.${ending}`)].find(isFile);
const asIndex = folder => ENDINGS.map(ending => `${folder}/index.${ending}`).find(isFile);

const descriptions = new Map();

/// What the package.json in a folder says; undefined if there is none.
export function descriptionIn(folder) {
    const file = path.join(folder, 'package.json');
    if (!descriptions.has(file)) {
        let description;
        if (isFile(file)) {
            try {
                description = Object(JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\ufeff/, '')));
            } catch (error) {
                throw Object.assign(new Error(`${file}: ${error.message}`), { code: 'ERR_INVALID_PACKAGE_CONFIG' });
            }
        }
        descriptions.set(file, description);
    }
    return descriptions.get(file);
}

/// The description of the package that a file belongs to, and the folder of it.
export function packageOf(file) {
    for (let folder = path.dirname(file); ; folder = path.dirname(folder)) {
        const description = descriptionIn(folder);
        if (description) return { folder, description };
        if (folder === '/' || path.basename(folder) === 'node_modules') return undefined;
    }
}

/// The file that runs in a folder: `main` of its package.json, or index.js.
export function asFolder(folder) {
    const main = descriptionIn(folder)?.main;
    const named = typeof main === 'string' && main !== '' ? path.join(folder, main) : folder;
    return (named === folder ? undefined : (asFile(named) ?? asIndex(named))) ?? asIndex(folder);
}

/// The target of an entry of `exports` or `imports` under these conditions: null if it is closed, undefined if there is none.
function targetOf(entry, conditions, star) {
    if (entry === null) return null;
    if (typeof entry === 'string') return entry.split('*').join(star);
    if (typeof entry !== 'object') return undefined;
    const entries = Array.isArray(entry) ? entry : Object.keys(entry).filter(key => conditions.includes(key)).map(key => entry[key]);
    for (const inner of entries) {
        const target = targetOf(inner, conditions, star);
        if (target !== undefined) return target;
    }
    return undefined;
}

/// The target of a name in a map whose keys may hold a `*`: the longest beginning counts.
function mapped(map, name, conditions) {
    if (Object.hasOwn(map, name) && !name.includes('*')) return targetOf(map[name], conditions, '');
    let best;
    for (const key of Object.keys(map)) {
        const [start, end, more] = key.split('*');
        if (end === undefined || more !== undefined || name.length < key.length) continue;
        if (!name.startsWith(start) || !name.endsWith(end) || best?.start.length >= start.length) continue;
        best = { key, start, star: name.slice(start.length, name.length - end.length) };
    }
    return best && targetOf(map[best.key], conditions, best.star);
}

/// The file of `exports`. `name` is `.` for the package itself, and `./x` for a file in it.
function exported(folder, exports, name, conditions) {
    const isMap = typeof exports === 'object' && !Array.isArray(exports) && Object.keys(exports).some(key => key.startsWith('.'));
    const target = mapped(isMap ? exports : { '.': exports }, name, conditions);
    const file = typeof target === 'string' && target.startsWith('./') ? path.join(folder, target) : undefined;
    return file !== undefined && isFile(file) ? file : undefined;
}

function inPackages(name, from, conditions) {
    const owner = name.split('/').slice(0, name.startsWith('@') ? 2 : 1).join('/');
    for (let at = from; ; at = path.dirname(at)) {
        const folder = path.join(at, 'node_modules', owner);
        const exports = isFolder(folder) ? descriptionIn(folder)?.exports : undefined;
        if (exports !== undefined && exports !== null) {
            const file = exported(folder, exports, `.${name.slice(owner.length)}`, conditions);
            if (file) return file;
            throw missing(name, 'ERR_PACKAGE_PATH_NOT_EXPORTED', `\`exports\` of ${folder}/package.json has no file for it`);
        }
        const base = path.join(at, 'node_modules', name);
        const file = asFile(base) ?? (isFolder(base) ? asFolder(base) : undefined);
        if (file) return file;
        if (at === '/') return undefined;
    }
}

/// A name that begins with `#`: the package itself says what it means.
function internal(name, file, conditions) {
    const owner = packageOf(file);
    const target = owner && mapped(Object(owner.description.imports), name, conditions);
    if (typeof target !== 'string') throw missing(name, 'ERR_PACKAGE_IMPORT_NOT_DEFINED', `no package.json above ${file} has it in \`imports\``);
    return target.startsWith('./') ? path.join(owner.folder, target) : target;
}

/// The file that a name means in another file. `how` is `import` or `require`. What is not found is looked up by `otherwise`, which
/// gets the name.
export function resolve(name, file, how, otherwise) {
    const conditions = ['node', how, 'default'];
    const folder = path.dirname(file);
    const meant = name.startsWith('#') ? internal(name, file, conditions) : name.startsWith('file://') ? decodeURIComponent(name.slice(7)) : name;
    if (/^(\.\.?(\/|$)|\/)/.test(meant)) {
        const base = path.resolve(folder, meant);
        const found = asFile(base) ?? (isFolder(base) ? asFolder(base) : undefined);
        if (found) return found;
        throw missing(name, NOT_FOUND[how], `no such file beside ${folder}`);
    }
    return inPackages(meant, folder, conditions) ?? otherwise(meant);
}

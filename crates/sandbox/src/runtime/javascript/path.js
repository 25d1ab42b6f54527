// The module `path`.

function normalized(path) {
    const parts = [];
    for (const part of path.split('/')) {
        if (part === '' || part === '.') continue;
        if (part !== '..') parts.push(part);
        else if (parts.length && parts.at(-1) !== '..') parts.pop();
        else if (!path.startsWith('/')) parts.push('..');
    }
    return parts;
}

function normalize(path) {
    const isAbsolute = path.startsWith('/');
    const parts = normalized(path);
    const text = parts.join('/') + (parts.length && path.endsWith('/') ? '/' : '');
    return isAbsolute ? `/${text}` : text || '.';
}

function resolve(...paths) {
    let path = '';
    for (const part of [globalThis.process.cwd(), ...paths]) {
        if (part !== '') path = part.startsWith('/') ? part : `${path}/${part}`;
    }
    return `/${normalized(path).join('/')}`;
}

function basename(path, ending = '') {
    const name = path.replace(/\/+$/, '').split('/').at(-1);
    return ending && name !== ending && name.endsWith(ending) ? name.slice(0, -ending.length) : name;
}

function dirname(path) {
    const trimmed = path.replace(/\/+$/, '') || path.slice(0, 1);
    const at = trimmed.lastIndexOf('/');
    return at < 0 ? '.' : trimmed.slice(0, at).replace(/\/+$/, '') || '/';
}

function extname(path) {
    const name = basename(path);
    const at = name.lastIndexOf('.');
    return at > 0 && name !== '..' ? name.slice(at) : '';
}

export const path = {
    sep: '/',
    delimiter: ':',
    normalize,
    resolve,
    basename,
    dirname,
    extname,
    join: (...paths) => normalize(paths.filter(part => part !== '').join('/') || '.'),
    isAbsolute: path => path.startsWith('/'),
    relative(from, to) {
        const [a, b] = [from, to].map(path => normalized(resolve(path)));
        let same = 0;
        while (same < Math.min(a.length, b.length) && a[same] === b[same]) same++;
        return [...a.slice(same).map(() => '..'), ...b.slice(same)].join('/');
    },
    parse(path) {
        const [base, ext] = [basename(path), extname(path)];
        const dir = dirname(path);
        return { root: path.startsWith('/') ? '/' : '', dir: dir === '.' && !path.startsWith('.') ? '' : dir, base, ext, name: base.slice(0, base.length - ext.length) };
    },
    format({ dir, root = '', base, name = '', ext = '' }) {
        const file = base ?? name + ext;
        return !dir ? root + file : dir.endsWith('/') ? dir + file : `${dir}/${file}`;
    },
};
path.posix = path;

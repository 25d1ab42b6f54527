// What `import` of the module `path` finds.
import { path as it } from '/usr/local/lib/javascript/path.js';
export default it;
export const {
    basename, delimiter, dirname, extname, format, isAbsolute, join, normalize, parse, posix, relative, resolve, sep,
} = it;

// What `import` of the module `fs` finds.
import { fs as it } from '/usr/local/lib/javascript/fs.js';
export default it;
export const {
    accessSync, appendFileSync, closeSync, copyFileSync, existsSync, lstatSync, mkdirSync, mkdtempSync, openSync,
    readdirSync, readFileSync, readSync, realpathSync, renameSync, rmdirSync, rmSync, statSync, unlinkSync,
    writeFileSync, writeSync, access, appendFile, close, copyFile, exists, lstat, mkdir, mkdtemp, open, readdir,
    readFile, read, realpath, rename, rmdir, rm, stat, unlink, writeFile, write, constants, createReadStream,
    createWriteStream, promises,
} = it;

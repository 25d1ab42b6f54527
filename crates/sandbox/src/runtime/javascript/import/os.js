// What `import` of the module `os` finds.
import { os as it } from '/usr/local/lib/javascript/small.js';
export default it;
export const {
    EOL, arch, cpus, endianness, homedir, hostname, platform, release, tmpdir, type,
} = it;

// What `import` of the module `process` finds.
import { process as it } from '/usr/local/lib/javascript/process.js';
export default it;
export const {
    argv, chdir, cwd, env, exit, hrtime, nextTick, platform, stderr, stdin, stdout, uptime, version, versions,
} = it;

// What `import` of the module `console` finds.
import { console as it } from '/usr/local/lib/javascript/console.js';
export default it;
export const {
    assert, debug, dir, error, info, log, table, time, timeEnd, trace, warn,
} = it;

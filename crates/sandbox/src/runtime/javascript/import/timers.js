// What `import` of the module `timers` finds.
import { Timers as it } from '/usr/local/lib/javascript/events.js';
export default it;
export const {
    clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout,
} = it;

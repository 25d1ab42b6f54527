// What `import` of the module `events` finds.
import { Emitter as it } from '/usr/local/lib/javascript/emitter.js';
export default it;
export const {
    EventEmitter, once,
} = it;

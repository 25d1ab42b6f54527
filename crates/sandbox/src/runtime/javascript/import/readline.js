// What `import` of the module `readline` finds.
import { readline as it } from '/usr/local/lib/javascript/small.js';
export default it;
export const {
    Interface, createInterface,
} = it;

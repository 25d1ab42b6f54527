// What `import` of the module `buffer` finds.
import { Buffer } from '/usr/local/lib/javascript/buffer.js';
export { Buffer };
export default { Buffer };

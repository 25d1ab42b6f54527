// What `import` of the module `util` finds.
import { util as it } from '/usr/local/lib/javascript/small.js';
export default it;
export const {
    TextDecoder, TextEncoder, callbackify, debuglog, deprecate, format, inherits, inspect, isDeepStrictEqual, promisify,
    types,
} = it;

// What `import` of the module `assert` finds.
import { assert as it } from '/usr/local/lib/javascript/small.js';
export default it;
export const {
    AssertionError, deepEqual, deepStrictEqual, equal, fail, notEqual, notStrictEqual, ok, strict, strictEqual, throws,
} = it;

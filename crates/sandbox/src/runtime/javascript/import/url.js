// What `import` of the module `url` finds.
import { url as it } from '/usr/local/lib/javascript/small.js';
export default it;
export const {
    fileURLToPath, pathToFileURL,
} = it;

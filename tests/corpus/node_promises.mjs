import { readdir, readFile } from 'fs/promises';
import { setTimeout as wait } from 'node:timers/promises';
import { createRequire } from 'node:module';

const [file] = await readdir('/data/inputs/penguins');
await wait(10);
const text = await readFile(`/data/inputs/penguins/${file}`, 'utf8');
console.log(createRequire(import.meta.url)('node:path').join('penguins', file), text.length);

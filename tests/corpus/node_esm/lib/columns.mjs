import { isObject } from './table.js';
export const columns = row => (isObject(row) ? Object.keys(row).length : 0);

// What `import` of the module `perf_hooks` finds.
export const performance = globalThis.performance;
export default { performance };

exports.largest = numbers => numbers.reduce((a, b) => Math.max(a, b));

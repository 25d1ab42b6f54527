const fs = require('fs');
setTimeout(() => console.log('timer'), 5);
process.on('exit', code => console.log('exit', code));
Promise.resolve().then(() => null).then(() => console.log('promise'));
process.nextTick(() => console.error('tick'));
fs.promises.stat('/data/inputs').then(found => console.log('folder', found.isDirectory()));
console.log('script');

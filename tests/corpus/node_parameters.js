const fs = require('fs');
const { mode = 'slow' } = JSON.parse(fs.readFileSync('/data/inputs/algoCustomData.json', 'utf8'));
console.log(mode, process.argv.slice(2));

const fs = require('fs');
fs.writeFileSync('/data/outputs/a.txt', 'one');
console.log(fs.readFileSync('/data/outputs/a.txt', 'utf8'));

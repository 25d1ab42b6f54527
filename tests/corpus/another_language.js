const fs = require('fs');
fs.writeFileSync('/data/outputs/a.json', JSON.stringify({rows: 1}));

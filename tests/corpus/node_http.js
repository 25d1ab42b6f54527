const https = require('https');
https.get('https://example.com/', answer => console.log(answer.statusCode));

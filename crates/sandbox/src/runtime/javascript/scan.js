// Where a text in JavaScript imports: the places of the names of modules, and of `import(`. It passes over comments, strings,
// templates and regular expressions, and understands nothing else of the text.

/// Words after which `/` begins a regular expression.
const BEFORE_VALUE = new Set([
    'return', 'typeof', 'case', 'do', 'else', 'in', 'of', 'instanceof', 'new', 'delete', 'void', 'throw', 'await', 'yield',
]);
const WORD = /[\w$\u0080-\uffff]+/y;
/// Stands for a value of any kind.
const VALUE = ')';

function endOfComment(text, at) {
    const end = text[at + 1] === '/' ? text.indexOf('\n', at) : text.indexOf('*/', at + 2);
    return end < 0 ? text.length : end + (text[at + 1] === '/' ? 0 : 2);
}

/// Behind a string. Behind its first quote, if it does not end on its line.
function endOfString(text, start) {
    for (let at = start + 1; at < text.length && text[at] !== '\n'; at++) {
        if (text[at] === '\\') at++;
        else if (text[at] === text[start]) return at + 1;
    }
    return start + 1;
}

/// Behind a regular expression. Behind its first letter, if it is none.
function endOfRegExp(text, start) {
    let isInClass = false;
    for (let at = start + 1; at < text.length && text[at] !== '\n'; at++) {
        if (text[at] === '\\') at++;
        else if (text[at] === '[') isInClass = true;
        else if (text[at] === ']') isInClass = false;
        else if (text[at] === '/' && !isInClass) return at + 1;
    }
    return start + 1;
}

/// Behind the next part of a template: its end, or `${`.
function endOfTemplate(text, at) {
    for (; at < text.length && text[at] !== '`'; at++) {
        if (text[at] === '\\') at++;
        else if (text[at] === '$' && text[at + 1] === '{') return at + 2;
    }
    return at + 1;
}

function afterBlanks(text, at) {
    for (;;) {
        if (/\s/.test(text[at] ?? '')) at++;
        else if (text[at] === '/' && (text[at + 1] === '/' || text[at + 1] === '*')) at = endOfComment(text, at);
        else return at;
    }
}

/// `names` are [start, end] of strings, quotes included; `calls` are the places of the word `import` of `import(...)`.
export function importsIn(text) {
    const names = [];
    const calls = [];
    // Most texts that were bundled, which are the long ones, import nothing.
    if (!text.includes('import') && !text.includes('from')) return { names, calls };
    // How many braces are open in each template whose expression is being read, and how many outside of them.
    const braces = [0];
    let before = '';
    for (let at = 0; at < text.length; ) {
        const letter = text[at];
        switch (letter) {
            case ' ':
            case '\n':
            case '\t':
            case '\r':
                at++;
                break;
            case '/': {
                const isComment = text[at + 1] === '/' || text[at + 1] === '*';
                if (isComment) {
                    at = endOfComment(text, at);
                    break;
                }
                const end = endsValue(before) ? at + 1 : endOfRegExp(text, at);
                before = end > at + 1 ? VALUE : '/';
                at = end;
                break;
            }
            case "'":
            case '"': {
                const end = endOfString(text, at);
                if (end > at + 1 && (before === 'from' || before === 'import')) names.push([at, end]);
                before = VALUE;
                at = end;
                break;
            }
            case '{':
                braces[braces.length - 1]++;
                before = letter;
                at++;
                break;
            case '}':
                if (braces.length === 1 || braces.at(-1) > 0) {
                    braces[braces.length - 1]--;
                    before = letter;
                    at++;
                    break;
                }
                // It ends an expression in a template, which goes on.
                braces.pop();
            // falls through
            case '`': {
                at = endOfTemplate(text, at + 1);
                const isInside = text[at - 1] === '{';
                if (isInside) braces.push(0);
                before = isInside ? '(' : VALUE;
                break;
            }
            default: {
                WORD.lastIndex = at;
                if (!WORD.test(text)) {
                    // A dot before a word makes it the name of a property, and three dots do not.
                    const isSpread = letter === '.' && text.startsWith('...', at);
                    before = isSpread ? '(' : letter;
                    at += isSpread ? 3 : 1;
                    break;
                }
                const end = WORD.lastIndex;
                const word = before === '.' ? VALUE : text.slice(at, end);
                if (word === 'import' && text[afterBlanks(text, end)] === '(') calls.push(at);
                before = word;
                at = end;
            }
        }
    }
    return { names, calls };
}

/// Whether a value has ended with this word or letter, so that `/` divides it.
function endsValue(before) {
    if (before === VALUE || before === ']' || before === '}') return true;
    return /^[\w$\u0080-\uffff]/.test(before) && !BEFORE_VALUE.has(before);
}

/// The text with other names, and with `call` instead of the word `import` of `import(...)`. Without `nameOf`, names stay.
export function withImports(text, call, nameOf) {
    const { names, calls } = importsIn(text);
    const changes = calls.map(start => [start, start + 'import'.length, call]);
    if (nameOf) changes.push(...names.map(([start, end]) => [start, end, JSON.stringify(nameOf(text.slice(start + 1, end - 1)))]));
    changes.sort((a, b) => a[0] - b[0]);
    let changed = '';
    let at = 0;
    for (const [start, end, word] of changes) {
        changed += text.slice(at, start) + word;
        at = end;
    }
    return changed + text.slice(at);
}

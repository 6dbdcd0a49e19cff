// Helpers every part uses. All files of this folder are joined in the order of their names and run as one
// function. Data is only ever put into text nodes and attributes, never parsed as HTML.
'use strict';

const data = JSON.parse(document.getElementById('data').textContent);

// h('td', {class: 'n'}, 'text', node…): an HTML element. Attributes that are null or false are left out.
function h(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (key.startsWith('on')) node.addEventListener(key.slice(2), value);
    else node.setAttribute(key, value === true ? '' : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

const main = document.getElementById('main');

// A section of the page with its heading and one sentence that says what it shows.
function section(id, title, lead, ...children) {
  const node = h('section', {id, 'aria-labelledby': id + '-title'},
    h('h2', {id: id + '-title'}, title), lead ? h('p', {class: 'lead'}, lead) : null, ...children);
  main.append(node);
  return node;
}

// A table that may be wider than the screen: only it scrolls, keys can scroll it, and it says so where it does.
function scrollable(label, node) {
  const box = h('div', {class: 'scroll', tabindex: 0, role: 'region', 'aria-label': label}, node);
  const seen = new ResizeObserver(() => requestAnimationFrame(() => box.classList.toggle('wide', node.offsetWidth > box.clientWidth + 1)));
  seen.observe(box);
  seen.observe(node);
  return box;
}

// table(['a', {text: 'b', n: true, class, why: key of kTerms}], rows): cells are texts, nodes, or {node, class, span}.
// options.cards: on a phone every row is a card whose cells say the head of their column.
function table(columns, rows, options = {}) {
  const heads = columns.map((column) => (typeof column === 'string' ? {text: column} : column));
  const cell = (value, i) => {
    const own = value !== null && typeof value === 'object' && !(value instanceof Node) ? value : {node: value};
    const classes = [heads[i].n ? 'n' : '', own.class || ''].join(' ').trim();
    const content = own.node === null || own.node === undefined ? '–' : own.node;
    return i === 0 && options.rowHeads ? h('th', {scope: 'row', class: classes || null}, content)
      : h('td', {class: classes || null, colspan: own.span || null}, options.cards ? [h('span', {class: 'value'}, content), own.span ? null : labelOf(heads[i])] : content);
  };
  const labelOf = (head) => h('span', {class: 'label'}, head.text, head.why ? ['\u00a0', why(...[head.why].flat())] : null);
  return h('table', {class: [options.cards ? 'cards' : '', options.class || ''].join(' ').trim() || null},
    options.caption ? h('caption', {}, options.caption) : null,
    h('thead', {}, h('tr', {}, heads.map((head) =>
      h('th', {scope: 'col', class: [head.n ? 'n' : '', head.class || ''].join(' ').trim() || null}, h('span', {}, head.text), head.why ? why(...[head.why].flat()) : null)))),
    h('tbody', {}, rows.map((row) => h('tr', {class: row.class || null}, (row.cells || row).map(cell)))));
}

// Heads become buttons that sort the rows by these values: values[row][column], numbers or texts; what has
// none stays last. [what phones choose the column with, the table].
function sortable(node, values) {
  const body = node.tBodies[0];
  const rows = [...body.rows];
  const heads = [...node.tHead.rows[0].cells];
  let by = -1;
  let up = false;
  function sort(column) {
    up = column === by ? !up : false;
    by = column;
    const order = rows.map((_, i) => i).sort((a, b) => {
      const [x, y] = [values[a][column], values[b][column]];
      if (x === null || y === null) return (x === null) - (y === null);
      return (x < y ? -1 : x > y ? 1 : 0) * (up ? 1 : -1) || a - b;
    });
    body.append(...order.map((i) => rows[i]));
    heads.forEach((head, i) => head.setAttribute('aria-sort', i !== by ? 'none' : up ? 'ascending' : 'descending'));
  }
  const names = heads.map((head) => head.firstChild.textContent);
  heads.forEach((head, i) => head.replaceChild(h('button', {type: 'button', class: 'sort', onclick: () => sort(i)}, names[i]), head.firstChild));
  // Cards have no heads to choose.
  const choice = h('select', {onchange: () => { by = -1; sort(Number(choice.value)); }}, h('option', {value: '', disabled: true, selected: true}, 'as given'),
    names.map((name, i) => h('option', {value: i}, name)));
  return [h('div', {class: 'controls narrow'}, h('label', {}, 'Sort by', choice)), node];
}

// -- numbers for people ----------------------------------------------------------------------------------------
const kSuper = {'-': '⁻', 0: '⁰', 1: '¹', 2: '²', 3: '³', 4: '⁴', 5: '⁵', 6: '⁶', 7: '⁷', 8: '⁸', 9: '⁹'};

function text(value, digits = 3) {
  if (value === null || value === undefined) return '–';
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e6 || size < 1e-3) {
    const [mantissa, exponent] = value.toExponential(digits - 1).split('e');
    const power = '10' + String(Number(exponent)).replace(/./g, (c) => kSuper[c]);
    return Number(mantissa) === 1 ? power : Number(mantissa) + '·' + power;
  }
  if (Number.isInteger(value)) return value.toLocaleString('en-US');
  return String(Number(value.toPrecision(digits)));
}

// 100% is only said where it is all of them, 0% only where it is none.
function share(part, whole) {
  if (!whole) return '–';
  const percent = (100 * part) / whole;
  if (part !== whole && percent > 99.9) return '>99.9%';
  if (part !== 0 && percent < 0.1) return '<0.1%';
  return Number(percent.toFixed(percent < 10 || percent > 99 ? 1 : 0)) + '%';
}
const percent = (value) => share(value, 1);
// Of a probability: with all its digits.
const chance = (value, digits = 3) => (value === null || value === undefined ? '–' : text(100 * value, digits) + '%');
const plural = (n, one, many) => text(n) + ' ' + (n === 1 ? one : many || one + 's');

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB'];
  let unit = 0;
  while (n >= 1024 && unit + 1 < units.length) { n /= 1024; ++unit; }
  return Number(n.toPrecision(3)) + ' ' + units[unit];
}

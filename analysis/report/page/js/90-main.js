// The page, top to bottom.
function about() {
  const absent = [];
  if (!data.survival.length) absent.push('survival curve');
  if (!data.margins.laws.length) absent.push('flip law');
  if (!data.layers.growth.length) absent.push('growth by layer (needs records made with --record hidden)');
  if (!data.layers.ladders.length) absent.push('explanation (shardrift explain)');
  if (!data.orders.maps.length) absent.push('order map (runs that probed their collective)');
  document.getElementById('about').append(
    h('h2', {}, 'About this page'),
    h('ul', {class: 'lists'},
      data.notes.map((note) => h('li', {}, note)),
      absent.length ? h('li', {}, `Not in this report: ${absent.join('; ')}.`) : null,
      h('li', {}, 'Zoom with + and −, with Ctrl and the wheel, or with two fingers; drag to move; arrow keys read a focused plot.'),
      h('li', {}, 'Numbers have four significant digits here; shardrift compare --json has all. Tokens, rows and positions are counted from 1; compare’s JSON and CSV count rows from 0. docs/report.md tells how to read each plot, docs/metrics.md has the formulas.'),
      h('li', {}, 'The file requests nothing from the network and runs no script but its own.'),
      h('li', {}, `Made by shardrift ${data.version}${data.created ? ', ' + data.created : ''}`, data.command ? ': ' : '', data.command ? h('code', {}, data.command) : null)));
}

// Where to go from the top: built last, from the sections that are there.
function contents() {
  const sections = [...document.querySelectorAll('section[aria-labelledby]')];
  if (sections.length < 3) return;
  const menu = h('details', {class: 'contents'}, h('summary', {}, 'Contents'), h('nav', {'aria-label': 'Contents', onclick: () => { menu.open = false; }},
    sections.map((node) => h('a', {href: '#' + node.id}, node.querySelector('h2').textContent))));
  document.querySelector('.masthead .top').append(menu);
}

if (data.reference) {
  explain();
  facts();
  answer();
  configurations();
  if (runs.length > 1) main.append(picker());
  speedPlot();
  survival();
  promptGrid();
  positions();
  margins();
  layers();
  orders();
  tokens();
  environment();
  contents();
}
about();
glossary();
document.documentElement.setAttribute('data-ready', 'yes');

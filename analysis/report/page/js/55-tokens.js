// Token by token, with `<-- here` at the first difference.
function tokens() {
  const {strings, tables} = data.tokens;
  if (!tables.length) return;
  const spelled = (id) => (strings[id] === undefined ? '' : strings[id]);
  const withTables = [...new Set(tables.map((one) => one.run))];
  const run = h('select', {onchange: () => { fillPrompts(); draw(); }}, withTables.map((i) => h('option', {value: i}, runs[i].name)));
  const prompt = h('select', {onchange: () => draw()});
  const place = h('div', {});

  function fillPrompts(wanted) {
    const own = tables.filter((one) => one.run === Number(run.value));
    prompt.replaceChildren(...own.map((one) => h('option', {value: one.prompt, selected: one.prompt === wanted}, one.prompt)));
  }
  const cells = (cell) => (cell ? [{node: spelled(cell[0]) || '#' + cell[0], class: 'token'}, {node: String(cell[0]), class: 'id'}, chance(cell[1], 4)]
    : [{node: '', class: 'token'}, {node: '', class: 'id'}, '']);
  function draw() {
    const found = tables.find((one) => one.run === Number(run.value) && one.prompt === prompt.value);
    if (!found) return;
    let past = false;
    const rows = found.rows.map(([step, position, reference, candidate, here]) => {
      const row = {class: here ? 'here' : past ? 'after' : null, cells: [text(step + 1), {node: text(position + 1), class: 'position'}, ...cells(reference), ...cells(candidate),
        {node: here ? '<-- here' : '', class: 'mark'}]};
      past = past || Boolean(here);
      return row;
    });
    place.replaceChildren(scrollable('Tokens side by side', table(
      [{text: data.reference.mode === 'score' ? 'row' : 'token', n: true, why: 'first'}, {text: 'position', n: true, class: 'position', why: 'position'}, data.reference.name, {text: 'id', n: true, class: 'id', why: 'id'}, {text: 'p', n: true, why: 'probability'},
        runs[found.run].name, {text: 'id', n: true, class: 'id'}, {text: 'p', n: true}, ''], rows, {class: 'tokens'})));
  }
  pickTokens = (wantedRun, wantedPrompt) => {
    if (!tables.some((one) => one.run === wantedRun && one.prompt === wantedPrompt)) return;
    run.value = wantedRun;
    fillPrompts(wantedPrompt);
    draw();
    document.getElementById('tokens').scrollIntoView();
  };
  fillPrompts();
  section('tokens', 'Token by token',
    'What each run chose and how sure it was (p in its own run). Tokens are counted from 1, the first generated one. After the first difference free-running answers are different texts.',
    h('div', {class: 'controls'}, h('label', {}, 'Configuration', run), h('label', {}, 'Prompt', prompt)), place);
  draw();
}

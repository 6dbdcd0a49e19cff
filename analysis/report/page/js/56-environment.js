// What the runs were told and where they ran: every possible cause of a difference is in here.
function environment() {
  const names = (list) => (list.length === runs.length && runs.length > 1 ? 'all configurations' : list.map((i) => runs[i].name).join(', '));
  const shownValue = (value) => h('code', {}, value === '' ? '(none)' : value.length > 400 ? value.slice(0, 400) + '…' : value);
  const rows = data.differences.map((line) => [line.what, shownValue(line.reference),
    h('div', {}, line.values.map(({value, runs: of}) => h('div', {}, shownValue(value), ' ', h('span', {class: 'small'}, names(of)))))]);
  section('environment', 'What differs between the runs',
    rows.length ? 'Plan first, then mode, model, devices, libraries, settings and variables. What is not listed is the same in all runs.' : 'Plan and environment: no difference.',
    rows.length ? scrollable('Differences of plan and environment', table(['What', data.reference.name, 'Candidates'], rows, {rowHeads: true, cards: true})) : null);
  const files = [data.reference, ...runs].map((run) => [run.name, h('code', {}, run.path), run.plan, run.devices, run.created || null, run.complete ? 'complete' : 'partial', h('code', {}, run.command)]);
  document.getElementById('environment').append(h('details', {}, h('summary', {}, 'Files and commands'),
    scrollable('Files and commands', table(['Run', 'File', 'Plan', 'Devices', 'Made', 'Status', 'Command'], files, {rowHeads: true, cards: true}))));
}

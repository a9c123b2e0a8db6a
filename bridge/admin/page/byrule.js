// Decisions by rule since the bridge started.

import { fillTable, say } from './dom.js';
import { count } from './format.js';

const shown = 12;

const reasons = {
  default: '(no rule matched: the default)', empty_name: '(no stream name)', rules_stale: '(the rules were too old)',
};

export function showByRule(section, status) {
  const rules = status.by_rule ?? [];
  const table = section.querySelector('table');
  const most = Math.max(1, ...rules.slice(0, shown).map((r) => r.allowed + r.denied));
  fillTable(table, rules.slice(0, shown), (r) => [reasons[r.rule] ?? r.rule, count(r.allowed), count(r.denied), count(r.recent)]);
  rules.slice(0, shown).forEach((r, i) => {
    const cell = table.tBodies[0].rows[i].cells[0];
    cell.style.setProperty('--allowed', `${(100 * r.allowed) / most}%`);
    cell.style.setProperty('--all', `${(100 * (r.allowed + r.denied)) / most}%`);
  });
  const rest = rules.slice(shown).reduce((sum, r) => sum + r.allowed + r.denied, 0) + status.by_other_rule.allowed + status.by_other_rule.denied;
  say(section.querySelector('.note'), rules.length === 0 ? 'No decision in the last seconds and before.' : rest > 0 ? `All other rules: ${count(rest)} decisions.` : '');
}

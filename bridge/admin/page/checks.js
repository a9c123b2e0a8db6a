// What /readyz looks at, and the documents that were refused.

import { el, say } from './dom.js';
import { count } from './format.js';

export function showChecks(section, status) {
  const list = section.querySelector('.checks');
  status.checks.forEach((check, i) => {
    const row = list.children[i] ?? list.appendChild(el('li', {}, el('strong'), el('span', { class: 'state' }), el('span', { class: 'detail' })));
    const level = check.degraded ? 'warn' : check.ok ? 'good' : 'bad';
    row.dataset.level = level;
    say(row.children[0], check.name);
    say(row.children[1], { good: 'ok', warn: 'degraded', bad: 'failed' }[level]);
    say(row.children[2], check.detail);
  });
  while (list.children.length > status.checks.length) list.lastElementChild.remove();
  showInvalid(section.querySelector('.invalid'), status.rules);
}

const shown = 20;

function showInvalid(box, rules) {
  const all = rules.invalid ?? [];
  box.hidden = all.length === 0;
  const list = box.querySelector('ul');
  const texts = all.slice(0, shown).map((d) => [`${d.key}, revision ${count(d.revision)}`, d.error]);
  if (rules.invalid_count > shown) texts.push([`and ${count(rules.invalid_count - shown)} more`, '']);
  texts.forEach(([head, error], i) => {
    const row = list.children[i] ?? list.appendChild(el('li', {}, el('strong'), el('pre')));
    say(row.children[0], head);
    say(row.children[1], error);
  });
  while (list.children.length > texts.length) list.lastElementChild.remove();
}

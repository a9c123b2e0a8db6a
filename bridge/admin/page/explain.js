// Why a request is let in or refused, by the bridge's own rules and code.

import { ask } from './api.js';
import { el } from './dom.js';
import { count } from './format.js';

export function startExplain(section) {
  const form = section.querySelector('form');
  const answer = section.querySelector('.answer');
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    try {
      answer.replaceChildren(...explanation(await ask('/explain', new FormData(form))));
    } catch (error) {
      answer.replaceChildren(el('p', { class: 'wrong' }, error.message));
    }
  });
}

function explanation({ call, name, decision: d, considered, shadow }) {
  const by = d.rule ? `by ${d.rule}${d.reason ? `: ${d.reason}` : ''}` : d.reason === 'default' ? 'because no rule matches: the default' : d.reason;
  const all = [el('p', { class: 'decision', 'data-effect': d.effect }, el('strong', {}, d.effect === 'allow' ? 'Allowed' : 'Denied'), ` ${by}`),
    el('p', { class: 'hint' }, `${call} ${name || '(no name)'}, rules of revision ${count(d.revision)}`)];
  all.push(considered.length === 0 ? el('p', {}, 'No rule could match.') : el('ol', {}, ...considered.map(rule)));
  if (shadow.length > 0) all.push(el('h3', {}, 'Shadow rules, which decide nothing'), el('ol', {}, ...shadow.map(rule)));
  return all;
}

function rule(c) {
  const outcome = { decides: 'decides', outranked: 'holds, another goes before it', recorded: 'would match', failed: `does not hold: ${c.failed}` }[c.outcome] ?? c.outcome;
  const parts = [el('strong', {}, c.rule), ` ${c.effect}, priority ${c.priority}: `, el('span', { class: 'state' }, `${outcome}${c.field ? ` ${c.field}` : ''}`)];
  if (c.why) parts.push(`: ${c.why}`);
  if (c.wants !== undefined) parts.push(el('pre', {}, `wants ${JSON.stringify(c.wants)}`));
  return el('li', { 'data-outcome': c.outcome }, ...parts);
}

// A search over the rules in force.

import { ask } from './api.js';
import { el, say } from './dom.js';
import { count, some } from './format.js';

export function startSearch(section) {
  const form = section.querySelector('form');
  const note = section.querySelector('.note');
  const found = section.querySelector('.found');
  form.addEventListener('submit', async (e) => {
    e.preventDefault();
    say(note, 'Searching…');
    try {
      const answer = await ask('/rules', { q: form.elements.q.value });
      found.replaceChildren(...answer.rules.map((r) => el('details', { open: answer.rules.length === 1 },
        el('summary', {}, el('strong', {}, r.rule), el('span', {}, ` ${r.text.effect}${r.text.shadow ? ', shadow' : ''} · revision ${count(r.revision)}`)),
        el('pre', {}, JSON.stringify(r.text, null, 2)))));
      say(note, about(answer));
    } catch (error) {
      found.replaceChildren();
      say(note, error.message);
    }
  });
}

function about(answer) {
  if (answer.stopped) return `Time was up after ${some(answer.documents, 'document')}; ${some(answer.rules.length, 'rule')} so far. Say more to find less.`;
  if (answer.more) return `The first ${count(answer.rules.length)}; there are more.`;
  return answer.rules.length === 0 ? 'No rule contains that.' : `${count(answer.rules.length)} found.`;
}

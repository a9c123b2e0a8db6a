// The last ten minutes, by uPlot, which draws on a canvas and is told of by a label.

import { clock, count, micros, rate } from './format.js';

const kept = 600; // samples
const height = 180;
const names = ['allowed', 'refused', 'told', 'others', 'lost', 'answer_p50', 'answer_p99', 'decide_p50', 'decide_p99'];

const rates = { rows: [['allowed', 'allowed', '--allow'], ['refused', 'denied', '--deny'], ['told', 'told', '--told'], ['lost', 'lost', '--bad']], text: (v) => rate(v) };
const times = { rows: [['answer_p99', 'answer p99', '--told'], ['answer_p50', 'answer half', '--allow'], ['decide_p99', 'decision p99', '--deny']], text: (v) => micros(v), log: true };

// startPlots draws into the two boxes. add takes columns of /history.
export function startPlots(ratesBox, timesBox) {
  const data = { t: [] };
  for (const name of names) data[name] = [];
  const all = [new Plot(ratesBox, rates, data), new Plot(timesBox, times, data)];
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => all.forEach((p) => p.make()));
  return {
    newest: () => data.t.at(-1) ?? '',
    add(columns) {
      for (const name of Object.keys(data)) {
        data[name].push(...columns[name]);
        data[name].splice(0, Math.max(0, data[name].length - kept));
      }
      requestAnimationFrame(() => all.forEach((p) => p.draw()));
    },
  };
}

// decades is the range of a logarithm that ends at whole powers of ten.
function decades(min, max) {
  if (!(min > 0)) return [1, 1000];
  return [10 ** Math.floor(Math.log10(min)), 10 ** Math.max(Math.ceil(Math.log10(max)), Math.floor(Math.log10(min)) + 1)];
}

class Plot {
  constructor(box, kind, data) {
    Object.assign(this, { box, kind, data });
    this.make();
    new ResizeObserver(() => this.uplot.setSize({ width: box.clientWidth, height })).observe(box);
  }

  // make draws anew: a canvas does not follow the colours of the style sheet.
  make() {
    this.uplot?.destroy();
    const colour = (name) => {
      this.box.style.color = `var(${name})`;
      return getComputedStyle(this.box).color;
    };
    const labelled = (u, marks) => (this.kind.log ? marks.map((v) => (Number.isInteger(Math.log10(v)) ? v : null)) : marks);
    const axis = { stroke: colour('--soft'), grid: { stroke: colour('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui' };
    this.uplot = new uPlot({
      width: this.box.clientWidth || 300, height, legend: { show: false }, cursor: { show: false }, padding: [8, 8, 0, 0],
      scales: {
        x: { time: true, range: (u, min, max) => [Math.min(min ?? max, max - 60), max] },
        y: this.kind.log ? { distr: 3, range: (u, min, max) => decades(min, max) } : { range: (u, min, max) => [0, Math.max(1, max * 1.1)] },
      },
      axes: [
        { ...axis, size: 28, space: 70, values: (u, marks) => marks.map((t) => clock(t * 1000)) },
        { ...axis, size: 58, grid: { ...axis.grid, filter: labelled }, filter: labelled, values: (u, marks) => marks.map((v) => (v === null ? '' : this.kind.text(v))) },
      ],
      series: [{}, ...this.kind.rows.map(([, label, name]) => ({ label, stroke: colour(name), width: 1.5, points: { show: false } }))],
    }, this.columns(), this.box);
    this.key();
  }

  // A logarithm has no zero: seconds without requests are gaps.
  columns() {
    const of = (name) => (this.kind.log ? this.data[name].map((v) => v || null) : this.data[name]);
    return [this.data.t, ...this.kind.rows.map(([name]) => of(name))];
  }

  draw() {
    this.uplot.setData(this.columns());
    this.key();
  }

  // key is the legend with the newest figures, and the label for who does not see the plot.
  key() {
    this.list ??= this.box.parentElement.appendChild(Object.assign(document.createElement('ul'), { className: 'key' }));
    const texts = this.kind.rows.map(([name, label]) => `${label} ${this.kind.text(this.data[name].at(-1) ?? 0)}`);
    texts.forEach((text, i) => {
      const row = this.list.children[i] ?? this.list.appendChild(document.createElement('li'));
      row.dataset.series = this.kind.rows[i][2].slice(2);
      row.textContent = text;
    });
    this.box.setAttribute('aria-label', `The last ${count(this.data.t.length)} seconds; now: ${texts.join(', ')}`);
  }
}

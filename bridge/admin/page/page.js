// The operator's page. Each part is a module that is given data and its own elements.

import { ask, poll } from './api.js';
import { showByRule } from './byrule.js';
import { showChecks } from './checks.js';
import { startExplain } from './explain.js';
import { startFeed } from './feed.js';
import { startFleet } from './fleet.js';
import { startLive } from './live.js';
import { startPlots } from './plots.js';
import { startSearch } from './search.js';
import { showTiles } from './tiles.js';
import { showVerdict } from './verdict.js';

const plots = startPlots(document.getElementById('rates'), document.getElementById('times'));
let status, answered = Date.now();

async function turn() {
  try {
    status = await ask('/status');
    answered = Date.now();
    showTiles(document.getElementById('tiles'), status);
    showChecks(document.getElementById('checks'), status);
    showByRule(document.getElementById('byrule'), status);
    plots.add(await ask(`/history?after=${plots.newest()}`));
    document.body.dataset.reached = 'true';
  } catch {
    document.body.dataset.reached = 'false';
  }
  showVerdict(document, status, document.body.dataset.reached === 'true' ? 0 : answered);
}

poll(1000, turn);
startFeed(document.getElementById('feed'));
startLive(document.getElementById('live'));
startFleet(document.getElementById('fleet'));
startSearch(document.getElementById('rules'));
startExplain(document.getElementById('explain'));

// The only way from data to the page: text nodes. Nothing here makes markup of a text.

// el makes an element with attributes and children; texts become text nodes.
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === undefined) continue;
    node.setAttribute(name, value === true ? '' : value);
  }
  node.append(...children.map((c) => (c instanceof Node ? c : String(c))));
  return node;
}

// say writes a text where it is not there already, so that screen readers are told of
// changes alone.
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// fillTable makes the rows of a table what cells says: a list of texts a row. Rows are
// used again, and a cell is labelled for narrow screens by its column's head.
export function fillTable(table, rows, cells) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  rows.forEach((row, i) => {
    const tr = body.rows[i] ?? body.appendChild(el('tr', {}, ...heads.map((th) => el('td', { 'data-label': th.textContent, class: th.className || false }))));
    cells(row).forEach((text, j) => say(tr.cells[j], text));
  });
  while (body.rows.length > rows.length) body.lastElementChild.remove();
}

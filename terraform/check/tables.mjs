// The tables of inputs and outputs in README.md, made from the declarations and compared with what is written there.

import { of } from "./hcl.mjs";

const cell = (text) => text.replaceAll("|", "\\|").replace(/\s+/g, " ");

function shown(value) {
  return value === undefined ? "**required**" : `\`${cell(JSON.stringify(value)).replaceAll("`", "")}\``;
}

const type = (text) => `\`${cell(String(text).replace(/^\$\{|\}$/g, "").replace(/\(\{[\s\S]*\}\)/, ""))}\``;

export function inputs(module) {
  const rows = of(module, "variable").map(({ name, body }) => `| \`${name}\` | ${type(body.type)} | ${shown(body.default)} | ${cell(body.description)} |`);
  return ["| name | type | default | what it is |", "|---|---|---|---|", ...rows].join("\n");
}

export function outputs(module) {
  const rows = of(module, "output").map(({ name, body }) => `| \`${name}\` | ${cell(body.description)} |`);
  return ["| name | what it is |", "|---|---|", ...rows].join("\n");
}

// The document with its tables as they should be. They stand between comments that name them.
export function written(document, module) {
  for (const [name, table] of [["inputs", inputs(module)], ["outputs", outputs(module)]]) {
    const place = new RegExp(`(<!-- ${name} -->\n)[\\s\\S]*?(\n<!-- end of ${name} -->)`);
    if (!place.test(document)) throw new Error(`there is no place for the table of ${name}`);
    document = document.replace(place, (_, before, after) => before + table + after);
  }
  return document;
}

// Figures as people read them.

const NONE = "–";

/** A time in milliseconds. */
function time(ms) {
  if (ms === null || ms === undefined) return NONE;
  if (ms < 10) return `${ms.toFixed(ms < 1 ? 2 : 1)} ms`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60000) return `${(ms / 1000).toFixed(ms < 10000 ? 2 : 1)} s`;
  return age(ms / 1000);
}

/** A long time in seconds, by its two largest units. */
function age(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  let rest = Math.floor(seconds);
  const first = units.findIndex(([, size]) => rest >= size);
  if (first < 0) return "0 s";
  return units.slice(first, first + 2).map(([unit, size]) => {
    const number = Math.floor(rest / size);
    rest -= number * size;
    return number > 0 ? `${number} ${unit}` : "";
  }).filter(Boolean).join(" ");
}

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  let size = number;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${size.toFixed(size < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}

function count(number) {
  return number.toLocaleString("en-US");
}

function rate(number) {
  if (number === null || number === undefined) return NONE;
  return number >= 100 ? count(Math.round(number)) : number.toFixed(number < 10 ? 2 : 1);
}

function some(number, noun) {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

/** The time of day, in UTC, of an instant in ISO 8601. */
function clock(iso, digits = 8) {
  return iso.slice(11, 11 + digits);
}

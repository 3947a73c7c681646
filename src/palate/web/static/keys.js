// Keyboard → action. The printed letter decides; where a layout has no Latin letter or digit on a
// key (Cyrillic, or the digits of AZERTY), the key's place decides.

const BY_KEY = {
  1: "left", arrowleft: "left", 2: "right", arrowright: "right", 0: "tie", t: "tie", b: "both_bad",
  s: "skip", u: "undo", n: "note", d: "differences", p: "whole", g: "guidelines", "?": "help",
};
const BY_CODE = {
  Digit1: "left", Numpad1: "left", Digit2: "right", Numpad2: "right", Digit0: "tie",
  Numpad0: "tie", KeyT: "tie", KeyB: "both_bad", KeyS: "skip", KeyU: "undo", KeyN: "note",
  KeyD: "differences", KeyP: "whole", KeyG: "guidelines",
};

export function actionOf(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return null;
  const key = event.key.toLowerCase();
  if (key in BY_KEY) return BY_KEY[key];
  const isLatin = /^[a-z0-9]$/.test(key) || key.length > 1;
  return isLatin ? null : (BY_CODE[event.code] ?? null);
}

export function isTyping(target) {
  return target instanceof HTMLElement
    && (target.isContentEditable || target.matches("input, textarea, select"));
}

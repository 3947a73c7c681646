// Which words only one of two texts has: the longest common subsequence of their words.

const MOST_CELLS = 4_000_000;

// Words and single signs, each with the spaces after it; spaces alone make no difference.
export function wordsOf(text) {
  return text.match(/^\s+|(?:[\p{L}\p{N}_]+|[^\s\p{L}\p{N}_])\s*/gu) ?? [];
}

// Two lists of { text, isOnly }; null where the texts are too long to compare in a moment.
export function differences(left, right) {
  const a = wordsOf(left);
  const b = wordsOf(right);
  if (a.length * b.length > MOST_CELLS) return null;
  const isSame = (i, j) => a[i].trim() === b[j].trim();
  const width = b.length + 1;
  const longest = new Uint32Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      longest[i * width + j] = isSame(i, j)
        ? longest[(i + 1) * width + j + 1] + 1
        : Math.max(longest[(i + 1) * width + j], longest[i * width + j + 1]);
    }
  }
  const sides = [[], []];
  let i = 0;
  let j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && isSame(i, j)) {
      put(sides[0], a[i++], false);
      put(sides[1], b[j++], false);
    } else if (j >= b.length
      || (i < a.length && longest[(i + 1) * width + j] >= longest[i * width + j + 1])) {
      put(sides[0], a[i++], true);
    } else {
      put(sides[1], b[j++], true);
    }
  }
  return sides;
}

function put(side, text, isOnly) {
  const last = side.at(-1);
  if (last && last.isOnly === isOnly) last.text += text;
  else side.push({ text, isOnly });
}

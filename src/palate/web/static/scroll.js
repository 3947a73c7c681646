// Two panes that scroll in step, each by its share of what it has to scroll; and the keys that
// scroll both while neither pane has the focus.

export function scrollInStep(left, right) {
  const pairs = new Map([[left, right], [right, left]]);
  // A position that this file set comes back as an event of its own, and must not set the other.
  const expected = new Map();
  for (const [pane, other] of pairs) {
    pane.addEventListener("scroll", () => {
      if (expected.get(pane) === Math.round(pane.scrollTop)) {
        expected.delete(pane);
        return;
      }
      const room = pane.scrollHeight - pane.clientHeight;
      const share = room > 0 ? pane.scrollTop / room : 0;
      const target = Math.round(share * (other.scrollHeight - other.clientHeight));
      if (target === Math.round(other.scrollTop)) return;
      expected.set(other, target);
      other.scrollTop = target;
    }, { passive: true });
  }
  document.addEventListener("keydown", (event) => {
    const isFree = event.target === document.body && !document.querySelector("dialog[open]");
    if (!isFree || event.ctrlKey || event.altKey || event.metaKey) return;
    const tall = left.scrollHeight - left.clientHeight > right.scrollHeight - right.clientHeight
      ? left : right;
    const page = 0.85 * tall.clientHeight;
    const steps = {
      ArrowDown: 56, ArrowUp: -56, PageDown: page, PageUp: -page, End: tall.scrollHeight,
      Home: -tall.scrollHeight, " ": event.shiftKey ? -page : page,
    };
    if (!(event.key in steps) || tall.scrollHeight <= tall.clientHeight) return;
    event.preventDefault();
    tall.scrollTop += steps[event.key];
  });
}

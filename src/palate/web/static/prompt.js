// A long prompt stands at its end, where the question is; a button says that there is more, and
// shows all of it. Each pair begins at its question again.

export class LongPrompt {
  constructor(prompt, button, page) {
    this.prompt = prompt;
    this.button = button;
    this.page = page;
    new ResizeObserver(() => this.mark()).observe(prompt);
    prompt.addEventListener("scroll", () => this.mark(), { passive: true });
  }

  get isWhole() {
    return this.page.classList.contains("whole");
  }

  // A new prompt stands there.
  begin() {
    this.page.classList.remove("whole");
    this.prompt.scrollTop = this.prompt.scrollHeight;
    this.mark();
  }

  toggle() {
    if (this.button.hidden) return;
    this.page.classList.toggle("whole");
    if (this.isWhole) scrollTo(0, 0);
    else this.prompt.scrollTop = this.prompt.scrollHeight;
    this.mark();
  }

  mark() {
    const { scrollTop, scrollHeight, clientHeight } = this.prompt;
    const below = scrollHeight - clientHeight - scrollTop;
    const isAbove = scrollTop > 1;
    const isBelow = below > 1;
    this.prompt.classList.toggle("more-above", isAbove);
    this.prompt.classList.toggle("more-below", isBelow);
    this.button.hidden = !this.isWhole && scrollHeight <= clientHeight + 1;
    this.button.setAttribute("aria-expanded", String(this.isWhole));
    const where = isAbove && isBelow ? "above and below" : isAbove ? "above" : "below";
    this.button.querySelector("span").textContent = this.isWhole
      ? "Show the end of the prompt alone" : `More ${where}: show the whole prompt`;
  }
}

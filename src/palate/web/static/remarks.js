// A note and a flag on the pair in view: the form, and what of it is new.

const byId = (id) => document.getElementById(id);

export class Remarks {
  constructor(onChange) {
    this.onChange = onChange;
    this.dialog = byId("note");
    this.text = byId("note-text");
    this.flags = [...document.querySelectorAll("input[name=flag]")];
    byId("note-save").addEventListener("click", () => this.save());
    this.dialog.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.save();
    });
    // Esc and "Close" leave without saving; what stood there comes back.
    this.dialog.addEventListener("close", () => this.fill());
  }

  show(question) {
    this.question = question;
    this.fill();
    this.markButton();
  }

  fill() {
    this.text.value = this.question.note;
    for (const flag of this.flags) flag.checked = flag.value === this.question.flag;
  }

  open() {
    this.dialog.showModal();
    this.text.focus();
  }

  save() {
    const note = this.text.value.trim();
    const flag = this.flags.find((one) => one.checked).value;
    const { question } = this;
    const isChanged = note !== question.note || flag !== question.flag;
    Object.assign(question, { note, flag });
    this.dialog.close();
    this.markButton();
    if (isChanged) this.onChange(question.id, { note, flag });
  }

  markButton() {
    const has = Boolean(this.question.note || this.question.flag);
    byId("note-button").setAttribute("aria-pressed", String(has));
  }
}
